/*
 * A server closes idle connections after 20 ms and says so to nobody; calls come about every 20 ms. How many fail because the request crossed with the
 * end of the connection, over mesh.fetch and over the built-in fetch?
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { meshClient } from '../src/index.js';
import { SMOKE } from './lib/compare.js';
import { startPeer } from './lib/peers.js';

const IDLE_MS = 20;
/** Calls at once, each over an idle connection of its own. */
const LANES = 10;
const ROUNDS = SMOKE ? 5 : 300;

interface Side {
  readonly name: string;
  call(): Promise<Response>;
  close(): unknown;
}

const peer = await startPeer('idle', `${IDLE_MS}`);
const url = `http://127.0.0.1:${peer.port}/`;
const mesh = meshClient({ services: { idle: [`127.0.0.1:${peer.port}`] } });
const sides: readonly Side[] = [
  { name: 'mesh.fetch', call: () => mesh.fetch('http://idle/'), close: () => mesh.close() },
  { name: 'built-in fetch', call: () => fetch(url), close: () => {} },
];

const results: Record<string, { calls: number; failed: number; retries: number }> = {};
for (const side of sides) {
  let failed = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await Promise.all(
      Array.from({ length: LANES }, () =>
        side
          .call()
          .then((reply) => reply.text())
          .catch(() => failed++),
      ),
    );
    // From 3 ms before the end of the idle time to 1 ms after it, in steps of a tenth of a millisecond; the last ones by turning, as timers are too coarse.
    const until = started + IDLE_MS - 3 + (round % 40) / 10;
    await sleep(Math.max(0, until - performance.now() - 2));
    while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
  }
  const retried = /^mesh_client_retries_total\{[^}]*\} (\d+)/m.exec(mesh.prometheus())?.[1];
  const retries = side.name === 'mesh.fetch' ? Number(retried ?? 0) : 0;
  results[side.name] = { calls: ROUNDS * LANES, failed, retries };
  const share = ((100 * failed) / (ROUNDS * LANES)).toFixed(2);
  console.log(
    `  ${side.name.padEnd(16)} ${failed} of ${ROUNDS * LANES} calls failed (${share} %), ${retries} retries from the budget`,
  );
}
for (const side of sides) await side.close();
peer.stop();
console.log(`JSON ${JSON.stringify(results)}`);
process.exit();
