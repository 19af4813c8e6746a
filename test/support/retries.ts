import type { CallInit } from '../../src/core/call.js';
import type { Call } from '../../src/core/call.js';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { DEFAULT_RETRY, type RetryConfig } from '../../src/core/model/route.js';
import { seededRandom } from '../../src/core/random.js';
import type { RetryEnv } from '../../src/resilience/retry/attempt.js';
import { retry } from '../../src/resilience/retry/retry.js';
import { anyHeader } from '../../src/routing/match/any-header.js';
import { aCall, type Step, scripted } from './calls.js';
import { FakeClock, settle } from './fake-clock.js';

export interface RetryRun {
  readonly config?: Partial<RetryConfig>;
  readonly env?: Partial<RetryEnv>;
  readonly init?: Partial<CallInit>;
  /** What is to be known of the call before it is made. */
  readonly prepare?: (call: Call, clock: FakeClock) => void;
}

/** Runs one call under a retry policy, in virtual time, for at most `forMs`; `waits` are the milliseconds before each attempt after the first. */
export async function runRetry(steps: readonly Step[], { config, env, init, prepare }: RetryRun = {}, forMs = 20_000) {
  const clock = new FakeClock();
  const service = scripted(...steps);
  const events: MeshEvent[] = [];
  const sentAt: number[] = [];
  const held = { places: 0, withdrawn: 0 };
  const filter = retry(
    { ...DEFAULT_RETRY, ...config },
    {
      clock,
      random: seededRandom(1),
      meter: { ...noMeter, event: (event) => events.push(event) },
      cluster: 'reviews',
      budget: {
        deposit() {},
        refund: () => {
          held.withdrawn--;
        },
        tryWithdraw: () => {
          held.withdrawn++;
          return true;
        },
      },
      limits: {
        tryRetry: () => {
          held.places++;
          return true;
        },
        retryDone: () => {
          held.places--;
        },
      },
      headers: anyHeader,
      ...env,
    },
  );
  const send = filter((attempt) => {
    sentAt.push(clock.now());
    return service(attempt);
  });
  const call = aCall(init);
  prepare?.(call, clock);
  let outcome: number | string | undefined;
  send(call).then(
    (reply) => {
      outcome = reply.status;
    },
    (error: Error) => {
      outcome = error.name;
    },
  );
  await settle();
  for (let at = 0; at < forMs && outcome === undefined; at += 10) await clock.advance(10);
  const waits = sentAt.slice(1).map((at, i) => at - (sentAt[i] as number));
  return { outcome, call, calls: service.calls, waits, events, clock, ...held };
}
