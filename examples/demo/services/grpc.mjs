import { fileURLToPath } from 'node:url';
import { loadPackageDefinition, Server, ServerCredentials } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Client classes of shop.proto, each with its `service` for servers. */
export const { shop } = loadPackageDefinition(loadSync(fileURLToPath(new URL('../shop.proto', import.meta.url))));

/** Serves the methods of one service of shop.proto on a free port of the loopback interface. */
export async function serveGrpc(service, methods) {
  const server = new Server();
  const handlers = Object.entries(methods).map(([name, method]) => [
    name,
    (call, callback) => method(call.request).then((reply) => callback(null, reply), callback),
  ]);
  server.addService(service, Object.fromEntries(handlers));
  const port = await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, close: async () => server.forceShutdown() };
}

/** A unary call as a promise. */
export const unary = (client, method, request) =>
  new Promise((resolve, reject) => {
    client[method](request, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
