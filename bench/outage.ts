/*
 * A service answers 503 for 30 s under a load of 100 calls a second, each of which may be tried four times. How many requests reach the service, and how
 * soon are its callers well again when it is? mesh.fetch beside undici's RetryAgent and p-retry around the built-in fetch, all at the same time.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pRetry from 'p-retry';
import { Agent, RetryAgent } from 'undici';
import { meshClient } from '../src/index.js';
import { SMOKE } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const CALLS_PER_SECOND = 100;
const TICK_MS = 10;
const [BEFORE_MS, OUTAGE_MS, AFTER_MS] = SMOKE ? [100, 200, 200] : [10_000, 30_000, 10_000];
const RETRIES = 3;
const DOWN = 503;

interface Side {
  readonly name: string;
  /** One call; resolves with whether it was answered well. */
  call(): Promise<boolean>;
  close(): unknown;
}

const folder = mkdtempSync(join(tmpdir(), 'inmesh-outage-'));
const peer = await startPeer('outage', '3');
const control = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${peer.control}${path}`);
const [ofMesh, ofAgent, ofRetry] = (await (await control('/ports')).json()) as [number, number, number];

function meshSide(port: number): Side {
  const file = join(folder, 'mesh.yaml');
  writeFileSync(
    file,
    `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:${port}"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }], retry: { attempts: ${RETRIES}, codes: [${DOWN}], backoff: 25ms } }]
`,
  );
  const mesh = meshClient({ config: file });
  return {
    name: 'mesh.fetch',
    async call() {
      const reply = await mesh.fetch('http://reviews/');
      await reply.arrayBuffer();
      return reply.ok;
    },
    close: () => mesh.close(),
  };
}

function retryAgentSide(port: number): Side {
  const agent = new RetryAgent(new Agent(), {
    maxRetries: RETRIES,
    minTimeout: 25,
    maxTimeout: 250,
    statusCodes: [DOWN],
  });
  return {
    name: 'undici RetryAgent',
    async call() {
      const reply = await agent.request({ origin: `http://127.0.0.1:${port}`, path: '/', method: 'GET' });
      await reply.body.dump();
      return reply.statusCode === 200;
    },
    close: () => agent.close(),
  };
}

function pRetrySide(port: number): Side {
  const attempt = async (): Promise<boolean> => {
    const reply = await fetch(`http://127.0.0.1:${port}/`);
    await reply.arrayBuffer();
    if (!reply.ok) throw new Error(`${reply.status}`);
    return true;
  };
  return {
    name: 'p-retry',
    call: () => pRetry(attempt, { retries: RETRIES, minTimeout: 25, maxTimeout: 250, randomize: true }),
    close: () => {},
  };
}

const sides = [meshSide(ofMesh), retryAgentSide(ofAgent), pRetrySide(ofRetry)];
/** Per side: when each call that failed was made, and when the last one was over that had been made in the outage. */
const failed = sides.map((): number[] => []);
const pending: Promise<unknown>[] = [];

/** Calls of all sides at a steady rate, whatever becomes of them; resolves with how many each side has made. */
async function load(durationMs: number): Promise<number> {
  const started = performance.now();
  let made = 0;
  for (let now = 0; now < durationMs; now = performance.now() - started) {
    for (const due = (now * CALLS_PER_SECOND) / 1_000; made < due; made++) {
      const at = performance.now();
      for (const [i, side] of sides.entries()) {
        const note = (ok: boolean): void => void (!ok && failed[i]?.push(at));
        pending.push(side.call().then(note, () => note(false)));
      }
    }
    await sleep(TICK_MS);
  }
  return made;
}

const seen = async (): Promise<number[]> => (await (await control('/seen')).json()) as number[];

await load(BEFORE_MS);
await control('/down?yes=1');
await seen();
const calls = await load(OUTAGE_MS);
const requests = await seen();
await control('/down?yes=0');
const wellAt = performance.now();
await load(AFTER_MS);
await Promise.all(pending);

interface Result {
  readonly calls: number;
  readonly requests: number;
  readonly load: number;
  readonly beyondFloor: number;
  readonly recoveryMs: number;
}
const results: Record<string, Result> = {};
/** Retries that the budget grants whatever the load: 10 a second. */
const floor = (10 * OUTAGE_MS) / 1_000;
for (const [i, { name }] of sides.entries()) {
  const got = requests[i] as number;
  const last = Math.max(...(failed[i] as number[]).map((at) => at - wellAt), 0);
  // "load on the failing service ≤ 1.2 × + the floor"
  const beyondFloor = Math.max(calls, got - floor) / calls;
  results[name] = { calls, requests: got, load: got / calls, beyondFloor, recoveryMs: last };
  console.log(
    `  ${name.padEnd(18)} ${(got / calls).toFixed(2)} times the load in the outage, ${beyondFloor.toFixed(2)} without the floor; ` +
      `the last call that failed was made ${last.toFixed(0)} ms after it`,
  );
}
console.log(`  at most: 1.20 times, and the floor of ${floor} retries for ${calls} calls`);
for (const side of sides) await side.close();
peer.stop();
rmSync(folder, { recursive: true });
console.log(`JSON ${JSON.stringify(results)}`);
process.exit();
