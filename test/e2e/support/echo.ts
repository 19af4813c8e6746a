import * as grpc from '@grpc/grpc-js';
import { Pool } from 'undici';
import type { Mesh } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { ECHO } from './backend.js';

/** Ways for an application to call a service of the mesh. */
export type FaceName = 'fetch' | 'gRPC' | 'proxy, HTTP' | 'proxy, gRPC';
export const FACES: readonly FaceName[] = ['fetch', 'gRPC', 'proxy, HTTP', 'proxy, gRPC'];

/** Whether the face speaks gRPC to the backends. */
export const isGrpc = (face: FaceName): boolean => face === 'gRPC' || face === 'proxy, gRPC';

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  header(name: string): string | undefined;
}

export interface GrpcAnswer {
  /** Name of the status. */
  readonly status: string;
  /** Of the backend that answered; undefined where the call failed. */
  readonly id: string | undefined;
  header(name: string): string | undefined;
  trailer(name: string): string | undefined;
}

/** `GET /get`, or `Echo.Get`, of one service by one face. Over HTTP it rejects where there is no answer; over gRPC there always is a status. */
export type Echo =
  | { readonly kind: 'http'; get(ask?: Ask): Promise<HttpAnswer>; close(): Promise<void> }
  | { readonly kind: 'grpc'; get(ask?: Ask): Promise<GrpcAnswer>; close(): Promise<void> };

/** Calls under way at once over HTTP/1.1. */
const CONNECTIONS = 20;

/** `service`: `Echo`, where its methods say more than `ECHO` does. */
export async function openEcho(face: FaceName, mesh: Mesh, authority: string, service = ECHO): Promise<Echo> {
  if (face === 'fetch') return overFetch(mesh, authority);
  const Client = grpc.makeGenericClientConstructor(service, 'Echo');
  if (face === 'gRPC') return overGrpc(mesh.grpc(Client, authority) as unknown as EchoClient);
  const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
  const at = `127.0.0.1:${proxy.port}`;
  const options = { 'grpc.default_authority': authority };
  const echo =
    face === 'proxy, HTTP'
      ? overHttp(`http://${at}`, authority)
      : overGrpc(new Client(at, grpc.credentials.createInsecure(), options) as unknown as EchoClient);
  const { close } = echo;
  return { ...echo, close: () => close().then(() => proxy.close()) };
}

const overFetch = (mesh: Mesh, authority: string): Echo => ({
  kind: 'http',
  get: async ({ headers = {}, timeoutMs } = {}) => {
    const limit = timeoutMs === undefined ? {} : { mesh: { timeoutMs } };
    const response = await mesh.fetch(`http://${authority}/get`, { headers, ...limit });
    const { status } = response;
    return { status, body: await response.text(), header: (name) => response.headers.get(name) ?? undefined };
  },
  close: async () => {},
});

function overHttp(origin: string, authority: string): Echo {
  const pool = new Pool(origin, { connections: CONNECTIONS });
  return {
    kind: 'http',
    get: async ({ headers = {}, timeoutMs } = {}) => {
      const limit = timeoutMs === undefined ? {} : { 'x-envoy-upstream-rq-timeout-ms': String(timeoutMs) };
      const reply = await pool.request({
        ...{ method: 'GET', path: '/get' },
        headers: { host: authority, ...headers, ...limit },
      });
      const body = await reply.body.text();
      return { status: reply.statusCode, body, header: (name) => reply.headers[name] as string | undefined };
    },
    close: () => pool.destroy(),
  };
}

interface EchoClient {
  get(
    request: unknown,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, reply?: { id: string }) => void,
  ): grpc.ClientUnaryCall;
  close(): void;
}

const overGrpc = (client: EchoClient): Echo => ({
  kind: 'grpc',
  get: ({ headers = {}, timeoutMs } = {}) =>
    new Promise((resolve) => {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
      let head: grpc.Metadata | undefined;
      const call = client.get({}, metadata, options, (error, reply) =>
        resolve({
          status: grpc.status[error?.code ?? grpc.status.OK] as string,
          id: reply?.id,
          header: (name) => head?.get(name)[0]?.toString(),
          trailer: (name) => error?.metadata.get(name)[0]?.toString(),
        }),
      );
      call.on('metadata', (received) => {
        head = received;
      });
    }),
  close: async () => client.close(),
});
