import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RetryBudget } from '../../src/resilience/retry/budget.js';
import { FakeClock } from '../support/fake-clock.js';

const budget = (clock: FakeClock, options: Partial<ConstructorParameters<typeof RetryBudget>[0]> = {}): RetryBudget =>
  new RetryBudget({ retryRatio: 0.2, minRetriesPerSecond: 0, ttlMs: 10_000, ...options }, clock);

describe('RetryBudget', () => {
  test('five requests buy one retry at 20 %, and ten at 10 % exactly one', () => {
    const clock = new FakeClock();
    const fifth = budget(clock);
    for (let i = 0; i < 4; i++) fifth.deposit();
    expect(fifth.tryWithdraw()).toBe(false);
    fifth.deposit();
    expect(fifth.tryWithdraw()).toBe(true);
    expect(fifth.tryWithdraw()).toBe(false);
    const tenth = budget(clock, { retryRatio: 0.1 });
    for (let i = 0; i < 10; i++) tenth.deposit();
    expect(tenth.balance).toBe(1);
  });

  test('a refund is a retry more, for as long as a withdrawal would have counted', async () => {
    const clock = new FakeClock();
    const one = budget(clock);
    for (let i = 0; i < 5; i++) one.deposit();
    expect([one.tryWithdraw(), one.balance]).toEqual([true, 0]);
    one.refund(clock.now());
    expect(one.balance).toBe(1);
    await clock.advance(10_000);
    expect(one.balance).toBe(0);
  });

  test('a refund of what counts no more is nothing', async () => {
    const clock = new FakeClock();
    const one = new RetryBudget({ retryRatio: 0, minRetriesPerSecond: 1, ttlMs: 10_000 }, clock);
    const at = clock.now();
    expect([one.tryWithdraw(), one.balance]).toEqual([true, 9]);
    await clock.advance(11_000);
    expect([one.balance, one.tryWithdraw()]).toEqual([10, true]);
    one.refund(at);
    expect(one.balance).toBe(9);
  });

  test('the floor serves a client that has sent nothing: 10 a second over 10 s is 100', () => {
    const clock = new FakeClock();
    const floor = budget(clock, { minRetriesPerSecond: 10 });
    let granted = 0;
    while (floor.tryWithdraw()) granted++;
    expect(granted).toBe(100);
  });

  test('a deposit expires after ttlMs, and not before nine tenths of it', async () => {
    const clock = new FakeClock();
    const b = budget(clock, { retryRatio: 1 });
    b.deposit();
    await clock.advance(8_999);
    expect(b.balance).toBe(1);
    await clock.advance(1_001);
    expect(b.balance).toBe(0);
  });

  test('a withdrawal counts for ttlMs at least, and a tenth more at most', async () => {
    for (const phase of [0, 1, 999]) {
      const clock = new FakeClock(phase);
      const b = budget(clock, { minRetriesPerSecond: 0.1 });
      expect([b.tryWithdraw(), b.balance]).toEqual([true, 0]);
      await clock.advance(9_999);
      expect(b.balance).toBe(0);
      await clock.advance(1_001);
      expect(b.balance).toBe(1);
    }
  });

  test('under a steady load no ttlMs sees more than its share and the floor, whenever the outage begins', async () => {
    for (let phase = 0; phase < 1_000; phase += 111) {
      const clock = new FakeClock(phase);
      const b = budget(clock, { minRetriesPerSecond: 10 });
      const run = async (ms: number, failing: boolean): Promise<number> => {
        let granted = 0;
        for (let at = 0; at < ms; at += 10) {
          b.deposit();
          if (failing) for (let i = 0; i < 3; i++) if (b.tryWithdraw()) granted++;
          await clock.advance(10);
        }
        return granted;
      };
      await run(10_000, false);
      expect(await run(30_000, true), `outage at ${phase} ms`).toBeLessThanOrEqual(0.2 * 3_000 + 10 * 30);
    }
  });

  test('a refused withdrawal leaves the balance untouched', () => {
    const clock = new FakeClock();
    const b = budget(clock, { retryRatio: 0.5 });
    b.deposit();
    expect(b.tryWithdraw()).toBe(false);
    b.deposit();
    expect(b.tryWithdraw()).toBe(true);
  });

  test('never grants more than ratio × requests + floor within any window, nor less than what is left', async () => {
    const step = fc.oneof(
      fc.constant('deposit' as const),
      fc.constant('withdraw' as const),
      fc.integer({ min: 1, max: 3_000 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 200 }),
        fc.constantFrom(0, 0.1, 0.2, 1, 2.5),
        fc.constantFrom(0, 1, 10),
        async (steps, retryRatio, minRetriesPerSecond) => {
          const clock = new FakeClock();
          const b = budget(clock, { retryRatio, minRetriesPerSecond });
          const log: { at: number; kind: 'deposit' | 'grant' }[] = [];
          for (const action of steps) {
            if (typeof action === 'number') await clock.advance(action);
            else if (action === 'deposit') {
              b.deposit();
              log.push({ at: clock.now(), kind: 'deposit' });
            } else {
              const recent = log.filter((entry) => entry.at > clock.now() - 10_000);
              const sure = log.filter((entry) => entry.at > clock.now() - 9_000);
              const deposits = (entries: typeof log): number =>
                entries.filter((entry) => entry.kind === 'deposit').length;
              const grantsIn = (ms: number): number =>
                log.filter((entry) => entry.kind === 'grant' && entry.at > clock.now() - ms).length;
              const granted = b.tryWithdraw();
              // Upper bound: all that may still count, less what was surely taken. Lower bound: the other way round.
              const most =
                minRetriesPerSecond * 10 + Math.round(deposits(recent) * retryRatio * 1_000) / 1_000 - grantsIn(10_000);
              const least =
                minRetriesPerSecond * 10 + Math.round(deposits(sure) * retryRatio * 1_000) / 1_000 - grantsIn(11_000);
              if (granted) expect(most).toBeGreaterThanOrEqual(1);
              else expect(least).toBeLessThan(1);
              if (granted) log.push({ at: clock.now(), kind: 'grant' });
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
