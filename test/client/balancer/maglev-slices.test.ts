import { describe, expect, test } from 'vitest';
import { createBalancer } from '../../../src/client/balancer/balancer.js';
import { maglevSteps, slotOf } from '../../../src/client/balancer/maglev-table.js';
import { AT_ONCE } from '../../../src/client/balancer/maglev-lookup.js';
import { highWord, lowWord } from '../../../src/client/balancer/hash.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { runToEnd } from '../../../src/core/steps.js';
import { seededRandom } from '../../../src/core/random.js';
import { aLiveEndpoint, hash64 } from '../../support/balancing.js';
import { FakeClock } from '../../support/fake-clock.js';

/** A prime. */
const LARGE = 300_007;

/** Each look at it is a millisecond: a slice is over after two. */
class BusyClock extends FakeClock {
  #looks = 0;
  /** How often the event loop was given its turn. */
  pauses = 0;
  override after(delayMs: number, task: () => void): () => void {
    this.pauses++;
    return super.after(delayMs, task);
  }

  override now(): number {
    return super.now() + this.#looks++;
  }
}

const HASHES = Array.from({ length: 200 }, (_, i) => BigInt.asUintN(64, BigInt(i + 1) * 0x9e37_79b9_7f4a_7c15n));

/** Where the whole table sends each of them. */
function tabled(endpoints: readonly Endpoint[]): (Endpoint | undefined)[] {
  const keys = endpoints.map(({ key }) => key);
  const table = runToEnd(maglevSteps(keys, new Array(keys.length).fill(1), LARGE, hash64));
  return HASHES.map((hash) => endpoints[table[slotOf(highWord(hash), lowWord(hash), LARGE)] as number]);
}

function large(count = 10) {
  const clock = new BusyClock();
  const endpoints = Array.from({ length: count }, (_, i) => aLiveEndpoint(`10.0.0.${i + 1}:80`));
  const balancer = createBalancer(
    { balancer: { kind: 'maglev', tableSize: LARGE } },
    { clock, random: seededRandom(1), hash64 },
  );
  balancer.update(endpoints);
  const picked = (): (Endpoint | undefined)[] => HASHES.map((hash) => balancer.pick({ hash }));
  /** Lets the table be made to its end. */
  const made = async (): Promise<void> => {
    while (clock.pending > 0) await clock.advance(0);
  };
  return { clock, endpoints, balancer, picked, made };
}

describe(`a Maglev table of more than ${AT_ONCE} slots`, () => {
  test('is made a slice at a time; from the first moment on calls are spread, by a smaller one', async () => {
    const { clock, endpoints, picked, made } = large();
    expect(new Set(picked()).size).toBe(endpoints.length);
    await made();
    expect(clock.pauses).toBeGreaterThan(50);
    expect(picked()).toEqual(tabled(endpoints));
  });

  test('the one before serves until the next is there, but sends no call to an endpoint that is gone', async () => {
    const { endpoints, balancer, picked, made } = large();
    await made();
    const before = picked();
    const [gone, ...rest] = endpoints as [Endpoint, ...Endpoint[]];
    balancer.update(rest);
    const during = picked();
    expect(during).not.toContain(gone);
    before.forEach((endpoint, i) => {
      if (endpoint !== gone) expect(during[i]).toBe(endpoint);
    });
    await made();
    expect(picked()).toEqual(tabled(rest));
  });

  test('updates that come faster than tables: each is obeyed at once, and the last one has its table', async () => {
    const { clock, endpoints, balancer, picked, made } = large();
    for (let i = 1; i < 8; i++) {
      const list = endpoints.slice(i);
      balancer.update(list);
      for (const endpoint of picked()) expect(list).toContain(endpoint);
      await clock.advance(0);
    }
    await made();
    expect(picked()).toEqual(tabled(endpoints.slice(7)));
    balancer.update([]);
    expect(picked().every((endpoint) => endpoint === undefined)).toBe(true);
    balancer.update(endpoints);
    await made();
    expect(picked()).toEqual(tabled(endpoints));
  });

  test('the same endpoints again make no other; others altogether are served at once', async () => {
    const { clock, endpoints, balancer, picked, made } = large();
    await made();
    balancer.update([...endpoints]);
    expect(clock.pending).toBe(0);
    const others = [aLiveEndpoint('10.9.0.1:80'), aLiveEndpoint('10.9.0.2:80')];
    balancer.update(others);
    expect(new Set(picked())).toEqual(new Set(others));
    await made();
    expect(picked()).toEqual(tabled(others));
  });

  test('a balancer that is closed makes no more of it', async () => {
    const { clock, balancer } = large();
    balancer.close();
    await clock.advance(0);
    expect(clock.pending).toBe(0);
  });
});
