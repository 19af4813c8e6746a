import { describe, expect, test } from 'vitest';
import type { PickRequest } from '../../../src/client/balancer/balancer.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { redraw } from '../../../src/client/endpoints/redraw.js';
import { DEFAULT_RETRY } from '../../../src/core/model/route.js';
import { aLiveEndpoint, balancing } from '../../support/balancing.js';
import { aCall, aReply } from '../../support/calls.js';
import { failoverClient, leveled } from '../../support/failover.js';
import { aForward, aRoute, aTarget } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const C = '10.0.0.3:80';

/** Picks these in turn, and writes down what it was asked. */
function inTurn(...keys: readonly string[]) {
  const asked: PickRequest[] = [];
  const endpoints = new Map(keys.map((key) => [key, aLiveEndpoint(key)]));
  const pick = (request: PickRequest): Endpoint | undefined => endpoints.get(keys[asked.push(request) - 1] as string);
  return { asked, pick };
}

describe('host_selection_retry_max_attempts, as Envoy counts it', () => {
  const call = aCall().attemptOf(3, [A, B]);

  test('the first that was not tried is taken', () => {
    const { asked, pick } = inTurn(A, B, C, A);
    expect(redraw(call, 5, pick)?.key).toBe(C);
    expect(asked.map(({ draw }) => draw)).toEqual([0, 1, 2]);
  });

  test.each([1, 2, 4])('after %d draws more than the first the last one will do, tried or not', (redraws) => {
    const { asked, pick } = inTurn(B, A, B, A, B, A, B);
    expect(redraw(call, redraws, pick)?.key).toBe(redraws % 2 === 0 ? B : A);
    expect(asked).toHaveLength(redraws + 1);
  });

  test('where there is nobody it is not asked again', () => {
    const { asked, pick } = inTurn();
    expect(redraw(call, 5, pick)).toBeUndefined();
    expect(asked).toHaveLength(1);
  });

  test('the balancer is not told whom to avoid', () => {
    const { asked, pick } = inTurn(C);
    redraw(call, 1, pick);
    expect(asked[0]).not.toHaveProperty('tried');
  });

  test.each([
    ['ring_hash', { kind: 'ring_hash', minSize: 64, maxSize: 64 }],
    ['maglev', { kind: 'maglev', tableSize: 65_537 }],
  ] as const)('what goes by a hash draws another each time: %s', (_, balancer) => {
    const { balancer: made } = balancing({ balancer }, [1, 1, 1, 1, 1, 1]);
    for (const hash of [0n, 1n << 63n, 12_345n]) {
      const drawn = [0, 1, 2, 3, 4, 5, 6, 7].map((draw) => made.pick({ hash, draw })?.key);
      expect(drawn[0]).toBe(made.pick({ hash })?.key);
      expect(new Set(drawn).size).toBeGreaterThan(1);
      // And the same each time it is asked.
      expect(drawn).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((draw) => made.pick({ hash, draw })?.key));
    }
  });
});

test('a retry draws as often as its route says', async () => {
  const client = failoverClient({ answer: (endpoint) => aReply(endpoint === A ? 503 : 200) });
  const retry = { ...DEFAULT_RETRY, hostSelection: { avoidPrevious: true, maxAttempts: 1 } };
  const action = aForward({ reviews: 1 }, { timeoutMs: 0, retry });
  const call = async (): Promise<void> => {
    let over = false;
    void client.call().finally(() => {
      over = true;
    });
    // Past the back-off of a retry, if there is one.
    while (!over) await client.clock.advance(250);
  };
  const first = call();
  const config = leveled('reviews', [[A, B]], { balancer: { kind: 'random' } });
  client.source.of('reviews').changed(aTarget([aRoute({ action })], [config]));
  await first;
  client.took();
  let again = 0;
  let retries = 0;
  while (retries < 300) {
    await call();
    const [one, two] = client.took();
    if (two === undefined) continue;
    retries++;
    if (one === two) again++;
  }
  // It draws twice, and so comes back to the one that was tried in 1 of 4. Chance: 5 × √(1/4 × 3/4 ÷ 300) < 0.126.
  expect(Math.abs(again / retries - 1 / 4)).toBeLessThan(0.126);
});
