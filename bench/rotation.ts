/*
 * Does a call fail because certificates change? A control plane with its authority, a server for fetch and one for gRPC, each in a process of its own, call each
 * other under mutual TLS with certificates that live for ten seconds and are renewed at half of that, while the root is rotated once: two minutes of load, and two more in
 * which the control plane is killed over and over and away for half of the time. Fails when a call does.
 */
import { subscribe } from 'node:diagnostics_channel';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { silentLogger } from '../src/core/log.js';
import { meshClient } from '../src/index.js';
import { SMOKE } from './lib/compare.js';
import { type Peer, startPeer } from './lib/peers.js';
import { type PlaneStart, ROTATED, STREAM_MESSAGES } from './lib/rotated.js';

const RUN_MS = SMOKE ? 4_000 : 120_000;
const LEAF_MS = SMOKE ? 2_000 : 10_000;
/** A new root is trusted for so long before anything is signed under it. */
const DISTRIBUTE_MS = LEAF_MS / 2;
/** The control plane is away for so long and until it is open again, and then there for as long: less than what is left of a certificate when it is renewed. */
const TURN_MS = LEAF_MS * 0.2;
/** At once; each waits for as long between two calls. */
const LANES = { fetch: 8, unary: 8, stream: 8 };
const PAUSE_MS = 10;

const folder = mkdtempSync(join(tmpdir(), 'inmesh-rotation-'));
const config = join(folder, 'mesh.yaml');

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
const [web, rpc, ads, ca] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
const service = (name: string, port: number): string => `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { mtls: strict, endpoints: ["127.0.0.1:${port}"] }
`;
writeFileSync(config, [service('web', web), service('rpc', rpc)].join('---\n'));

const ask = async (peer: Peer, path: string): Promise<unknown> => {
  const reply = await fetch(`http://127.0.0.1:${peer.control}${path}`);
  if (!reply.ok) throw new Error(`${path}: ${await reply.text()}`);
  return reply.json();
};

const start: PlaneStart = {
  config,
  directory: join(folder, 'ca'),
  listen: `127.0.0.1:${ads}`,
  caListen: `127.0.0.1:${ca}`,
  leafMs: LEAF_MS,
  distributeMs: DISTRIBUTE_MS,
};
/** A control plane whose process is there, and is opened when it is its turn. */
const standby = (): Promise<Peer> => startPeer('rotation', 'plane', JSON.stringify(start));
let plane = await standby();
await ask(plane, '/go');
const where = { xds: start.listen, ca: start.caListen };
const tokenOf = async (name: string): Promise<string> => (await ask(plane, `/token?of=${name}`)) as string;
const startServer = async (name: string, port: number, kind: 'http' | 'grpc'): Promise<Peer> => {
  const own = { service: name, serve: `127.0.0.1:${port}`, kind, token: await tokenOf(name) };
  return startPeer('rotation', 'server', JSON.stringify({ ...where, ...own }));
};
const servers = await Promise.all([startServer('web', web, 'http'), startServer('rpc', rpc, 'grpc')]);
const mesh = meshClient({
  service: 'shop',
  xds: where.xds,
  identity: { ca: { address: where.ca, joinToken: await tokenOf('shop') } },
  logger: silentLogger,
});
await mesh.ready();
const shop = 'spiffe://cluster.local/ns/default/sa/shop';

/** TCP connections to the servers that were made. */
let opened = 0;
subscribe('net.client.socket', (message) => {
  const { socket } = message as { readonly socket: Socket };
  socket.once('connect', () => {
    if (socket.remotePort === web || socket.remotePort === rpc) opened++;
  });
});

const Client = grpc.makeGenericClientConstructor(ROTATED, 'Rotated');
const stub = mesh.grpc(Client, 'rpc') as unknown as {
  get(request: Buffer, done: (error: Error | null, reply: Buffer) => void): void;
  watch(request: Buffer): grpc.ClientReadableStream<Buffer>;
};
const none = Buffer.alloc(0);

/** Each resolves with who the server says has called. */
const KINDS: Readonly<Record<keyof typeof LANES, () => Promise<string>>> = {
  fetch: async () => (await mesh.fetch('http://web/')).text(),
  unary: () =>
    new Promise((resolve, reject) =>
      stub.get(none, (error, reply) => (error === null ? resolve(String(reply)) : reject(error))),
    ),
  stream: async () => {
    const got: string[] = [];
    for await (const message of stub.watch(none)) got.push(String(message));
    const wrong = Array.from({ length: STREAM_MESSAGES }, (_, n) => n).filter((n) => got[n] !== `${n} ${shop}`);
    return wrong.length === 0 && got.length === STREAM_MESSAGES ? shop : `${got.length} messages: ${got.join(', ')}`;
  },
};

