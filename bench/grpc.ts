/* Does a unary gRPC call through the mesh cost less than the same call through the stock grpc-js channel, or through grpc-js-xds? */
import http2 from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { meshClient } from '../src/index.js';
import { compareCpu, report, type Side } from './lib/compare.js';
import { ECHO } from './lib/echo.js';
import { type Peer, startPeer } from './lib/peers.js';

const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
const message = Buffer.alloc(100, 1);
const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);

type Unary = (request: Buffer, done: (error: Error | null, reply: Buffer) => void) => void;
const unary = (client: grpc.Client) => (): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    (client as unknown as { get: Unary }).get(message, (error, reply) =>
      error === null ? resolve(reply) : reject(error),
    );
  });

const side = (name: string, open: (peer: Peer) => Promise<Awaited<ReturnType<Side['open']>>>): Side => ({
  name,
  open: async () => {
    const peer = await startPeer('grpc');
    const { once, close } = await open(peer);
    return {
      once,
      close: async () => {
        await close?.();
        peer.stop();
      },
    };
  },
});

const stock = side('stock grpc-js channel', async ({ port }) => {
  const client = new Echo(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  return { once: unary(client), close: () => client.close() };
});

const ours = side('mesh.grpc', async ({ port }) => {
  const mesh = meshClient({ service: 'bench', services: { reviews: [`127.0.0.1:${port}`] } });
  return { once: unary(mesh.grpc(Echo, 'reviews')), close: () => mesh.close() };
});

const raw = side('raw node:http2', async ({ port }) => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const headers = { ':method': 'POST', ':path': '/bench.Echo/Get', 'content-type': 'application/grpc', te: 'trailers' };
  const once = (): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve(Buffer.concat(chunks)));
      stream.on('error', reject);
      stream.end(frame);
    });
  return { once, close: () => session.close() };
});

/** Both clients take their configuration from our control plane, which runs in a process of its own. */
const overXds = (name: string, open: (address: string) => Promise<Awaited<ReturnType<Side['open']>>>): Side =>
  side(name, async ({ port }) => {
    const plane = await startPeer('xds', String(port));
    const { once, close } = await open(`127.0.0.1:${plane.port}`);
    return {
      once,
      close: async () => {
        await close?.();
        plane.stop();
      },
    };
  });

const theirsXds = overXds('@grpc/grpc-js-xds', async (address) => {
  process.env['GRPC_XDS_BOOTSTRAP_CONFIG'] = JSON.stringify({
    xds_servers: [{ server_uri: address, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
    node: { id: 'bench', locality: { zone: 'a' } },
  });
  const xds = await import('@grpc/grpc-js-xds');
  xds.register();
  const client = new Echo('xds:///reviews', grpc.credentials.createInsecure());
  return { once: unary(client), close: () => client.close() };
});

const oursXds = overXds('mesh.grpc over xDS', async (address) => {
  const mesh = meshClient({ service: 'bench', xds: address });
  return { once: unary(mesh.grpc(Echo, 'reviews')), close: () => mesh.close() };
});

const load = { concurrency: 16, perRun: 12_000, runs: 7 };
report(
  await compareCpu({
    question: 'Unary gRPC of 100 bytes: the stock channel against the mesh’s, default policies on',
    sides: [stock, ours, raw],
    budgets: { 'mesh.grpc': 0.7 },
    ...load,
  }),
  await compareCpu({
    question: 'The same, configured over xDS',
    sides: [theirsXds, oursXds],
    budgets: { 'mesh.grpc over xDS': 0.6 },
    ...load,
  }),
);
process.exit();
