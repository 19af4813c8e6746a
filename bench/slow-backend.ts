/*
 * Beyond round robin, in real time: 11 servers of a median of 167 ms, 1,000 calls a second, a limit of 1 s; one takes 2 s for the middle half. How many
 * calls are answered in time, by mesh.fetch and beside it undici's BalancedPool, grpc-js round_robin and, where it is installed, haproxy leastconn?
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { Agent, BalancedPool } from 'undici';
import { meshClient } from '../src/index.js';
import { SMOKE } from './lib/compare.js';
import { ECHO } from './lib/echo.js';
import { startPeer } from './lib/peers.js';

const BACKENDS = 11;
const CALLS_PER_SECOND = 1_000;
const LIMIT_MS = 1_000;
const TICK_MS = 10;
/** Of each side: well, slow, well. INMESH_SLOW_SECONDS=180 is the length that the experiment in virtual time has; INMESH_SLOW_SIDE names one side alone. */
const SECONDS = SMOKE ? 0.4 : Number(process.env['INMESH_SLOW_SECONDS'] ?? 40);
const PHASES_MS = [250 * SECONDS, 500 * SECONDS, 250 * SECONDS];

interface Port {
  readonly http: number;
  readonly grpc: number;
}

interface Side {
  /** One call; rejects when it has failed, or taken more than the limit. */
  call(): Promise<unknown>;
  close(): unknown;
}

const folder = mkdtempSync(join(tmpdir(), 'inmesh-slow-'));
const listOf = (ports: readonly Port[]): string => ports.map(({ http }) => `"127.0.0.1:${http}"`).join(', ');

async function mesh(simple: string, ports: readonly Port[]): Promise<Side> {
  const file = join(folder, `${simple}.yaml`);
  writeFileSync(
    file,
    `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${listOf(ports)}] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  loadBalancer: { simple: ${simple} }
`,
  );
  const client = await meshClient({ config: file });
  return {
    async call() {
      const reply = await client.fetch('http://reviews/', { mesh: { timeoutMs: LIMIT_MS } });
      await reply.arrayBuffer();
    },
    close: () => client.close(),
  };
}

async function balancedPool(ports: readonly Port[]): Promise<Side> {
  const pool = new BalancedPool(ports.map(({ http }) => `http://127.0.0.1:${http}`));
  return {
    async call() {
      const reply = await pool.request({ method: 'GET', path: '/', signal: AbortSignal.timeout(LIMIT_MS) });
      await reply.body.dump();
    },
    close: () => pool.destroy(),
  };
}

async function grpcRoundRobin(ports: readonly Port[]): Promise<Side> {
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  const target = `ipv4:${ports.map((port) => `127.0.0.1:${port.grpc}`).join(',')}`;
  const client = new Echo(target, grpc.credentials.createInsecure(), {
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    'grpc.enable_retries': 0,
  });
  const get = (client as unknown as { get: (...args: unknown[]) => void }).get.bind(client);
  return {
    call: () =>
      new Promise<void>((resolve, reject) => {
        const done = (error: unknown): void => (error === null ? resolve() : reject(error));
        get(Buffer.alloc(10), new grpc.Metadata(), { deadline: Date.now() + LIMIT_MS }, done);
      }),
    close: () => client.close(),
  };
}

async function haproxy(ports: readonly Port[]): Promise<Side> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  balance leastconn
${ports.map(({ http }, i) => `  server s${i} 127.0.0.1:${http}`).join('\n')}
`,
  );
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  await sleep(500);
  const agent = new Agent();
  return {
    async call() {
      const signal = AbortSignal.timeout(LIMIT_MS);
      const reply = await agent.request({ origin: `http://127.0.0.1:${port}`, method: 'GET', path: '/', signal });
      await reply.body.dump();
    },
    async close() {
      await agent.destroy();
      child.kill();
    },
  };
}

const sides: Record<string, (ports: readonly Port[]) => Promise<Side>> = {
  'mesh.fetch, ROUND_ROBIN': (ports) => mesh('ROUND_ROBIN', ports),
  'mesh.fetch, LEAST_REQUEST': (ports) => mesh('LEAST_REQUEST', ports),
  'mesh.fetch, PEAK_EWMA': (ports) => mesh('PEAK_EWMA', ports),
  'undici BalancedPool': balancedPool,
  'grpc-js round_robin': grpcRoundRobin,
};
const installed = (process.env['PATH'] ?? '').split(delimiter).some((at) => existsSync(join(at, 'haproxy')));
if (installed) sides['haproxy leastconn'] = haproxy;
else console.log('haproxy is not installed: left out');

/** Calls at a steady rate, whatever becomes of them. */
async function load(side: Side, durationMs: number, count: (ok: boolean) => void): Promise<Promise<void>[]> {
  const started = performance.now();
  const pending: Promise<void>[] = [];
  let made = 0;
  while (performance.now() - started < durationMs) {
    const due = ((performance.now() - started) * CALLS_PER_SECOND) / 1_000;
    for (; made < due; made++) {
      pending.push(
        side.call().then(
          () => count(true),
          () => count(false),
        ),
      );
    }
    await sleep(TICK_MS);
  }
  return pending;
}

const results: Record<string, { calls: number; ok: number; successRate: number }> = {};
const peer = await startPeer('slow', `${BACKENDS}`);
const control = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${peer.control}${path}`);
const ports = (await (await control('/ports')).json()) as Port[];
for (const [name, open] of Object.entries(sides)) {
  if (!name.includes(process.env['INMESH_SLOW_SIDE'] ?? '')) continue;
  const side = await open(ports);
  let calls = 0;
  let ok = 0;
  const pending: Promise<void>[] = [];
  for (const [i, durationMs] of PHASES_MS.entries()) {
    await control(`/slow?ms=${i === 1 ? 2_000 : 0}`);
    pending.push(
      ...(await load(side, durationMs, (succeeded) => {
        calls++;
        if (succeeded) ok++;
      })),
    );
  }
  await Promise.all(pending);
  await side.close();
  results[name] = { calls, ok, successRate: ok / calls };
  console.log(`  ${name.padEnd(28)} ${((100 * ok) / calls).toFixed(2)} % of ${calls} calls`);
}
peer.stop();
rmSync(folder, { recursive: true });
console.log(`JSON ${JSON.stringify(results)}`);
process.exit();
