import * as grpc from '@grpc/grpc-js';
import { Client as HttpClient } from 'undici';
import type { Mesh } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { ECHO } from '../support/backend.js';
import type { FaceName } from '../support/faces.js';

/** What a caller sees: who answered, and the kind of fallback when it was one; or the code of the error. */
export interface Seen {
  readonly id?: string;
  readonly fallback?: string | undefined;
  readonly error?: string;
}

export interface Asker {
  ask(headers?: Readonly<Record<string, string>>): Promise<Seen>;
  close(): Promise<void>;
}

/** Reading does no harm: calls may be repeated. */
const IDEMPOTENT: grpc.ServiceDefinition = {
  get: {
    ...(ECHO['get'] as grpc.MethodDefinition<unknown, unknown>),
    options: { idempotency_level: 'NO_SIDE_EFFECTS' },
  },
} as grpc.ServiceDefinition;

/** Calls to `reviews`, by one face. */
export async function openAsker(face: FaceName, mesh: Mesh): Promise<Asker> {
  if (face === 'fetch') {
    return {
      ask: async (headers = {}) => {
        try {
          const response = await mesh.fetch('http://reviews/get', { headers });
          return seenOverHttp(
            response.status,
            await response.text(),
            response.headers.get('inmesh-fallback') ?? undefined,
          );
        } catch (error) {
          return { error: (error as { code: string }).code };
        }
      },
      close: async () => {},
    };
  }
  const Echo = grpc.makeGenericClientConstructor(IDEMPOTENT, 'Echo');
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
    ask: async (headers = {}) => {
      const reply = await client.request({ method: 'GET', path: '/get', headers: { host: 'reviews', ...headers } });
      return seenOverHttp(
        reply.statusCode,
        await reply.body.text(),
        reply.headers['inmesh-fallback'] as string | undefined,
      );
    },
    close: async () => {
      await client.destroy();
      await proxy.close();
    },
  };
}

function seenOverHttp(status: number, body: string, fallback: string | undefined): Seen {
  const said = JSON.parse(body) as { id?: string; code?: string };
  if (status !== 200) return { error: said.code ?? `HTTP ${status}` };
  return { id: said.id as string, fallback };
}

interface EchoClient {
  get(
    request: unknown,
    metadata: grpc.Metadata,
    done: (error: grpc.ServiceError | null, reply: { id: string }) => void,
  ): grpc.ClientUnaryCall;
  close(): void;
}

const grpcAsker = (client: EchoClient): Asker => ({
  ask: (headers = {}) =>
    new Promise((resolve) => {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      let fallback: string | undefined;
      const call = client.get({}, metadata, (error, reply) => {
        if (error !== null) resolve({ error: grpc.status[error.code] as string });
        else resolve({ id: reply.id, fallback });
      });
      call.on('metadata', (head) => {
        fallback = head.get('inmesh-fallback')[0]?.toString();
      });
    }),
  close: async () => client.close(),
});
