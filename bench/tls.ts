/*
 * What does mutual TLS cost? Calls over fetch and gRPC, plain and under mutual TLS in the process, beside two haproxies that speak mutual TLS between plain
 * ends; and handshakes, full and resumed, beside node:tls by itself. CPU is that of all processes of a side: client, server and sidecars.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import tls from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { systemClock } from '../src/core/clock.js';
import { silentLogger } from '../src/core/log.js';
import { systemRandom } from '../src/core/random.js';
import { memoryIdentity } from '../src/identity/sources/memory.js';
import { tlsFactory } from '../src/identity/tls/factory.js';
import { meshClient } from '../src/index.js';
import { testCa, writeIdentity } from '../test/support/pki.js';
import { compareCpuAndRate, report, type Side } from './lib/compare.js';
import { ECHO } from './lib/echo.js';
import { type Peer, startPeer } from './lib/peers.js';

const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
const message = Buffer.alloc(100, 1);
const ca = testCa();
const reviews = ca.issue({ name: 'reviews' });
const web = ca.issue({ name: 'web' });
const stateOf = (identity: typeof web) => ({ identity, trust: ca.trust() });

type Opened = Awaited<ReturnType<Side['open']>>;
type Unary = (request: Buffer, done: (error: Error | null, reply: Buffer) => void) => void;

const unary = (client: grpc.Client) => (): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const get = (client as unknown as { get: Unary }).get.bind(client);
    get(message, (error, reply) => (error === null ? resolve(reply) : reject(error)));
  });

async function startServer(): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-bench-peer-'));
  writeIdentity(folder, reviews, ca);
  const peer = await startPeer('tls', folder);
  // It has read them.
  rmSync(folder, { recursive: true });
  return peer;
}

const h2cPort = async ({ control }: Peer): Promise<number> =>
  Number(await (await fetch(`http://127.0.0.1:${control}/h2c`)).text());

/** Microseconds of CPU that other processes have used (Linux; elsewhere only one's own is counted). */
const cpuOf =
  (pids: readonly (number | undefined)[]): (() => number) =>
  () => {
    let ticks = 0;
    for (const pid of pids) {
      const path = `/proc/${pid}/stat`;
      if (pid === undefined || !existsSync(path)) continue;
      const fields = readFileSync(path, 'latin1').split(') ')[1]?.split(' ') ?? [];
      ticks += Number(fields[11]) + Number(fields[12]);
    }
    return ticks * 10_000;
  };

