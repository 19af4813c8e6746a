import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cancellation } from '../../../src/core/cancellation.js';
import { CancelledError } from '../../../src/core/errors.js';
import type { LimitRequest, LimitVerdict, RequestLimits } from '../../../src/core/limits.js';
import type { Limit, LimitRule } from '../../../src/core/model/limit.js';
import { settle } from '../../support/fake-clock.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';

/** One each 100 ms, none in advance. */
const PACE: Limit = { algorithm: 'token_bucket', requests: 10, perMs: 1_000, burst: 1 };
const queued = (of: Partial<LimitRule> = {}): LimitRule =>
  limitRule({ limit: PACE, queue: { maxWaitMs: 10_000, maxLength: 1_000 }, ...of });

/** A request under way, and when and how it was answered. */
interface Asked {
  readonly name: string;
  verdict: LimitVerdict | undefined;
  at: number;
}

function setting(rules: readonly LimitRule[]) {
  const { clock, events, stores, compile } = limitsEnv();
  const limits = compile(rules);
  const asked: Asked[] = [];
  const ask = (name: string, of: Partial<LimitRequest> = {}, by: RequestLimits = limits): Asked => {
    const one: Asked = { name, verdict: undefined, at: Number.NaN };
    asked.push(one);
    const answered = (verdict: LimitVerdict): void => void Object.assign(one, { verdict, at: clock.now() });
    const verdict = by.check(limitRequest(of));
    if (verdict instanceof Promise) void verdict.then(answered);
    else answered(verdict);
    return one;
  };
  const of = (kind: LimitVerdict['kind']): (readonly [string, number])[] =>
    asked.filter(({ verdict }) => verdict?.kind === kind).map(({ name, at }) => [name, at]);
  return { clock, events, stores, compile, ask, of, asked };
}

