import http from 'node:http';
import * as grpc from '@grpc/grpc-js';
import type { Mesh } from '../../../../src/index.js';
import { startProxy } from '../../../../src/proxy/index.js';

export interface Ask {
  /** Not of gRPC calls. Default GET, or POST with a body. */
  readonly method?: string;
  /** A gRPC method too. Default `/shop.Cart/Get`. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Told {
  /** HTTP's, or gRPC's by its name. */
  readonly status: number | string;
  /** What the server said: its name. */
  readonly text: string;
  /** Initial metadata, of a gRPC call; several values of a field are one after the other. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** One way for an application to make calls to one authority. */
export interface Door {
  ask(ask?: Ask): Promise<Told>;
  close(): Promise<void>;
}

export const DOORS = ['fetch', 'gRPC', 'proxy, HTTP', 'proxy, gRPC'] as const;
export type DoorName = (typeof DOORS)[number];
export const isGrpc = (door: DoorName): boolean => door.endsWith('gRPC');
export const HTTP_DOORS = DOORS.filter((door) => !isGrpc(door));

const PATH = '/shop.Cart/Get';

export async function openDoor(name: DoorName, mesh: Mesh, authority = 'reviews'): Promise<Door> {
  switch (name) {
    case 'fetch':
      return { ask: (ask) => byFetch(mesh, authority, ask), close: async () => {} };
    case 'gRPC':
      return byGrpc(mesh.grpc(grpc.Client as never, authority) as unknown as grpc.Client);
    case 'proxy, HTTP': {
      const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
      const agent = new http.Agent({ keepAlive: true });
      return {
        ask: (ask) => byHttp(agent, proxy.port, authority, ask),
        close: async () => {
          agent.destroy();
          await proxy.close({ graceMs: 0 });
        },
      };
    }
    case 'proxy, gRPC': {
      const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
      const client = new grpc.Client(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), {
        'grpc.default_authority': authority,
      });
      const door = byGrpc(client);
      return {
        ask: door.ask,
        close: async () => {
          await door.close();
          await proxy.close({ graceMs: 0 });
        },
      };
    }
  }
}

async function byFetch(
  mesh: Mesh,
  authority: string,
  { method, path = PATH, headers = {}, body }: Ask = {},
): Promise<Told> {
  const response = await mesh.fetch(`http://${authority}${path}`, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const fields: Record<string, string[]> = {};
  for (const [field, value] of response.headers) fields[field] = [...(fields[field] ?? []), value];
  return { status: response.status, text: await response.text(), headers: fields };
}

function byHttp(
  agent: http.Agent,
  port: number,
  authority: string,
  { method, path = PATH, headers = {}, body }: Ask = {},
): Promise<Told> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      agent,
      port,
      path,
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { host: authority, ...headers },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const fields = response.headersDistinct as Record<string, string[]>;
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), headers: fields });
      });
    });
    request.end(body);
  });
}

function byGrpc(client: grpc.Client): Door {
  return {
    ask: ({ path = PATH, headers = {}, body = '' } = {}) =>
      new Promise((resolve) => {
        const metadata = new grpc.Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        let first = new grpc.Metadata();
        const call = client.makeUnaryRequest(
          path,
          (text: string) => Buffer.from(text),
          (bytes: Buffer) => bytes.toString(),
          body,
          metadata,
          (error, text) => {
            const fields: Record<string, string[]> = {};
            for (const name of Object.keys(first.getMap())) fields[name] = first.get(name).map(String);
            resolve({ status: grpc.status[error?.code ?? 0] as string, text: text ?? '', headers: fields });
          },
        );
        call.on('metadata', (fields: grpc.Metadata) => (first = fields));
      }),
    close: async () => client.close(),
  };
}
