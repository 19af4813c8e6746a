import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { Client as HttpClient } from 'undici';
import type { Mesh } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { ECHO } from './backend.js';

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

/** One way for an application to make a call. Resolves with the id of the backend that answered; rejects with a code that all faces share. */
export interface Face {
  send(ask?: Ask): Promise<string>;
  close(): Promise<void>;
}

export type FaceName = 'fetch' | 'gRPC' | 'proxy, HTTP' | 'proxy, gRPC';
export const FACES: readonly FaceName[] = ['fetch', 'gRPC', 'proxy, HTTP', 'proxy, gRPC'];

/** Whether the face speaks gRPC to the backends. */
export const isGrpc = (face: FaceName): boolean => face === 'gRPC' || face === 'proxy, gRPC';

export async function openFace(name: FaceName, mesh: Mesh, authority: string): Promise<Face> {
  switch (name) {
    case 'fetch':
      return {
        async send({ headers = {}, timeoutMs } = {}) {
          try {
            const init = { headers, ...(timeoutMs === undefined ? {} : { mesh: { timeoutMs } }) };
            const response = await mesh.fetch(`http://${authority}/get`, init);
            if (!response.ok) throw new Error(`HTTP ${response.status}`);
            return ((await response.json()) as { id: string }).id;
          } catch (error) {
            throw new Error((error as { code?: string }).code ?? String(error));
          }
        },
        close: async () => {},
      };
    case 'gRPC': {
      const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
      return grpcFace(mesh.grpc(Echo, authority) as unknown as EchoClient);
    }
    case 'proxy, HTTP': {
      const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
      const clients = Array.from({ length: 20 }, () => new HttpClient(`http://127.0.0.1:${proxy.port}`));
      let turn = 0;
      return {
        async send({ headers = {}, timeoutMs } = {}) {
          const deadline = timeoutMs === undefined ? {} : { 'x-envoy-upstream-rq-timeout-ms': String(timeoutMs) };
          const reply = await (clients[turn++ % clients.length] as HttpClient).request({
            method: 'GET',
            path: '/get',
            headers: { host: authority, ...headers, ...deadline },
          });
          const body = (await reply.body.json()) as { id?: string; code?: string };
          if (reply.statusCode !== 200) throw new Error(body.code ?? `HTTP ${reply.statusCode}`);
          return body.id as string;
        },
        close: async () => {
          await Promise.all(clients.map((each) => each.destroy()));
          await proxy.close();
        },
      };
    }
    case 'proxy, gRPC': {
      const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
      const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
      const client = new Echo(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), {
        'grpc.default_authority': authority,
      });
      const face = grpcFace(client as unknown as EchoClient);
      return {
        send: face.send,
        close: async () => {
          await face.close();
          await proxy.close();
        },
      };
    }
  }
}

export const portOf = (address: AddressInfo | string | null): number => (address as AddressInfo).port;

interface EchoClient {
  get(
    request: unknown,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, reply: { id: string }) => void,
  ): void;
  close(): void;
}

function grpcFace(client: EchoClient): Face {
  return {
    send: ({ headers = {}, timeoutMs } = {}) =>
      new Promise((resolve, reject) => {
        const metadata = new grpc.Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
        client.get({}, metadata, options, (error, reply) => {
          if (error === null) resolve(reply.id);
          else reject(new Error(grpc.status[error.code] ?? String(error.code)));
        });
      }),
    close: async () => client.close(),
  };
}
