import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Priority } from '../../src/core/call.js';
import { noMeter } from '../../src/core/meter.js';
import type { CircuitLimitsConfig, PriorityLimits } from '../../src/core/model/circuit-limits.js';
import { CircuitLimits } from '../../src/resilience/concurrency/circuit-limits.js';

/*
 * The limits against a list of what is under way: calls of all priorities at once, while their limits come, change and go. What was let in under other limits
 * stays counted, and each gives back what it took.
 */

type Kind = 'requests' | 'pending' | 'retries';
type Held = readonly [kind: Kind, priority: Priority];

const METHODS = {
  requests: ['tryRequest', 'requestDone'],
  pending: ['tryWait', 'waited'],
  retries: ['tryRetry', 'retryDone'],
} as const;
const LIMITS = { requests: 'maxRequests', pending: 'maxPendingRequests', retries: 'maxRetries' } as const;

/** As the words of the configuration are: nothing is counted but by looking at all. */
class Model {
  readonly held: Held[] = [];

  constructor(public config: CircuitLimitsConfig) {}

  count(kind: Kind, priorities: readonly Priority[] = ['high', 'default', 'batch']): number {
    return this.held.filter(([of, priority]) => of === kind && priorities.includes(priority)).length;
  }

  grants(kind: Kind, priority: Priority): boolean {
    const { config } = this;
    const bulkhead: readonly Priority[] | undefined =
      config.high === undefined ? undefined : priority === 'high' ? ['high'] : ['default', 'batch'];
    const limits: PriorityLimits = (priority === 'high' ? config.high : undefined) ?? config;
    const budget = config.activeRetryBudget;
    let most = limits[LIMITS[kind]] ?? Number.POSITIVE_INFINITY;
    if (kind === 'retries' && budget !== undefined) {
      const active = this.count('requests', bulkhead) + this.count('pending', bulkhead);
      most = Math.max(Math.floor(budget.share * active), budget.minConcurrency);
    }
    if (this.count(kind, bulkhead) >= most) return false;
    if (priority !== 'batch' || kind === 'retries') return true;
    const { batchShare = 0.1 } = config;
    const share = batchShare === 0 ? 0 : Math.max(1, Math.floor((config[LIMITS[kind]] as number) * batchShare));
    return this.count(kind, ['batch']) < share;
  }
}

const limit = fc.nat(6);
const ofPriority = fc.record({
  maxRequests: limit,
  maxPendingRequests: limit,
  maxRetries: fc.option(limit, { nil: undefined }),
});
const config: fc.Arbitrary<CircuitLimitsConfig> = fc
  .record({
    own: ofPriority,
    high: fc.option(ofPriority, { nil: undefined }),
    batchShare: fc.constantFrom(undefined, 0, 0.5, 1),
    activeRetryBudget: fc.option(fc.record({ share: fc.constantFrom(0, 0.25, 1), minConcurrency: fc.nat(3) }), {
      nil: undefined,
    }),
  })
  .map(({ own, ...rest }) => ({ ...own, ...rest, maxConnections: 1 }));

const kinds = fc.constantFrom<Kind>('requests', 'pending', 'retries');
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ take: kinds, priority: fc.constantFrom<Priority>('high', 'default', 'batch') }) },
  { weight: 3, arbitrary: fc.record({ giveBack: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ update: config }) },
);

test('each priority has what its limits say of what is under way, whatever they were when it began, and all comes back', () => {
  fc.assert(
    fc.property(config, fc.array(step, { maxLength: 150, size: '+2' }), (first, steps) => {
      const model = new Model(first);
      const real = new CircuitLimits('reviews', first, noMeter);
      const giveBack = (at: number): void => {
        const [back] = model.held.splice(at, 1);
        if (back !== undefined) real[METHODS[back[0]][1]](back[1]);
      };
      for (const each of steps) {
        if ('update' in each) {
          model.config = each.update;
          real.update(each.update);
        } else if ('giveBack' in each) giveBack(each.giveBack % Math.max(1, model.held.length));
        else {
          const { take, priority } = each;
          const granted = model.grants(take, priority);
          expect(real[METHODS[take][0]](priority)).toBe(granted);
          if (granted) model.held.push([take, priority]);
        }
        for (const kind of ['requests', 'pending', 'retries'] as const) expect(real[kind]).toBe(model.count(kind));
      }
      while (model.held.length > 0) giveBack(0);
      expect([real.requests, real.pending, real.retries]).toEqual([0, 0, 0]);
    }),
    { numRuns: 500 },
  );
});
