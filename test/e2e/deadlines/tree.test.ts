import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../support/http1-fixture.js';
import { StandingClock, Tree } from './tree.js';

/** A deadline far off in real time, as grpc-js has timers of its own. */
const ALLOWED_MS = 60_000;

let clock: StandingClock;
let tree: Tree;
beforeEach(async () => {
  clock = new StandingClock();
  tree = await Tree.start(clock);
});
afterEach(async () => {
  await tree.close();
  expect(clock.pending, 'timers left').toBe(0);
});

/** Turns of the event loop until something is so. */
async function turnsUntil(condition: () => boolean): Promise<number> {
  let turns = 0;
  await until(() => {
    turns++;
    return condition();
  });
  return turns;
}

const working = (): boolean => tree.leaves.every(({ steps }) => steps > 0);
const cancelled = (): boolean => tree.leaves.every(({ seen }) => seen[0]?.cancellation?.cancelled === true);

test('time left strictly decreases at every hop, over HTTP and gRPC', async () => {
  const reply = await tree.customer.fetch('http://frontend/answer', { mesh: { timeoutMs: ALLOWED_MS } });
  expect(await reply.json()).toEqual({ from: '["stock","prices"]' });
  const left = (['frontend', 'reviews', 'ratings', 'stock'] as const).map(
    (name) => tree.hops[name].seen[0]?.allowedMs ?? 0,
  );
  expect(left[0]).toBe(ALLOWED_MS);
  for (const [i, ms] of left.slice(1).entries())
    expect(ms, `hop ${i + 2}`).toBeLessThanOrEqual((left[i] as number) - 5);
  expect(left.at(-1)).toBeGreaterThan(0);
  expect(tree.hops.prices.seen[0]?.allowedMs).toBe(left.at(-1));
});

describe('when the customer goes away', () => {
  test('every call of the tree is cancelled, down to the leaves, and no work is done for it any more', async () => {
    const customer = new AbortController();
    const gone = expect(
      tree.customer.fetch('http://frontend/work', { signal: customer.signal, mesh: { timeoutMs: ALLOWED_MS } }),
    ).rejects.toThrow('bye');
    await until(working);
    customer.abort(new Error('bye'));
    const turns = await turnsUntil(cancelled);
    await gone;
    // About ten, as sockets are read in turns: it does not wait for any timer, nor for anybody's work.
    expect(turns).toBeLessThan(200);
    const { leaves } = tree;
    const done = leaves.map(({ steps }) => steps);
    await until(() => tree.gaveUp.length === 5);
    await turnsUntil(inTurns(50));
    expect(leaves.map(({ steps }) => steps)).toEqual(done);
    // Each handler has tried something else; nothing of that was sent.
    expect([...tree.gaveUp].sort()).toEqual(['frontend', 'prices', 'ratings', 'reviews', 'stock']);
    expect(Object.values(tree.hops).map(({ fallbacks }) => fallbacks)).toEqual([0, 0, 0, 0, 0]);
  });

  test('without a deadline it is the same', async () => {
    const customer = new AbortController();
    const gone = expect(tree.customer.fetch('http://frontend/work', { signal: customer.signal })).rejects.toThrow();
    await until(working);
    customer.abort();
    await turnsUntil(cancelled);
    await gone;
  });
});

describe('when the time is up', () => {
  test('the deepest gives up first, and its reason reaches the customer while that still waits', async () => {
    const replying = tree.customer.fetch('http://frontend/work', { mesh: { timeoutMs: ALLOWED_MS } });
    let response: Response | undefined;
    void replying.then((answer) => {
      response = answer;
    });
    await until(working);
    await clock.advance(ALLOWED_MS - 100);
    expect(tree.gaveUp).toEqual([]);
    while (tree.gaveUp.length === 0) await clock.advance(1);
    expect(response).toBeUndefined();
    // From here on the clock stands: all that happens happens in time.
    await until(() => response !== undefined);
    expect(response?.status).toBe(500);
    expect(await response?.text()).toMatch(/(stock|prices): DEADLINE_EXCEEDED/);
    expect(['stock', 'prices']).toContain(tree.gaveUp[0]);
    const leaves = tree.leaves.map(({ name }) => name);
    expect(tree.gaveUp.filter((name) => !leaves.includes(name))).toEqual(['ratings', 'reviews', 'frontend']);
    // Each of the three had kept enough to try something else.
    expect(tree.hops.stock.fallbacks).toBe(3);
  });
});

/** True after so many times of asking. */
function inTurns(count: number): () => boolean {
  let left = count;
  return () => left-- <= 0;
}
