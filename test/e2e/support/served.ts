import * as grpc from '@grpc/grpc-js';
import { addressKey } from '../../../src/core/model/endpoint.js';
import type { Mesh } from '../../../src/index.js';
import { EchoGrpc, FRAMEWORKS } from '../../support/inbound-servers.js';
import { SERVER_FACES } from '../../support/server-faces.js';
import { freeAddress } from '../../server/xds/support.js';

/** Where tests put what is to be closed. */
export type Opened = (() => unknown)[];

export interface Asked {
  /** HTTP's, or gRPC's. */
  readonly status: number;
  readonly challenge: string | undefined;
}

/** A server of the mesh, as a client meets it. */
export interface Served {
  ask(headers?: Readonly<Record<string, string>>): Promise<Asked>;
}

export interface ServedKind {
  readonly name: string;
  readonly grpc: boolean;
  start(mesh: Mesh, service: string, opened: Opened, handled?: () => unknown): Promise<Served>;
}

/** Every way in which a mesh's policies are in front of a server: middleware of each framework, and `mesh.serve`. */
export const SERVED: readonly ServedKind[] = [
  ...Object.entries(FRAMEWORKS).map(
    ([name, framework]): ServedKind => ({
      name,
      grpc: false,
      async start(mesh, service, opened, handled = () => {}) {
        const { port, close } = await framework(handled, { mesh, service });
        opened.push(close);
        return {
          async ask(headers = {}) {
            const reply = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close', ...headers } });
            await reply.text();
            return { status: reply.status, challenge: reply.headers.get('www-authenticate') ?? undefined };
          },
        };
      },
    }),
  ),
  {
    name: 'grpc-js',
    grpc: true,
    async start(mesh, service, opened, handled = () => {}) {
      const server = await EchoGrpc.start(handled, { mesh, service });
      opened.push(() => server.close());
      return {
        async ask(headers = {}) {
          const metadata = new grpc.Metadata();
          for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
          const status = await server.unary(metadata).then(
            () => 0,
            (error: grpc.ServiceError) => error.code,
          );
          return { status, challenge: undefined };
        },
      };
    },
  },
  ...Object.entries(SERVER_FACES).map(
    ([name, face]): ServedKind => ({
      name: `mesh.serve of ${name}`,
      grpc: name === 'grpc-js',
      async start(mesh, service, _, handled = () => {}) {
        const address = await freeAddress();
        const serving = await mesh.serve(face.server(handled), { address: addressKey(address), service });
        await serving.ready();
        return {
          async ask(headers) {
            const { status, headers: told } = await face.ask(address, '/', headers).told;
            return { status, challenge: told['www-authenticate'] };
          },
        };
      },
    }),
  ),
];
