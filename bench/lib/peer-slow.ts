import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { seededRandom } from '../../src/core/random.js';
import { logNormal } from '../../test/experiments/support/log-normal.js';
import { ECHO } from './echo.js';

/*
 * As many backends as the first argument says, each with a port for HTTP and one for gRPC, that answer after a time as real ones do. Over HTTP at
 * `control`: GET /ports, and GET /slow?ms=2000 makes the first of them slow, 0 well again.
 */
const MEDIAN_MS = 167;
const random = seededRandom(1);
let slowMs = 0;
const delay = (i: number): number => (i === 0 && slowMs > 0 ? slowMs : logNormal(MEDIAN_MS, 0.3, random));

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.keepAliveTimeout = 60_000;
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

async function backend(i: number): Promise<{ http: number; grpc: number }> {
  const web = createServer((request, response) => {
    request.resume();
    setTimeout(() => response.end('{}'), delay(i));
  });
  const rpc = new grpc.Server();
  rpc.addService(ECHO, {
    get: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      setTimeout(() => done(null, call.request), delay(i));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    rpc.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { http: await listening(web), grpc: port };
}

const ports = await Promise.all(Array.from({ length: Number(process.argv[2]) }, (_, i) => backend(i)));
const control = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://control');
  if (url.pathname === '/slow') slowMs = Number(url.searchParams.get('ms'));
  response.end(JSON.stringify(ports));
});
process.send?.({ port: ports[0]?.http, control: await listening(control) });
process.on('disconnect', () => process.exit());
