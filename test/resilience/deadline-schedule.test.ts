import fc from 'fast-check';
import { expect, test } from 'vitest';
import { carryDeadline } from '../../src/client/endpoints/carry.js';
import { withAmbient } from '../../src/core/ambient.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { CancelledError } from '../../src/core/errors.js';
import { stack } from '../../src/core/service.js';
import { createScope } from '../../src/mesh/scope.js';
import { callDeadline } from '../../src/resilience/deadline/deadline.js';
import { inboundContext } from '../../src/server/context.js';
import { aCall, aReply } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

/*
 * Calls of one request on a random schedule, against a plain model of which of its ends comes first. Everything happens at moments that cannot meet, a
 * deadline being up to 4 ms late: the application does things at multiples of 20 ms, servers answer 8 ms after, callers leave 10 ms after, and the
 * time of the request is up 15 ms after.
 */
const GRID = 20;
const ARRIVAL = 1_000;
const RESERVE = 5;

interface Plan {
  /** All in milliseconds; of the request, since it came, else since the start of the call. */
  readonly startMs: number;
  readonly answerMs: number;
  readonly timeoutMs: number | undefined;
  readonly narrowMs: number | undefined;
  /** When the application aborts it. */
  readonly abortMs: number | undefined;
  readonly detached: boolean;
}

interface Ending {
  readonly how: 'answered' | 'CANCELLED' | 'DEADLINE_EXCEEDED';
  readonly at: number;
  readonly sent: boolean;
}

const steps = (max: number) => fc.integer({ min: 1, max }).map((count) => count * GRID);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const plans: fc.Arbitrary<Plan[]> = fc.array(
  fc.record({
    startMs: fc.nat(15).map((count) => count * GRID),
    answerMs: steps(20).map((ms) => ms + 8),
    timeoutMs: maybe(steps(20)),
    narrowMs: maybe(steps(20)),
    abortMs: maybe(steps(20).map((ms) => ms + 4)),
    detached: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

/** What must become of a call. */
function model(plan: Plan, allowedMs: number, goneMs: number | undefined): Ending {
  const start = ARRIVAL + plan.startMs;
  const inherited = plan.detached ? undefined : { deadline: ARRIVAL + allowedMs - RESERVE, gone: goneMs };
  const limit = Math.min(
    start + (plan.timeoutMs ?? Number.POSITIVE_INFINITY),
    start + (plan.narrowMs ?? Number.POSITIVE_INFINITY),
    inherited?.deadline ?? Number.POSITIVE_INFINITY,
  );
  const gone = inherited?.gone === undefined ? Number.POSITIVE_INFINITY : ARRIVAL + inherited.gone;
  if (gone <= start) return { how: 'CANCELLED', at: start, sent: false };
  if (limit <= start) return { how: 'DEADLINE_EXCEEDED', at: start, sent: false };
  const aborted = Math.min(gone, start + (plan.abortMs ?? Number.POSITIVE_INFINITY));
  const answered = start + plan.answerMs;
  const at = Math.min(limit, aborted, answered);
  const how = at === answered ? 'answered' : at === aborted ? 'CANCELLED' : 'DEADLINE_EXCEEDED';
  return { how, at, sent: true };
}

test('every call of a request ends by whichever end of it comes first, and nothing is left behind', async () => {
  await fc.assert(
    fc.asyncProperty(
      plans,
      steps(30).filter((ms) => ms >= 100),
      maybe(steps(30).map((ms) => ms + 10)),
      async (calls, allowedMs, goneMs) => {
        const clock = new FakeClock(ARRIVAL);
        const env = { clock, deadlines: new Deadlines(clock) };
        const scope = createScope(env);
        const context = inboundContext({ 'inmesh-timeout-ms': String(allowedMs) }, clock);
        let underWay = 0;

        const run = (plan: Plan): Promise<Ending> => {
          let sent = false;
          const service = stack([callDeadline(env), carryDeadline(env)], (call) => {
            sent = true;
            underWay++;
            return new Promise((resolve, reject) => {
              const stop = clock.after(plan.answerMs, () => {
                underWay--;
                resolve(aReply());
              });
              call.cancellation.add((reason) => {
                stop();
                underWay--;
                reject(reason);
              });
            });
          });
          const call = aCall({ timeoutMs: plan.timeoutMs });
          const made = () =>
            plan.narrowMs === undefined ? service(call) : scope.withDeadline(plan.narrowMs, () => service(call));
          const stopAbort =
            plan.abortMs === undefined ? undefined : clock.after(plan.abortMs, () => call.cancel(new CancelledError()));
          const ended = (how: Ending['how']): Ending => {
            stopAbort?.();
            return { how, at: clock.now(), sent };
          };
          return withAmbient(context, () => (plan.detached ? scope.detach(made) : made())).then(
            () => ended('answered'),
            (error: { code: Ending['how'] }) => ended(error.code),
          );
        };

        const endings = calls.map(
          (plan) => new Promise<Ending>((resolve) => clock.after(plan.startMs, () => resolve(run(plan)))),
        );
        if (goneMs !== undefined) clock.after(goneMs, () => context.callerGone());
        await clock.advance(2_000);
        for (const [i, ending] of (await Promise.all(endings)).entries()) {
          const expected = model(calls[i] as Plan, allowedMs, goneMs);
          expect(ending).toMatchObject({ how: expected.how, sent: expected.sent });
          expect(ending.at - expected.at).toBeGreaterThanOrEqual(0);
          expect(ending.at - expected.at).toBeLessThanOrEqual(4);
        }
        expect(underWay).toBe(0);
        env.deadlines.close();
        expect(clock.pending).toBe(0);
      },
    ),
    { numRuns: 150 },
  );
});
