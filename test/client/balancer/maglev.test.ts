import { describe, expect, test } from 'vitest';
import { createBalancer } from '../../../src/client/balancer/balancer.js';
import { maglevSteps, slotOf } from '../../../src/client/balancer/maglev-table.js';
import { highWord, lowWord } from '../../../src/client/balancer/hash.js';
import { runToEnd } from '../../../src/core/steps.js';
import { seededRandom } from '../../../src/core/random.js';
import { aLiveEndpoint, hash64 } from '../../support/balancing.js';
import { FakeClock } from '../../support/fake-clock.js';

const ports = (count: number): string[] => Array.from({ length: count }, (_, i) => `127.0.0.1:${90 + i}`);
const tableOf = (keys: readonly string[], weights: readonly number[], size: number): number[] => [
  ...runToEnd(maglevSteps(keys, weights, size, hash64)),
];

// The numbers are those of Envoy's maglev_lb_test.cc.
describe("tables are Envoy's, slot by slot", () => {
  test('six endpoints, by address', () => {
    expect(tableOf(ports(6), new Array(6).fill(1), 7)).toEqual([2, 4, 0, 1, 5, 0, 3]);
  });

  test('six endpoints, by name', () => {
    expect(tableOf(['90', '91', '92', '93', '94', '95'], new Array(6).fill(1), 7)).toEqual([2, 5, 0, 3, 4, 1, 0]);
  });

  test('in whichever order they come', () => {
    const keys = ports(6).reverse();
    expect(tableOf(keys, new Array(6).fill(1), 7).map((owner) => keys[owner])).toEqual(
      [2, 4, 0, 1, 5, 0, 3].map((owner) => ports(6)[owner]),
    );
  });

  test('weights 1 and 2', () => {
    expect(tableOf(ports(2), [1, 2], 17)).toEqual([1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1]);
  });

  test('weights 8 and 2', () => {
    expect(tableOf(['127.0.0.1:90', '127.0.0.1:92'], [1, 1], 17).filter((owner) => owner === 0)).toHaveLength(9);
    // Of localities with weights 8 and 2, one endpoint each.
    expect(tableOf(['127.0.0.1:90', '127.0.0.1:91'], [8, 2], 17)).toEqual([
      1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0,
    ]);
  });

  test('one endpoint with nearly all of the weight, and 1,023 that have one slot each', () => {
    const keys = Array.from({ length: 1_024 }, (_, i) => `127.0.0.1:${i}`);
    const table = tableOf(keys, [127 * 1_023, ...new Array<number>(1_023).fill(1)], 65_537);
    const counts = new Array<number>(1_024).fill(0);
    for (const owner of table) counts[owner] = (counts[owner] as number) + 1;
    expect(counts[0]).toBe(65_537 - 1_023);
    expect(counts.slice(1).every((count) => count === 1)).toBe(true);
  });

  test('the slot of 64 bits is their remainder', () => {
    const random = seededRandom(3);
    for (const size of [2, 7, 65_537, 5_000_011]) {
      for (let i = 0; i < 200; i++) {
        const hash = (BigInt(random.int(2 ** 32)) << 32n) | BigInt(random.int(2 ** 32));
        expect(slotOf(highWord(hash), lowWord(hash), size)).toBe(Number(hash % BigInt(size)));
      }
    }
  });
});

test('more than 65,535 endpoints have a table that can name them', () => {
  const keys = Array.from({ length: 65_536 }, (_, i) => String(i));
  const table = runToEnd(
    maglevSteps(keys, new Array(keys.length).fill(1), 65_537, (text, seed = 0n) => BigInt(text) * 3n + seed),
  );
  expect(new Set(table).size).toBe(65_536);
});

test('a call whose endpoint was tried or cannot be reached has another, the same each time', () => {
  const balancer = createBalancer(
    { balancer: { kind: 'maglev', tableSize: 65_537 } },
    { clock: new FakeClock(), random: seededRandom(1), hash64 },
  );
  const endpoints = ports(6).map((key) => aLiveEndpoint(key));
  balancer.update(endpoints);
  const first = balancer.pick({ hash: 42n });
  const second = balancer.pick({ hash: 42n, tried: [first?.key ?? ''] });
  expect(second).not.toBe(first);
  expect(balancer.pick({ hash: 42n, tried: [first?.key ?? ''] })).toBe(second);
  first?.connectFailed(0);
  expect(balancer.pick({ hash: 42n })).toBe(second);
});
