import { pbkdf2Sync } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { meshHandler } from '../../src/server/http.js';

/* A service whose handler computes for a millisecond or two. With `shed` as first argument it refuses what it could not answer in time. */

const ITERATIONS = 4_000;

const compute: RequestListener = (request, response) => {
  request.resume();
  response.end(pbkdf2Sync('inmesh', 'salt', ITERATIONS, 32, 'sha256'));
};

const server = createServer(process.argv[2] === 'shed' ? meshHandler(compute, { shed: true }) : compute);
server.keepAliveTimeout = 60_000;
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
process.send?.({ port: (server.address() as AddressInfo).port });
process.on('disconnect', () => process.exit());
