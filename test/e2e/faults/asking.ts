import * as grpc from '@grpc/grpc-js';
import { Client as HttpClient } from 'undici';
import type { Mesh } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { ECHO } from '../support/backend.js';
import type { FaceName } from '../support/faces.js';

/** What a caller sees of one call. */
export interface Seen {
  /** Who answered. */
  readonly id?: string;
  /** HTTP status; of gRPC the name of the status. */
  readonly status?: number | string;
  /** `mesh-error` of the reply. */
  readonly flag?: string | undefined;
  /** Code of the error, where there is no reply. */
  readonly error?: string;
}

export interface Asker {
  ask(headers?: Readonly<Record<string, string>>, timeoutMs?: number): Promise<Seen>;
  close(): Promise<void>;
}

/** Calls to `reviews`, by one face. */
export async function openAsker(face: FaceName, mesh: Mesh): Promise<Asker> {
  if (face === 'fetch') {
    return {
      ask: async (headers = {}, timeoutMs) => {
        try {
          const options = timeoutMs === undefined ? {} : { mesh: { timeoutMs } };
          const response = await mesh.fetch('http://reviews/get', { headers, ...options });
          return seen(response.status, await response.text(), response.headers.get('mesh-error') ?? undefined);
        } catch (error) {
          return { error: (error as { code: string }).code };
        }
      },
      close: async () => {},
    };
  }
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  if (face === 'gRPC') return grpcAsker(mesh.grpc(Echo, 'reviews') as unknown as EchoClient);
  const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
  if (face === 'proxy, gRPC') {
    const options = { 'grpc.default_authority': 'reviews' };
    const client = new Echo(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), options);
    const { ask, close } = grpcAsker(client as unknown as EchoClient);
    return { ask, close: () => close().then(() => proxy.close()) };
  }
  const client = new HttpClient(`http://127.0.0.1:${proxy.port}`);
  return {
    ask: async (headers = {}, timeoutMs) => {
      try {
        const limit = timeoutMs === undefined ? {} : { 'x-envoy-upstream-rq-timeout-ms': String(timeoutMs) };
        const all = { host: 'reviews', ...headers, ...limit };
        const reply = await client.request({ method: 'GET', path: '/get', headers: all });
        return seen(reply.statusCode, await reply.body.text(), reply.headers['mesh-error'] as string | undefined);
      } catch (error) {
        return { error: (error as { code: string }).code };
      }
    },
    close: async () => {
      await client.destroy();
      await proxy.close();
    },
  };
}

function seen(status: number, body: string, flag: string | undefined): Seen {
  if (status === 200 && flag === undefined) return { status, id: (JSON.parse(body) as { id: string }).id };
  return { status, flag };
}

interface EchoClient {
  get(
    request: unknown,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, reply: { id: string }) => void,
  ): grpc.ClientUnaryCall;
  close(): void;
}

const grpcAsker = (client: EchoClient): Asker => ({
  ask: (headers = {}, timeoutMs) =>
    new Promise((resolve) => {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
      client.get({}, metadata, options, (error, reply) => {
        if (error === null) return resolve({ status: 'OK', id: reply.id });
        const flag = error.metadata.get('mesh-error')[0]?.toString();
        resolve({ status: grpc.status[error.code] as string, flag });
      });
    }),
  close: async () => client.close(),
});
