/* Does a unary gRPC call through the mesh cost less than the same call through the stock grpc-js channel? */
import http2 from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { meshClient } from '../src/index.js';
import { compareCpu, report } from './lib/compare.js';
import { ECHO } from './lib/echo.js';
import { startPeer } from './lib/peers.js';

const peer = await startPeer('grpc');
const target = `127.0.0.1:${peer.port}`;
const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
const mesh = meshClient({ service: 'bench', services: { reviews: [target] } });
await mesh.ready();
const stock = new Echo(target, grpc.credentials.createInsecure());
const ours = mesh.grpc(Echo, "reviews");
const session = http2.connect(`http://${target}`);
const message = Buffer.alloc(100, 1);
const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);

type Unary = (request: Buffer, done: (error: Error | null, reply: Buffer) => void) => void;
const unary = (client: grpc.Client) => (): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    (client as unknown as { get: Unary }).get(message, (error, reply) =>
      error === null ? resolve(reply) : reject(error),
    );
  });
const raw = (): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/bench.Echo/Get',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => resolve(Buffer.concat(chunks)));
    stream.on('error', reject);
    stream.end(frame);
  });

report(
  await compareCpu({
    question: 'Unary gRPC of 100 bytes: the stock channel against the mesh’s, default policies on',
    sides: [
      { name: 'stock grpc-js channel', once: unary(stock) },
      { name: 'mesh.grpc', once: unary(ours) },
      { name: 'raw node:http2', once: raw },
    ],
    budgets: { 'mesh.grpc': 0.7 },
    concurrency: 16,
    perRound: 6_000,
    rounds: 9,
  }),
);

stock.close();
ours.close();
session.close();
await mesh.close();
peer.stop();
