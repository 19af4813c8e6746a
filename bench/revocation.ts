/*
 * How long after `revoke` is a workload refused? A control plane with its authority and a server for HTTP, each in a process of its own; the workload is a plain client of
 * node:tls with a certificate of that authority. From the moment that the order is sent: until a connection that is open is cut off, and until a new one is refused. Fails
 * when either takes a second.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { median, SMOKE } from './lib/compare.js';
import { type Peer, startPeer } from './lib/peers.js';
import type { Issued, PlaneStart } from './lib/rotated.js';

const ROUNDS = SMOKE ? 2 : 50;
const BUDGET_MS = 1_000;

const folder = mkdtempSync(join(tmpdir(), 'inmesh-revocation-'));
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
const [web, ads, ca] = await Promise.all([freePort(), freePort(), freePort()]);
const config = join(folder, 'mesh.yaml');
writeFileSync(
  config,
  `apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { mtls: strict, endpoints: ["127.0.0.1:${web}"] }\n`,
);
const start: PlaneStart = {
  config,
  directory: join(folder, 'ca'),
  listen: `127.0.0.1:${ads}`,
  caListen: `127.0.0.1:${ca}`,
  leafMs: 3_600_000,
  distributeMs: 3_600_000,
};
const ask = async (peer: Peer, path: string): Promise<unknown> => {
  const reply = await fetch(`http://127.0.0.1:${peer.control}${path}`);
  if (!reply.ok) throw new Error(`${path}: ${await reply.text()}`);
  return reply.json();
};
const plane = await startPeer('rotation', 'plane', JSON.stringify(start));
await ask(plane, '/go');
const server = await startPeer(
  'rotation',
  'server',
  JSON.stringify({
    service: 'web',
    serve: `127.0.0.1:${web}`,
    kind: 'http',
    xds: start.listen,
    ca: start.caListen,
    token: await ask(plane, '/token?of=web'),
  }),
);

/** Whose certificate it shows is all that a server looks at here, so the server's own is not verified. */
const connection = ({ cert, key }: Issued): tls.TLSSocket =>
  tls.connect({ port: web, host: '127.0.0.1', cert, key, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });

/** Resolves with true once a request was answered, with false when the connection ended before. */
const answers = (socket: tls.TLSSocket): Promise<boolean> =>
  new Promise((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
    socket.write('GET / HTTP/1.1\r\nHost: web\r\n\r\n');
  });

async function untilRefused(own: Issued): Promise<number> {
  for (;;) {
    const socket = connection(own).on('error', () => {});
    const answered = await answers(socket);
    socket.destroy();
    if (!answered) return performance.now();
    await sleep(1);
  }
}

const open: number[] = [];
const fresh: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const own = (await ask(plane, `/issue?of=shop-${round}`)) as Issued;
  const socket = connection(own).on('error', () => {});
  if (!(await answers(socket))) throw new Error('the server refuses a good certificate');
  const cut = once(socket, 'close').then(() => performance.now());
  const at = performance.now();
  const order = ask(plane, `/revoke?of=shop-${round}`);
  const [cutAt, refusedAt] = await Promise.all([cut, untilRefused(own), order]);
  open.push(cutAt - at);
  fresh.push(refusedAt - at);
}
server.stop();
plane.stop();
rmSync(folder, { recursive: true });

const results = Object.entries({ 'an open connection is cut off': open, 'a new connection is refused': fresh }).map(
  ([what, took]) => ({ what, medianMs: median(took), maxMs: Math.max(...took) }),
);
for (const { what, medianMs, maxMs } of results)
  console.log(`  ${what.padEnd(30)} median ${medianMs.toFixed(1)} ms, most ${maxMs.toFixed(1)} ms of ${ROUNDS}`);
const late = results.filter(({ maxMs }) => maxMs >= BUDGET_MS);
if (late.length === 0) console.log(`JSON ${JSON.stringify(results)}`);
process.exit(late.length === 0 ? 0 : 1);