describe('a line', () => {
  test('requests beyond the limit wait, and are let through in order, each when the limit allows it', async () => {
    const { clock, events, ask, of } = setting([queued()]);
    for (const name of ['a', 'b', 'c', 'd']) ask(name);
    await clock.advance(1_000);
    expect(of('allowed')).toEqual([
      ['a', 0],
      ['b', 100],
      ['c', 200],
      ['d', 300],
    ]);
    expect(events).toEqual([100, 200, 300].map((waitedMs) => ({ kind: 'limit:queued', rule: 'rule', waitedMs })));
    expect(clock.pending).toBe(0);
  });

  test('nobody who comes later goes before the line, even when the limit would allow it', async () => {
    const { clock, ask, of } = setting([queued({ cost: { header: 'x-cost' }, limit: { ...PACE, burst: 4 } as Limit })]);
    ask('all', { headers: { 'x-cost': '4' } });
    ask('large', { headers: { 'x-cost': '4' } });
    await clock.advance(250);
    ask('small');
    await clock.advance(1_000);
    expect(of('allowed')).toEqual([
      ['all', 0],
      ['large', 400],
      ['small', 500],
    ]);
  });

  test('one whose turn would come too late is refused at once, and told when it would have come', async () => {
    const { ask, asked } = setting([queued({ queue: { maxWaitMs: 250, maxLength: 100 } })]);
    for (const name of ['a', 'b', 'c', 'd']) ask(name);
    await settle();
    expect(asked.map(({ verdict }) => verdict?.kind)).toEqual(['allowed', undefined, undefined, 'refused']);
    expect(asked[3]?.verdict).toMatchObject({ flag: 'RL', retryAfterMs: 300, headers: { 'retry-after': '1' } });
  });

  test('one whose deadline is before its turn is refused at once', async () => {
    const { clock, ask, asked } = setting([queued()]);
    ask('a');
    ask('b', { deadline: 99 });
    ask('c', { deadline: 101 });
    await settle();
    expect(asked.map(({ verdict }) => verdict?.kind)).toEqual(['allowed', 'refused', undefined]);
    await clock.advance(100);
    expect(asked[2]?.verdict?.kind).toBe('allowed');
  });

  test('a full line refuses, and says so', async () => {
    const { clock, events, ask, asked } = setting([queued({ queue: { maxWaitMs: 10_000, maxLength: 2 } })]);
    for (const name of ['a', 'b', 'c', 'd']) ask(name);
    await settle();
    expect(asked.map(({ verdict }) => verdict?.kind)).toEqual(['allowed', undefined, undefined, 'refused']);
    expect(events).toEqual([
      { kind: 'limit:refused', rule: 'rule', protocol: 'http', shadow: false, reason: 'queue-full' },
    ]);
    await clock.advance(1_000);
    expect(asked[2]?.at).toBe(200);
  });

  test('who gives up leaves, and those behind move up; it is told as no refusal', async () => {
    const { clock, events, ask, of } = setting([queued()]);
    const cancellation = new Cancellation();
    ask('a');
    ask('b', { cancellation });
    ask('c');
    await clock.advance(50);
    cancellation.cancel(new CancelledError());
    await clock.advance(1_000);
    expect(of('allowed')).toEqual([
      ['a', 0],
      ['c', 100],
    ]);
    expect(of('gone')).toEqual([['b', 50]]);
    expect(events).toEqual([{ kind: 'limit:queued', rule: 'rule', waitedMs: 100 }]);
    expect(clock.pending).toBe(0);
  });

  test('an update of the configuration leaves those that wait in one line with those that come', async () => {
    const { clock, ask, of, compile } = setting([queued()]);
    ask('a');
    ask('b');
    ask('c', {}, compile([queued()]));
    await clock.advance(1_000);
    expect(of('allowed')).toEqual([
      ['a', 0],
      ['b', 100],
      ['c', 200],
    ]);
  });

  test('closing the stores lets everybody go, and leaves no timer', async () => {
    const { clock, ask, of, stores } = setting([queued()]);
    for (const name of ['a', 'b', 'c']) ask(name);
    await stores.close();
    await settle();
    expect(of('gone')).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  test('what a line took is given back when another rule refuses', async () => {
    const narrow = limitRule({
      name: 'narrow',
      when: [slowOnly],
      limit: { algorithm: 'fixed_window', requests: 1, perMs: 60_000 },
    });
    const { clock, ask, of } = setting([queued(), narrow]);
    ask('a', { path: '/slow' });
    ask('b');
    ask('c', { path: '/slow' });
    ask('d');
    await clock.advance(1_000);
    // The refused one takes nobody's turn: it is refused before it waits.
    expect(of('allowed')).toEqual([
      ['a', 0],
      ['b', 100],
      ['d', 200],
    ]);
    expect(of('refused')).toEqual([['c', 0]]);
  });

  test('a rule that says no only after the wait takes no turn from those behind', async () => {
    const narrow = limitRule({
      name: 'narrow',
      when: [slowOnly],
      limit: { algorithm: 'fixed_window', requests: 1, perMs: 60_000 },
    });
    const { clock, ask, of } = setting([queued(), narrow]);
    for (const name of ['a', 'b']) ask(name);
    for (const name of ['s1', 's2']) ask(name, { path: '/slow' });
    ask('c');
    await clock.advance(1_000);
    expect(of('refused')).toEqual([['s2', 300]]);
    expect(of('allowed')).toEqual([
      ['a', 0],
      ['b', 100],
      ['s1', 200],
      ['c', 300],
    ]);
  });

  test('whatever comes, what a line lets through is what the limit would, in order, and no timer is left', async () => {
    const limits: Limit[] = [
      PACE,
      { ...PACE, burst: 3 } as Limit,
      { algorithm: 'fixed_window', requests: 3, perMs: 500 },
      { algorithm: 'sliding_window', requests: 3, perMs: 500 },
      { algorithm: 'sliding_log', requests: 3, perMs: 500 },
    ];
    const steps = fc.array(
      fc.record({ wait: fc.integer({ min: 0, max: 150 }), patience: fc.constantFrom(undefined, 50, 300) }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...limits), steps, async (limit, happens) => {
        const { clock, ask, asked, of } = setting([queued({ limit })]);
        for (const [i, { wait, patience }] of happens.entries()) {
          await clock.advance(wait);
          const cancellation = new Cancellation();
          ask(String(i).padStart(2, '0'), { cancellation });
          if (patience !== undefined) clock.after(patience, () => cancellation.cancel(new CancelledError()));
        }
        await clock.advance(20_000);
        expect(asked.every(({ verdict }) => verdict !== undefined)).toBe(true);
        const passed = of('allowed');
        expect(passed.map(([name]) => name)).toEqual([...passed.map(([name]) => name)].sort());
        const most = limit.algorithm === 'token_bucket' ? limit.burst + 5 : 2 * limit.requests;
        for (const [, from] of passed) {
          expect(passed.filter(([, at]) => at >= from && at < from + 500).length).toBeLessThanOrEqual(most);
        }
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});

describe('one greedy client among fifty', () => {
  test('has a line of its own where the rule has a key', async () => {
    const { clock, ask, asked } = setting([queued({ key: [{ as: 'ip', kind: 'remote_address' }] })]);
    for (let i = 0; i < 100; i++) ask('greedy', { remote: '10.0.0.0' });
    for (let i = 1; i < 50; i++) ask('other', { remote: `10.0.0.${i}` });
    await clock.advance(0);
    expect(asked.filter(({ name, verdict }) => name === 'other' && verdict?.kind === 'allowed')).toHaveLength(49);
  });

  test('delays nobody by more than a turn each in a line that all share, and does not fill it', async () => {
    const { clock, ask, asked } = setting([queued({ queue: { maxWaitMs: 60_000, maxLength: 60 } })]);
    for (let i = 0; i < 500; i++) ask('greedy', { remote: '10.0.0.0' });
    for (let i = 1; i < 50; i++) ask('other', { remote: `10.0.0.${i}` });
    await clock.advance(60_000);
    const others = asked.filter(({ name }) => name === 'other');
    expect(others.map(({ verdict }) => verdict?.kind)).toEqual(others.map(() => 'allowed'));
    // 49 others and one of the greedy one's before the last of them.
    expect(Math.max(...others.map(({ at }) => at))).toBeLessThanOrEqual(5_100);
    expect(asked.filter(({ name, verdict }) => name === 'greedy' && verdict?.kind === 'allowed').length).toBe(61 - 49);
  });
});

const slowOnly = {
  path: { kind: 'exact', value: '/slow', ignoreCase: false },
  headers: [],
  query: [],
  fraction: 1,
  grpcOnly: false,
} as const;