interface Result {
  readonly calls: number;
  readonly failed: number;
  readonly retries: number;
  readonly rotations: number;
  readonly opened: number;
  readonly p99Ms: number;
  readonly downShare: number;
  readonly downs: number;
}

const retriesSoFar = (): number =>
  [...mesh.prometheus().matchAll(/^mesh_client_retries_total\{[^}]*\} (\d+)/gm)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  );
const seenByServers = async (): Promise<number> =>
  (await Promise.all(servers.map((peer) => ask(peer, '/seen')))).reduce<number>((sum, n) => sum + Number(n), 0);

async function run(name: string, withOutages: boolean): Promise<Result> {
  const began = performance.now();
  const until = began + RUN_MS;
  const left = (): number => until - performance.now();
  const before = { opened, retries: retriesSoFar(), rotations: await seenByServers() };
  const took: number[] = [];
  const failures = new Map<string, number>();
  let rotations = 0;
  let downMs = 0;
  let downs = 0;
  let rootDone = false;

  const lane = async (kind: keyof typeof LANES): Promise<void> => {
    while (left() > 0) {
      const at = performance.now();
      try {
        const said = await KINDS[kind]();
        if (said !== shop) throw new Error(`the server says "${said}"`);
      } catch (error) {
        const { message, cause } = error as Error;
        const what = `${kind}: ${message}${cause === undefined ? '' : ` (${String(cause)})`}`;
        failures.set(what, (failures.get(what) ?? 0) + 1);
      }
      if (kind !== 'stream') took.push(performance.now() - at);
      await sleep(PAUSE_MS);
    }
  };
  const watchIdentity = async (): Promise<void> => {
    for (let last = mesh.identity()?.notAfter; left() > 0; await sleep(50)) {
      const now = mesh.identity()?.notAfter;
      if (now !== last) rotations++;
      last = now;
    }
  };
  const operate = async (): Promise<void> => {
    await ask(plane, '/rotate');
    // Away and there in turns, half of the time by the clock, whatever opening takes.
    while (withOutages && left() > 2 * TURN_MS) {
      const another = await standby();
      const down = performance.now();
      plane.stop();
      await sleep(TURN_MS);
      plane = another;
      await ask(plane, '/go');
      downMs += performance.now() - down;
      downs++;
      await sleep(Math.max(0, 2 * downMs - (performance.now() - began)));
    }
    do {
      rootDone = (await ask(plane, '/rotation')) === 'none';
      await sleep(100);
    } while (left() > 0 && !rootDone);
    if (!rootDone && !SMOKE) throw new Error('the root was not rotated in time');
  };
  const lanes = (Object.keys(LANES) as (keyof typeof LANES)[]).flatMap((kind) =>
    Array.from({ length: LANES[kind] }, () => lane(kind)),
  );
  await Promise.all([...lanes, watchIdentity(), operate()]);

  took.sort((a, b) => a - b);
  const result: Result = {
    calls: took.length,
    failed: [...failures.values()].reduce((sum, n) => sum + n, 0),
    retries: retriesSoFar() - before.retries,
    rotations: rotations + (await seenByServers()) - before.rotations,
    opened: opened - before.opened,
    p99Ms: took[Math.floor(took.length * 0.99)] ?? 0,
    downShare: downMs / RUN_MS,
    downs,
  };
  console.log(
    `  ${name.padEnd(28)} ${result.failed} of ${result.calls} calls failed, ${result.retries} retries, ${result.rotations} certificates replaced, ` +
      `${result.opened} connections opened, p99 ${result.p99Ms.toFixed(1)} ms, control plane away ${downs} times, ${(100 * result.downShare).toFixed(0)} %`,
  );
  for (const [what, times] of failures) console.log(`    ${times} times ${what}`);
  // None outlives its lifetime: with fewer, somebody went on with one that had ended.
  const least = Math.floor((3 * RUN_MS) / LEAF_MS);
  if (!SMOKE && result.rotations < least)
    throw new Error(`only ${result.rotations} certificates were replaced, not ${least}`);
  return result;
}

const results = {
  'certificates rotate': await run('certificates rotate', false),
  'and the CA is down': await run('and the CA is down', true),
};
for (const peer of [...servers, plane]) peer.stop();
await mesh.close();
rmSync(folder, { recursive: true });
const failed = Object.values(results).some((result) => result.failed > 0);
if (!failed) console.log(`JSON ${JSON.stringify(results)}`);
process.exit(failed ? 1 : 0);
