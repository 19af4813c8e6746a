import { expect, test } from 'vitest';
import type { Call } from '../../../src/core/call.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { CancelledError } from '../../../src/core/errors.js';
import type { LimitState, LimitVerdict } from '../../../src/core/limits.js';
import { DEFAULT_LIMIT_REPLY } from '../../../src/core/model/limit.js';
import { stack } from '../../../src/core/service.js';
import { callDeadline } from '../../../src/resilience/deadline/deadline.js';
import { limited } from '../../../src/resilience/ratelimit/filter.js';
import { inboundContext } from '../../../src/server/context.js';
import { LimitsGate } from '../../../src/server/limits/gate.js';
import { aCall, aReply } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';

const REDIS = { kind: 'redis', name: 'counts', timeoutMs: 50 } as const;
/** What a store says that always sees somebody else come first. */
const FULL: LimitState = { allowed: false, limit: 1, remaining: 0, resetMs: 100, retryAfterMs: 100 };
const RULE = limitRule({ store: REDIS, queue: { maxWaitMs: 60_000, maxLength: 10 } });

/** A client whose calls never get their turn. */
function inLine() {
  const { env, clock, events } = limitsEnv({ redis: () => ({ take: () => FULL, close: () => {} }) });
  const deadlines = new Deadlines(clock);
  let released = 0;
  const hold = (): (() => void) => () => released++;
  const filter = limited({ ...DEFAULT_LIMIT_REPLY, rules: [RULE] }, env, hold);
  const filters = [callDeadline({ clock, deadlines }), filter].filter((it) => it !== undefined);
  const service = stack(filters, () => Promise.resolve(aReply()));
  return { clock, env, events, send: (call: Call) => service(call), released: () => released };
}

test('a call whose deadline passes while it waits in line has failed by its deadline, not by the limit', async () => {
  const { clock, send, events, released } = inLine();
  const failed = send(aCall({ timeoutMs: 250 })).catch((error: unknown) => error);
  await settle();
  await clock.advance(300);
  expect(await failed).toMatchObject({ code: 'DEADLINE_EXCEEDED', reached: 'no' });
  expect(events).toEqual([]);
  expect(released()).toBe(1);
  expect(clock.pending).toBe(0);
});

test('a call whose caller gives up while it waits in line has failed by that', async () => {
  const { clock, send, released } = inLine();
  const call = aCall();
  const failed = send(call).catch((error: unknown) => error);
  await settle();
  call.cancel(new CancelledError());
  expect(await failed).toMatchObject({ code: 'CANCELLED' });
  expect(released()).toBe(1);
  expect(clock.pending).toBe(0);
});

test('a request that came in, and waits past its deadline, is answered as one that is too late', async () => {
  const { clock, env } = inLine();
  const context = inboundContext({ 'grpc-timeout': '250m' }, clock, undefined);
  const { requestLimits } = await import('../../../src/resilience/ratelimit/request-limits.js');
  const limits = requestLimits({ ...DEFAULT_LIMIT_REPLY, rules: [RULE] }, env);
  const verdict = limits.check(limitRequest({ deadline: 250 })) as Promise<LimitVerdict>;
  await settle();
  await clock.advance(300);
  expect(await verdict).toEqual({ kind: 'gone' });
  const late = new LimitsGate({ check: () => Promise.resolve({ kind: 'gone' }) }, undefined);
  context.makeView = () => ({ ...limitRequest(), peer: '127.0.0.1', raw: {} });
  expect(await late.refusal(context, 'grpc')).toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504, grpcStatus: 4 });
});
