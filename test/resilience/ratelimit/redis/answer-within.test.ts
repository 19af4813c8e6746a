import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AnswerWithin } from '../../../../src/resilience/ratelimit/redis/answer-within.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';

const WAIT_MS = 50;

interface Question {
  readonly askedAt: number;
  readonly answeredAfter: number;
}

it('each answer comes when it comes, or is late when its own wait is over; no timer is left', async () => {
  const question = fc.record({
    gap: fc.nat(40),
    answeredAfter: fc.oneof(fc.nat(49), fc.integer({ min: 51, max: 120 })),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(question, { minLength: 1, maxLength: 200 }), async (questions) => {
      const clock = new FakeClock(0);
      const within = new AnswerWithin(clock, WAIT_MS, () => new Error('late'));
      const ended: [Question, string, number][] = [];
      for (const { gap, answeredAfter } of questions) {
        await clock.advance(gap);
        const asked: Question = { askedAt: clock.now(), answeredAfter };
        const answer = new Promise<string>((resolve) => clock.after(answeredAfter, () => resolve('answer')));
        within.of(answer).then(
          (said) => ended.push([asked, said, clock.now()]),
          (error: Error) => ended.push([asked, error.message, clock.now()]),
        );
      }
      await clock.advance(500);
      expect(ended).toHaveLength(questions.length);
      for (const [{ askedAt, answeredAfter }, said, at] of ended) {
        expect([said, at - askedAt]).toEqual(answeredAfter < WAIT_MS ? ['answer', answeredAfter] : ['late', WAIT_MS]);
      }
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 50 },
  );
});

it('an answer that fails is passed on', async () => {
  const within = new AnswerWithin(new FakeClock(), WAIT_MS, () => new Error('late'));
  await expect(within.of(Promise.reject(new Error('no connection')))).rejects.toThrow('no connection');
});

it('one timer does for all that wait, and none is set when nobody does', async () => {
  const clock = new FakeClock();
  const within = new AnswerWithin(clock, WAIT_MS, () => new Error('late'));
  const answers = Array.from({ length: 1_000 }, () => within.of(settle()));
  expect(clock.pending).toBe(1);
  await Promise.all(answers);
  expect(clock.pending).toBe(0);
});