/** In the process: `port` plain, or under mutual TLS. */
function ours(kind: 'fetch' | 'grpc', mutual: boolean): Side {
  return {
    name: mutual ? `mesh.${kind}, mutual TLS` : `mesh.${kind}, plain`,
    open: async () => {
      const peer = await startServer();
      const folder = mkdtempSync(join(tmpdir(), 'inmesh-bench-tls-'));
      const port = mutual ? peer.port : kind === 'grpc' ? await h2cPort(peer) : peer.control;
      const config = join(folder, 'mesh.yaml');
      const service = `apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: { endpoints: ["127.0.0.1:${port}"]`;
      writeFileSync(config, `${service}${mutual ? ', mtls: strict' : ''} }\n`);
      const source = memoryIdentity(stateOf(web));
      const mesh = meshClient({ service: 'web', config, ...(mutual ? { identity: { source } } : undefined) });
      const call =
        kind === 'grpc'
          ? unary(mesh.grpc(Echo, 'reviews'))
          : async () => (await mesh.fetch('http://reviews/x')).json() as unknown;
      return {
        once: call,
        alsoCpu: cpuOf([peer.pid]),
        close: async () => {
          await mesh.close();
          peer.stop();
          rmSync(folder, { recursive: true });
        },
      };
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Plain to a haproxy beside, mutual TLS to the one beside the server, plain to the server. */
function sidecars(kind: 'fetch' | 'grpc'): Side {
  return {
    name: `${kind} through two haproxies, mutual TLS between them`,
    open: async () => {
      const peer = await startServer();
      const folder = mkdtempSync(join(tmpdir(), 'inmesh-bench-haproxy-'));
      const [near, far] = [await freePort(), await freePort()];
      const file = (name: string, text: string): string => {
        writeFileSync(join(folder, name), text, { mode: 0o600 });
        return join(folder, name);
      };
      const roots = file('ca.pem', ca.root);
      const [client, server] = [web, reviews].map((own, i) => file(`${i}.pem`, own.chainPem + own.keyPem));
      const to = kind === 'grpc' ? await h2cPort(peer) : peer.control;
      const [plain, secure] = kind === 'grpc' ? ['proto h2', 'alpn h2'] : ['', 'alpn http/1.1'];
      const defaults =
        'defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout http-keep-alive 60s\n  http-reuse always\n';
      const proxy = (name: string, bind: string, target: string): string =>
        file(name, `global\n  nbthread 1\n${defaults}listen all\n  bind ${bind}\n  server next ${target}\n`);
      const verified = `ca-file ${roots} verify required`;
      const configs = [
        proxy(
          'near.cfg',
          `127.0.0.1:${near} ${plain}`,
          `127.0.0.1:${far} ssl crt ${client} ${verified} ${secure} ${plain}`,
        ),
        proxy('far.cfg', `127.0.0.1:${far} ssl crt ${server} ${verified} ${secure}`, `127.0.0.1:${to} ${plain}`),
      ];
      const proxies = configs.map((config) => spawn('haproxy', ['-db', '-f', config], { stdio: 'ignore' }));
      for (const port of [near, far]) await reachable(port);
      const stop = (): void => {
        for (const child of proxies) child.kill();
        peer.stop();
        rmSync(folder, { recursive: true });
      };
      const opened = { alsoCpu: cpuOf([peer.pid, ...proxies.map(({ pid }) => pid)]) };
      if (kind === 'fetch') {
        const once = async (): Promise<unknown> => (await fetch(`http://127.0.0.1:${near}/x`)).json();
        return { ...opened, once, close: stop };
      }
      const echo = new Echo(`127.0.0.1:${near}`, grpc.credentials.createInsecure());
      const close = (): void => {
        echo.close();
        stop();
      };
      return { ...opened, once: unary(echo), close };
    },
  };
}

async function reachable(port: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`nothing listens on ${port}`);
}

/** A handshake with a server in this process, up to the first byte of a reply: so the tickets have come as well. */
const answer = (socket: tls.TLSSocket): void => {
  socket.on('error', () => {});
  socket.end('x');
};

const byNode = (resumed: boolean): Side => ({
  name: `node:tls, ${resumed ? 'resumed' : 'full'}`,
  open: async (): Promise<Opened> => {
    const own = (issued: typeof web) => ({ cert: issued.chainPem, key: issued.keyPem, ca: ca.root });
    const server = tls.createServer({ ...own(reviews), requestCert: true }, answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const secureContext = tls.createSecureContext(own(web));
    let session: Buffer | undefined;
    const shake = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = tls.connect({
          port,
          host: '127.0.0.1',
          servername: 'reviews',
          secureContext,
          ...(resumed && session !== undefined ? { session } : {}),
        });
        socket.on('session', (bytes) => {
          session = bytes;
        });
        socket.on('error', reject);
        socket.on('end', () => socket.destroy());
        socket.on('close', () => resolve());
        socket.resume();
      });
    return { once: shake, close: () => server.close() };
  },
});

const byMesh = (resumed: boolean): Side => ({
  name: `inmesh, ${resumed ? 'resumed' : 'full'}`,
  open: async (): Promise<Opened> => {
    const factory = (issued: typeof web) => {
      const source = memoryIdentity(stateOf(issued));
      const options = { clock: systemClock, random: systemRandom, logger: silentLogger };
      return tlsFactory({ ...options, providers: { get: () => source } });
    };
    const roots = { kind: 'provider', instance: 'default' } as const;
    const serving = factory(reviews).server({ identity: 'default', roots, requireClientCertificate: true });
    const server = createServer((tcp) => {
      tcp.on('error', () => {});
      serving.secure(tcp, [], { secured: answer, failed() {}, drain() {} });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const calling = factory(web);
    const match = { kind: 'exact', value: reviews.spiffeId as string, ignoreCase: false } as const;
    const config = { sni: 'reviews', identity: 'default', roots, sans: [{ type: 'URI', match }] } as const;
    const one = calling.client(config, 'reviews');
    const shake = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const tcp = connect(port, '127.0.0.1');
        tcp.on('error', reject);
        tcp.once('connect', () => {
          // Sessions are kept by client: another one has none.
          (resumed ? one : calling.client(config, 'reviews')).secure(tcp, [], {
            secured(socket) {
              socket.on('end', () => socket.destroy());
              socket.on('close', () => resolve());
              socket.resume();
            },
            failed: reject,
            drain() {},
          });
        });
      });
    return { once: shake, close: () => server.close() };
  },
});

const installed = (process.env['PATH'] ?? '').split(delimiter).some((at) => existsSync(join(at, 'haproxy')));
if (!installed) console.log('haproxy is not installed: left out');
else if (process.env['INMESH_BENCH_SIDE'] === undefined)
  console.log(execFileSync('haproxy', ['-v'], { encoding: 'utf8' }).split('\n')[0]);

const load = { concurrency: 16, perRun: 8_000, runs: 5 };
const shakes = { concurrency: 4, perRun: 600, runs: 5 };
const calls = (kind: 'fetch' | 'grpc') => ({
  sides: [ours(kind, false), ours(kind, true), ...(installed ? [sidecars(kind)] : [])],
  ...load,
});
report(
  ...(await compareCpuAndRate({ question: 'A fetch call, all processes together, 16 at a time', ...calls('fetch') })),
  ...(await compareCpuAndRate({
    question: 'A unary gRPC call of 100 bytes, all processes together, 16 at a time',
    ...calls('grpc'),
  })),
  ...(await compareCpuAndRate({
    question: 'A mutual handshake, P-256, TLS 1.3, both ends in one process',
    sides: [byNode(false), byMesh(false), byNode(true), byMesh(true)],
    ...shakes,
  })),
);
process.exit();
