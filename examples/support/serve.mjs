import { once } from 'node:events';
import { createServer } from 'node:http';
import { Server, ServerCredentials } from '@grpc/grpc-js';

/**
 * One instance of an HTTP service on the loopback interface, as it would run on another machine: what the examples call. Port 0 takes a
 * free one.
 */
export async function serveHttp(handler, port = 0) {
  const server = createServer(handler).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${server.address().port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** One instance of a gRPC service. `service` is the `service` of a generated client. */
export async function serveGrpc(service, methods) {
  const server = new Server();
  server.addService(service, methods);
  const port = await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

/** A port of the loopback interface that nobody has, for a server that is named in a file before it listens. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
