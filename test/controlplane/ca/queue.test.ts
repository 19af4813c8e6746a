import { afterEach, describe, expect, test } from 'vitest';
import { DEFAULT_QUEUE, SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import { FakeClock } from '../../support/fake-clock.js';

const opened: SigningQueue[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((queue) => queue.close()));
});

function queueOf(options = DEFAULT_QUEUE) {
  const queue = new SigningQueue(new FakeClock(), options);
  opened.push(queue);
  /** Callers in the order in which they had their turns. */
  const order: string[] = [];
  const ask = (caller: string): Promise<void> => queue.run(caller, async () => void order.push(caller));
  return { queue, order, ask };
}

describe('the signing queue', () => {
  test('of one caller who asks ten thousand times, twenty others wait for a batch and their own round at most', async () => {
    const { queue, order, ask } = queueOf();
    const refusals: unknown[] = [];
    const greedy = Array.from({ length: 10_000 }, () => ask('greedy').catch((error: unknown) => refusals.push(error)));
    const others = Array.from({ length: 20 }, (_, i) => `other ${i}`);
    await Promise.all(others.map(ask));
    // They stand in line once each: between two of them the greedy one has no more than one turn.
    const last = Math.max(...others.map((caller) => order.indexOf(caller)));
    expect(last).toBeLessThan(DEFAULT_QUEUE.batch + 2 * others.length);
    await Promise.all(greedy);
    expect(refusals).toHaveLength(10_000 - DEFAULT_QUEUE.maxPerCaller);
    expect(queue.waiting).toBe(0);
  });

  test('ten thousand callers who come at once are all served, in the order in which they came', async () => {
    const { order, ask } = queueOf();
    const callers = Array.from({ length: 10_000 }, (_, i) => `caller ${i}`);
    await Promise.all(callers.map(ask));
    expect(order).toEqual(callers);
  });

  test('who comes while ten thousand others wait, each once, is served after them and before any of them comes again', async () => {
    const { order, ask } = queueOf();
    const callers = Array.from({ length: 10_000 }, (_, i) => `caller ${i}`);
    const first = callers.map(ask);
    const late = ask('late');
    const again = callers.slice(0, 5_000).map(ask);
    await late;
    expect(order.indexOf('late')).toBeLessThanOrEqual(10_000);
    await Promise.all([...first, ...again]);
  });

  test('a turn comes back to the event loop between two batches', async () => {
    const { order, ask } = queueOf();
    const all = Array.from({ length: 1_000 }, (_, i) => ask(`caller ${i}`));
    const seen: number[] = [];
    let ended = false;
    const look = (): void => {
      seen.push(order.length);
      if (!ended) setImmediate(look);
    };
    look();
    await Promise.all(all);
    ended = true;
    const steps = seen.map((length, i) => length - (seen[i - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(2 * DEFAULT_QUEUE.batch);
  });
});
