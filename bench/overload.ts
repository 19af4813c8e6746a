/*
 * A service gets from half to three times the requests that it can serve, from callers who wait for half a second. How many of them does it answer in time, with
 * shedding and without? The same in virtual time is test/experiments/overload.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from 'undici';
import { SMOKE } from './lib/compare.js';
import { type Peer, startPeer } from './lib/peers.js';

const LOADS = SMOKE ? [0.5, 3] : [0.5, 0.75, 1, 1.5, 2, 3];
const STEP_MS = SMOKE ? 300 : 2_500;
/** At the beginning of each step, not counted. */
const WARM_UP_MS = SMOKE ? 50 : 750;
const CALIBRATE_MS = SMOKE ? 200 : 1_500;
const PATIENCE_MS = 500;
const TICK_MS = 5;
const CONNECTIONS = 512;

interface Point {
  readonly load: number;
  readonly goodput: number;
  readonly refused: number;
  readonly late: number;
}

type Answer = 'good' | 'refused' | 'late';

async function ask(peer: Peer, agent: Agent): Promise<Answer> {
  const leaving = new AbortController();
  const timer = setTimeout(() => leaving.abort(), PATIENCE_MS);
  try {
    const { statusCode, body } = await agent.request({
      origin: `http://127.0.0.1:${peer.port}`,
      path: '/',
      method: 'GET',
      signal: leaving.signal,
    });
    await body.dump();
    return statusCode === 200 ? 'good' : 'refused';
  } catch {
    return 'late';
  } finally {
    clearTimeout(timer);
  }
}

/** Requests a second that 8 callers get answered who ask one after the other. */
async function capacityOf(peer: Peer): Promise<number> {
  const agent = new Agent();
  const until = performance.now() + CALIBRATE_MS;
  let answered = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) if ((await ask(peer, agent)) === 'good') answered++;
  };
  await Promise.all(Array.from({ length: 8 }, caller));
  await agent.close();
  return (answered / CALIBRATE_MS) * 1_000;
}

/**
 * Opens the connections that callers have to a service they have called before. Node takes one new one a turn: those that come all at once wait in the kernel,
 * where nobody sees them.
 */
async function warm(peer: Peer, agent: Agent): Promise<void> {
  const once = async (): Promise<void> => {
    const { body } = await agent.request({ origin: `http://127.0.0.1:${peer.port}`, path: '/', method: 'GET' });
    await body.dump();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, once));
}

/** Requests at a steady rate, whatever becomes of them. */
async function step(peer: Peer, load: number, perSecond: number): Promise<Point> {
  const agent = new Agent();
  await warm(peer, agent);
  const counts: Record<Answer, number> = { good: 0, refused: 0, late: 0 };
  const pending: Promise<unknown>[] = [];
  const started = performance.now();
  let made = 0;
  for (let now = 0; now < STEP_MS; now = performance.now() - started) {
    for (const due = (now * perSecond) / 1_000; made < due; made++) {
      const counted = now >= WARM_UP_MS;
      pending.push(ask(peer, agent).then((answer) => void (counted && counts[answer]++)));
    }
    await sleep(TICK_MS);
  }
  await Promise.all(pending);
  await agent.destroy();
  const asked = counts.good + counts.refused + counts.late;
  return {
    load,
    goodput: (counts.good / (STEP_MS - WARM_UP_MS)) * 1_000,
    refused: counts.refused / asked,
    late: counts.late / asked,
  };
}

const calibrated = await startPeer('overload', 'none');
const capacity = await capacityOf(calibrated);
calibrated.stop();
console.log(`  the service can serve ${capacity.toFixed(0)} requests a second`);

const sides: Record<string, Point[]> = {};
for (const side of ['without', 'shed']) {
  const points: Point[] = [];
  for (const load of LOADS) {
    // A service of its own for each: what one load has left behind is no part of the next.
    const peer = await startPeer('overload', side);
    points.push(await step(peer, load, load * capacity));
    peer.stop();
  }
  sides[side] = points;
}
const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
for (const [i, load] of LOADS.entries()) {
  const [without, shed] = [sides.without?.[i] as Point, sides.shed?.[i] as Point];
  const shown = ({ goodput, refused, late }: Point): string =>
    `${goodput.toFixed(0).padStart(5)} a second in time, ${percent(refused)} refused, ${percent(late)} late`;
  console.log(`  ${`${load}×`.padEnd(6)} without: ${shown(without)}; with shedding: ${shown(shed)}`);
}
const best = Math.max(...(sides.shed as Point[]).map(({ goodput }) => goodput));
console.log(
  `  with shedding, at ${LOADS.at(-1)}×: ${(((sides.shed as Point[]).at(-1) as Point).goodput / best).toFixed(2)} of its best`,
);
console.log(`JSON ${JSON.stringify({ capacity, patienceMs: PATIENCE_MS, ...sides })}`);
process.exit();
