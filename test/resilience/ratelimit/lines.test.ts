import { expect, test } from 'vitest';
import { Cancellation } from '../../../src/core/cancellation.js';
import { CancelledError } from '../../../src/core/errors.js';
import type { LimitState } from '../../../src/core/limits.js';
import type { Limit } from '../../../src/core/model/limit.js';
import type { Turn } from '../../../src/resilience/ratelimit/queue/line.js';
import { Lines } from '../../../src/resilience/ratelimit/queue/lines.js';
import { FakeClock, settle } from '../../support/fake-clock.js';

const limit: Limit = { algorithm: 'token_bucket', requests: 1_000, perMs: 1_000, burst: 100 };
const no: LimitState = { allowed: false, limit: 100, remaining: 0, resetMs: 1_000, retryAfterMs: 1_000 };
const yes = (remaining = 0): LimitState => ({ ...no, allowed: true, remaining, retryAfterMs: 0 });

/** A store that answers when the test does, and those who wait for it. */
function setting() {
  const clock = new FakeClock();
  const lines = new Lines(clock);
  const questions: ((state: LimitState | undefined) => void)[] = [];
  const givenBack: LimitState[] = [];
  const wait = (
    of: { readonly cancellation?: Cancellation; readonly turnMs?: number; readonly cost?: number } = {},
  ) => {
    const one: { turn: Turn | undefined } = { turn: undefined };
    const { cancellation, turnMs = 0, cost = 1 } = of;
    const queue = { maxWaitMs: 60_000, maxLength: 1_000 };
    const take = (): Promise<LimitState | undefined> => new Promise((resolve) => questions.push(resolve));
    const giveBack = (state: LimitState): void => void givenBack.push(state);
    const deadline = Number.POSITIVE_INFINITY;
    const turn = lines.wait('count', { limit, cost, queue, flow: '', deadline, cancellation, take, giveBack }, turnMs);
    void Promise.resolve(turn).then((it) => void Object.assign(one, { turn: it }));
    return one;
  };
  /** The store answers the oldest questions, in order. */
  const answer = async (...states: (LimitState | undefined)[]): Promise<void> => {
    for (const state of states) questions.shift()?.(state);
    await settle();
  };
  return { clock, lines, questions, givenBack, wait, answer };
}

test('while one question is under way nobody asks another, and who has asked and left leaves its grant to the next', async () => {
  const { clock, lines, questions, givenBack, wait, answer } = setting();
  const cancellation = new Cancellation();
  const first = wait({ cancellation });
  await clock.advance(1);
  cancellation.cancel(new CancelledError());
  const second = wait();
  await clock.advance(1);
  expect(questions).toHaveLength(1);
  await answer(yes());
  expect([first.turn?.kind, second.turn?.kind, givenBack.length]).toEqual(['gone', 'taken', 0]);
  expect(lines.has('count')).toBe(false);
  expect(clock.pending).toBe(0);
});

test('a grant that nobody waits for any more is given back', async () => {
  const { clock, lines, givenBack, wait, answer } = setting();
  const cancellation = new Cancellation();
  wait({ cancellation });
  await clock.advance(1);
  cancellation.cancel(new CancelledError());
  await answer(yes());
  expect(givenBack).toHaveLength(1);
  expect(lines.has('count')).toBe(false);
});

test('an answer that comes after all have left and others have come takes no line away, and closing lets all go', async () => {
  const { clock, lines, wait, answer } = setting();
  const cancellation = new Cancellation();
  wait({ cancellation });
  await clock.advance(1);
  cancellation.cancel(new CancelledError());
  const later = wait({ turnMs: 5_000 });
  await answer(no);
  expect(lines.has('count')).toBe(true);
  lines.close();
  await settle();
  expect(later.turn?.kind).toBe('gone');
  await answer(no);
  expect(clock.pending).toBe(0);
});

test('a store that has room is asked for many at once, and no more than it has said', async () => {
  const { clock, questions, wait, answer } = setting();
  const all = Array.from({ length: 100 }, () => wait());
  await clock.advance(0);
  expect(questions).toHaveLength(1);
  await answer(yes(20));
  expect(questions).toHaveLength(20);
  await answer(...Array.from({ length: 20 }, (_, i) => yes(99 - i)));
  expect(questions).toHaveLength(64);
  await answer(...Array.from({ length: 64 }, (_, i) => (i < 10 ? yes(9 - i) : no)));
  expect(questions).toHaveLength(0);
  expect(all.map(({ turn }) => turn?.kind)).toEqual(all.map((_, i) => (i < 31 ? 'taken' : undefined)));
  await clock.advance(1_000);
  expect(questions).toHaveLength(1);
});

test('of several that asked at once nobody passes one that asks for more', async () => {
  const { clock, givenBack, wait, answer } = setting();
  const [first, large, small] = [wait(), wait({ cost: 5 }), wait()];
  await clock.advance(0);
  await answer(yes(20));
  // The store has lost what it had: five are too many, one is not.
  await answer(no, yes());
  expect([first.turn?.kind, large.turn, small.turn]).toEqual(['taken', undefined, undefined]);
  expect(givenBack).toHaveLength(1);
});

test('of several that asked at once each without an answer is told so', async () => {
  const { clock, lines, wait, answer } = setting();
  const all = [wait(), wait(), wait()];
  await clock.advance(0);
  await answer(yes(20));
  await answer(undefined, undefined);
  expect(all.map(({ turn }) => turn?.kind)).toEqual(['taken', 'no-answer', 'no-answer']);
  expect(lines.has('count')).toBe(false);
});
