import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Flows } from '../../../src/resilience/ratelimit/queue/flows.js';

interface One {
  readonly flow: string;
  readonly cost: number;
}

/** All of them in the order of their turns, as they are taken out one after the other. */
function drained(flows: Flows<One>): One[] {
  const order: One[] = [];
  for (let one = flows.shift(); one !== undefined; one = flows.shift()) order.push(one);
  return order;
}

test('whatever comes and goes: what is ahead of a newcomer is what will have been taken out before it', () => {
  const flow = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ add: flow, cost: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ remove: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.record({ displaceFor: flow }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), flow, (steps, newcomer) => {
      const flows = new Flows<One>();
      let there: One[] = [];
      const waiting = (of: string): number => there.filter((one) => one.flow === of).length;
      for (const one of steps) {
        if (one === 'shift') {
          const first = flows.shift();
          there = there.filter((it) => it !== first);
        } else if ('add' in one) {
          const added = { flow: one.add, cost: one.cost };
          there.push(added);
          flows.add(added);
        } else if ('remove' in one) {
          const gone = there[one.remove % Math.max(1, there.length)];
          if (gone !== undefined) expect([flows.remove(gone), flows.remove(gone)]).toEqual([true, false]);
          there = there.filter((it) => it !== gone);
        } else {
          const most = Math.max(0, ...there.map((it) => waiting(it.flow)));
          const displaced = flows.displaceFor(one.displaceFor);
          if (most <= waiting(one.displaceFor) + 1) expect(displaced).toBeUndefined();
          else {
            expect(waiting((displaced as One).flow)).toBe(most);
            expect(displaced).toBe(there.findLast((it) => it.flow === displaced?.flow));
          }
          there = there.filter((it) => it !== displaced);
        }
        expect(flows.length).toBe(there.length);
      }
      const ahead = flows.ahead(newcomer);
      const next = flows.next(3);
      const last = { flow: newcomer, cost: 1 };
      flows.add(last);
      const order = drained(flows);
      expect(order).toHaveLength(there.length + 1);
      // Of others it is at least what is before it now, and at most that of one more turn of each.
      const before = order.slice(0, order.indexOf(last)).reduce((sum, { cost }) => sum + cost, 0);
      expect(ahead).toBeGreaterThanOrEqual(before);
      expect(next).toEqual(order.filter((it) => it !== last).slice(0, next.length));
      expect([flows.length, flows.ahead('a'), flows.first]).toEqual([0, 0, undefined]);
    }),
    { numRuns: 500 },
  );
});

test('one more sender looks at none of the others', () => {
  const flows = new Flows<One>();
  let looked = 0;
  const one = (flow: string): One => ({
    flow,
    get cost() {
      looked++;
      return 1;
    },
  });
  for (let i = 0; i < 1_000; i++) flows.add(one(`sender ${i}`));
  looked = 0;
  expect(flows.ahead('another')).toBe(1_000);
  expect(flows.displaceFor('another')).toBeUndefined();
  flows.add(one('another'));
  expect(looked).toBeLessThanOrEqual(2);
});
