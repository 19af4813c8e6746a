import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentitySource } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, type MeshOptions, meshClient } from '../../../src/index.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { grpcMethod } from '../../support/server-faces.js';

/** Services of one mesh, each a server of its own: `reviews` over HTTP, `ratings` over gRPC. Both answer with who calls, and with the serial number of his certificate. */
export interface Services {
  readonly yaml: string;
  /** Serves both, as configured in `mesh`. */
  serve(
    mesh: Pick<MeshOptions, 'xds' | 'config'>,
    identityOf: (service: string) => MeshOptions['identity'],
  ): Promise<void>;
  close(): Promise<void>;
}

const service = (name: string, port: number): string[] => [
  '---',
  'apiVersion: v1',
  'kind: Service',
  `metadata: { name: ${name} }`,
  'spec:',
  '  mtls: strict',
  `  endpoints: ["127.0.0.1:${port}"]`,
];

export async function services(): Promise<Services> {
  const ports = { reviews: await freePort(), ratings: await freePort() };
  const ends: (() => unknown)[] = [];
  const http = (mesh: Mesh) =>
    createServer((_, response) => {
      // So that each call is on a connection of its own.
      response.setHeader('connection', 'close');
      const peer = mesh.peer();
      response.end(`${peer?.spiffeId} ${peer?.serialNumber}`);
    });
  const overGrpc = (mesh: Mesh) => {
    const server = new XdsServer();
    const get = (_: unknown, done: grpc.sendUnaryData<Buffer>): void =>
      done(null, Buffer.from(`${mesh.peer()?.spiffeId}`));
    server.addService({ get: grpcMethod('/test/Get') }, { get });
    return server;
  };
  return {
    yaml: [...service('reviews', ports.reviews), ...service('ratings', ports.ratings)].join('\n'),
    async serve(options, identityOf) {
      for (const [name, port] of Object.entries(ports)) {
        const identity = identityOf(name);
        const mesh = meshClient({ ...options, service: name, logger: silentLogger, ...(identity && { identity }) });
        ends.unshift(() => mesh.close());
        const server = name === 'reviews' ? http(mesh) : overGrpc(mesh);
        ends.unshift(() => (server instanceof XdsServer ? server.forceShutdown() : server.close()));
        const serving = await mesh.serve(server, { address: `127.0.0.1:${port}`, service: name });
        await serving.ready();
      }
    },
    async close() {
      for (const end of ends.splice(0)) await end();
    },
  };
}

/** Who the server of `reviews` says that calls, over HTTP. */
export const askReviews = async (mesh: Mesh): Promise<{ spiffeId: string; serialNumber: string }> => {
  const [spiffeId = '', serialNumber = ''] = (await (await mesh.fetch('http://reviews/')).text()).split(' ');
  return { spiffeId, serialNumber };
};

/** The same of `ratings`, over gRPC. */
export function askRatings(mesh: Mesh): Promise<string> {
  const client = mesh.grpc(grpc.Client as never, 'ratings') as unknown as grpc.Client;
  return new Promise<string>((resolve, reject) => {
    client.makeUnaryRequest(
      '/test/Get',
      (value: Buffer) => value,
      String,
      Buffer.alloc(0),
      (error, text) => (error === null ? resolve(text as string) : reject(error)),
    );
  }).finally(() => client.close());
}

/** Resolves once the mesh has another certificate than this. */
export async function rotated(mesh: Mesh, notAfter: number | undefined): Promise<void> {
  while (mesh.identity()?.notAfter === notAfter) await new Promise<void>((resolve) => systemClock.after(10, resolve));
}

/** Of a source that a test holds. */
export const first = (source: IdentitySource): Promise<void> =>
  new Promise((resolve, reject) => source.watch({ changed: () => resolve(), failed: reject }));

export async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
