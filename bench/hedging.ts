/*
 * Five servers of a median of 167 ms, of which one begins to take 2 s; 200 calls a second. What is the 99th percentile of the next 5 s with hedging and
 * without, and how much more load does it bring? With a balancer that goes round (a fifth of all calls meets the slow one), and with the default, which
 * learns to avoid it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Mesh, meshClient } from '../src/index.js';
import { SMOKE } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const CALLS_PER_SECOND = 200;
const TICK_MS = 10;
/** Of each side: all are well, and latencies are learnt; one is slow. */
const [LEARN_MS, MEASURE_MS] = SMOKE ? [100, 200] : [2_000, 5_000];
const SLOW_MS = 2_000;

const folder = mkdtempSync(join(tmpdir(), 'inmesh-hedging-'));
const peer = await startPeer('slow', '5');
const control = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${peer.control}${path}`);
const ports = (await (await control('/ports')).json()) as { readonly http: number }[];

function meshWith(balancer: string, hedge: string | undefined): Mesh {
  const file = join(folder, `${balancer}-${hedge === undefined ? 'off' : 'on'}.yaml`);
  const policy =
    hedge === undefined
      ? ''
      : `---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews }]
  hedge: ${hedge}
`;
  writeFileSync(
    file,
    `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${ports.map(({ http }) => `"127.0.0.1:${http}"`).join(', ')}] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  loadBalancer: { simple: ${balancer} }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }] }]
${policy}`,
  );
  return meshClient({ config: file });
}

const hedgesOf = (mesh: Mesh): number =>
  Number(/^mesh_client_hedges_total\{[^}]*\} (\d+)/m.exec(mesh.prometheus())?.[1] ?? 0);

async function measure(mesh: Mesh): Promise<{ calls: number; hedges: number; p50: number; p99: number }> {
  await mesh.ready();
  const started = performance.now();
  const latencies: number[] = [];
  const pending: Promise<unknown>[] = [];
  let made = 0;
  let hedgesBefore = 0;
  let learning = true;
  for (let now = 0; now < LEARN_MS + MEASURE_MS; now = performance.now() - started) {
    if (learning && now >= LEARN_MS) {
      learning = false;
      hedgesBefore = hedgesOf(mesh);
      await control(`/slow?ms=${SLOW_MS}`);
    }
    for (const due = (now * CALLS_PER_SECOND) / 1_000; made < due; made++) {
      const counted = !learning;
      const at = performance.now();
      pending.push(
        mesh
          .fetch('http://reviews/')
          .then((reply) => reply.text())
          .then(() => counted && latencies.push(performance.now() - at)),
      );
    }
    await sleep(TICK_MS);
  }
  await control('/slow?ms=0');
  await Promise.all(pending);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.ceil(share * latencies.length) - 1] ?? Number.NaN;
  return { calls: latencies.length, hedges: hedgesOf(mesh) - hedgesBefore, p50: at(0.5), p99: at(0.99) };
}

const sides: readonly [string, string, string | undefined][] = [
  ['round robin', 'ROUND_ROBIN', undefined],
  ['round robin, hedged after 400 ms', 'ROUND_ROBIN', '{ delay: 400ms, maxExtraPercent: 30 }'],
  ['peak EWMA', 'PEAK_EWMA', undefined],
  ['peak EWMA, hedged after the live p95', 'PEAK_EWMA', '{}'],
];
const results: Record<string, Awaited<ReturnType<typeof measure>>> = {};
for (const [name, balancer, hedge] of sides) {
  const mesh = meshWith(balancer, hedge);
  const result = await measure(mesh);
  await mesh.close();
  results[name] = result;
  const extra = ((100 * result.hedges) / result.calls).toFixed(1);
  console.log(
    `  ${name.padEnd(37)} p50 ${result.p50.toFixed(0).padStart(4)} ms, p99 ${result.p99.toFixed(0).padStart(4)} ms, extra load ${extra} %`,
  );
}
peer.stop();
rmSync(folder, { recursive: true });
console.log(`JSON ${JSON.stringify(results)}`);
process.exit();
