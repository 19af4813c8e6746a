import fc from 'fast-check';
import { expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { LimitVerdict } from '../../../src/core/limits.js';
import type { Limit, LimitRule } from '../../../src/core/model/limit.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';
import { letsThrough, type Passed } from './oracle.js';

const PER = 1_000;
const limit: fc.Arbitrary<Limit> = fc.oneof(
  fc.record({
    algorithm: fc.constant('token_bucket' as const),
    requests: fc.integer({ min: 1, max: 8 }),
    perMs: fc.constant(PER),
    burst: fc.integer({ min: 1, max: 5 }),
  }),
  fc.record({
    algorithm: fc.constantFrom('fixed_window', 'sliding_window', 'sliding_log'),
    requests: fc.integer({ min: 0, max: 8 }),
    perMs: fc.constant(PER),
  }),
);
const rule = fc.record({
  limit,
  byUser: fc.boolean(),
  mode: fc.constantFrom<LimitRule['mode'][]>('enforce', 'enforce', 'shadow'),
  cost: fc.integer({ min: 0, max: 3 }),
});

test('of several rules each lets through what it would alone among what all let through, and shadow rules decide nothing', async () => {
  const happens = fc.array(fc.record({ wait: fc.integer({ min: 0, max: 700 }), user: fc.constantFrom('a', 'b') }), {
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(rule, { minLength: 1, maxLength: 4 }), happens, async (rules, steps) => {
      const { clock, compile, events } = limitsEnv();
      const limits = compile(
        rules.map((of, i) =>
          limitRule({
            name: `rule ${i}`,
            limit: of.limit,
            mode: of.mode,
            cost: of.cost,
            key: of.byUser ? [{ as: 'user', kind: 'header', name: 'x-user' }] : [],
          }),
        ),
      );
      const passed = new Map<string, Passed[]>();
      for (const { wait, user } of steps) {
        await clock.advance(wait);
        const at = clock.wallTime();
        const counts = rules.map((of, i) => ({ ...of, name: `${i} ${of.byUser ? user : ''}` }));
        const agrees = counts.map((of) => letsThrough(of.limit, passed.get(of.name) ?? [], at, of.cost));
        const allowed = counts.every(({ mode }, i) => mode === 'shadow' || agrees[i]);
        events.length = 0;
        const verdict = limits.check(limitRequest({ headers: headerFields({ 'x-user': user }) })) as LimitVerdict;
        expect(verdict.kind).toBe(allowed ? 'allowed' : 'refused');
        const shadowed = counts.flatMap(({ mode }, i) =>
          mode === 'shadow' && !agrees[i] && allowed ? [`rule ${i}`] : [],
        );
        expect(events.flatMap((event) => (event.kind === 'limit:refused' && event.shadow ? [event.rule] : []))).toEqual(
          shadowed,
        );
        for (const [i, { name, cost }] of counts.entries()) {
          if (allowed && agrees[i] && cost > 0) passed.set(name, [...(passed.get(name) ?? []), { at, cost }]);
        }
      }
    }),
    { numRuns: 200 },
  );
});
