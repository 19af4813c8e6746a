import { describe, expect, test, vi } from 'vitest';
import { CancelledError } from '../../../src/core/errors.js';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import { type BreakerConfig, DEFAULT_BREAKER } from '../../../src/core/model/breaker.js';
import type { Reply } from '../../../src/core/reply.js';
import { type Filter, type Service, stack } from '../../../src/core/service.js';
import { breaking, DestinationBreaker } from '../../../src/resilience/breaker/filter.js';
import { DeadlineExceededError } from '../../../src/resilience/deadline/errors.js';
import { aCall, aReply, OpenReply } from '../../support/calls.js';
import { FakeClock } from '../../support/fake-clock.js';

const bad = (): Reply => aReply(503);
const good = (): Reply => aReply(200);

/** A destination that answers as the test says now. */
function guarded(config: Partial<BreakerConfig> = {}, chance = 0) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const state = { answer: good as () => Reply | Promise<Reply>, calls: 0 };
  const env = {
    clock,
    random: { next: () => chance, int: () => 0 },
    meter: { ...noMeter, event: (event: MeshEvent) => void events.push(event) },
    cluster: 'reviews',
  };
  const destination = new DestinationBreaker({ ...DEFAULT_BREAKER, ...config }, env);
  const next: Service = async () => {
    state.calls++;
    return state.answer();
  };
  const service = stack([breaking(destination) as Filter], next);
  const send = (): Promise<number | string> =>
    service(aCall()).then(
      ({ status }) => status,
      (error: { code: string }) => error.code,
    );
  const sendAll = async (count: number): Promise<(number | string)[]> => {
    const results = [];
    for (let i = 0; i < count; i++) results.push(await send());
    return results;
  };
  return { clock, events, state, destination, service, send, sendAll };
}

const CONSECUTIVE = { successRate: undefined } as const;

describe('a breaker', () => {
  test('learns nothing from calls whose deadline passed before they were sent', async () => {
    const { state, sendAll, destination } = guarded(CONSECUTIVE);
    state.answer = () =>
      Promise.reject(new DeadlineExceededError('the deadline passed before the call was sent', 'no'));
    expect(await sendAll(20)).toEqual(Array.from({ length: 20 }, () => 'DEADLINE_EXCEEDED'));
    expect(destination.breaker?.state).toBe('closed');
  });

  test('opens when the deadlines of calls pass that were sent', async () => {
    const { state, sendAll } = guarded(CONSECUTIVE);
    state.answer = () => Promise.reject(new DeadlineExceededError('late', 'maybe'));
    expect((await sendAll(8)).at(-1)).toBe('BREAKER_OPEN');
  });

  test('opens at the seventh failure in a row, refuses without a call, and says so', async () => {
    const { state, sendAll, send, events, service, clock } = guarded(CONSECUTIVE);
    state.answer = bad;
    await sendAll(6);
    state.answer = good;
    await send();
    state.answer = bad;
    expect(await sendAll(9)).toEqual([503, 503, 503, 503, 503, 503, 503, 'BREAKER_OPEN', 'BREAKER_OPEN']);
    expect(state.calls).toBe(14);
    expect(events).toEqual([{ kind: 'breaker:open', cluster: 'reviews', reason: 'consecutive' }]);
    await clock.advance(400);
    await expect(service(aCall())).rejects.toMatchObject({
      flag: 'MC',
      origin: 'mesh',
      reached: 'no',
      grpcStatus: 14,
      httpStatus: 503,
      retryAfterMs: 600,
      message: 'cluster "reviews": its breaker is open, too many calls have failed; it is tried again in 600 ms',
    });
  });

  test('opens when less than 80 % of the last 10 s succeeded, not at exactly that', async () => {
    const { state, sendAll, send, events } = guarded({ consecutiveFailures: undefined });
    await sendAll(80);
    state.answer = bad;
    await sendAll(20);
    expect(events).toEqual([]);
    await send();
    expect(events).toEqual([{ kind: 'breaker:open', cluster: 'reviews', reason: 'success-rate' }]);
  });

  test('judges no rate before five calls, and forgets what is older than its window', async () => {
    const { state, sendAll, send, clock, events } = guarded({ consecutiveFailures: undefined });
    state.answer = bad;
    await sendAll(4);
    await clock.advance(10_000);
    await sendAll(4);
    expect(events).toEqual([]);
    await send();
    expect(events.length).toBe(1);
  });

  test('lets one call probe after its penalty, and closes when that succeeds', async () => {
    const { state, sendAll, send, clock, events } = guarded(CONSECUTIVE);
    state.answer = bad;
    await sendAll(7);
    await clock.advance(999);
    expect(await send()).toBe('BREAKER_OPEN');
    await clock.advance(1);
    const reply = new OpenReply();
    state.answer = () => reply;
    expect(await send()).toBe(200);
    // Its reply has not ended: gRPC may fail in the trailers yet.
    expect(await send()).toBe('BREAKER_OPEN');
    reply.finish();
    state.answer = good;
    expect(await sendAll(3)).toEqual([200, 200, 200]);
    expect(events.map(({ kind }) => kind)).toEqual(['breaker:open', 'breaker:half-open', 'breaker:close']);
  });

  test('closes only when all of its probes have succeeded', async () => {
    const { state, sendAll, clock, destination } = guarded({ ...CONSECUTIVE, probes: 3 });
    state.answer = bad;
    await sendAll(7);
    await clock.advance(1_000);
    state.answer = good;
    await sendAll(2);
    expect(destination.breaker?.state).toBe('half-open');
    await sendAll(1);
    expect(destination.breaker?.state).toBe('closed');
  });

  test('doubles its penalty with each failed probe, up to the most, and begins anew once it was closed', async () => {
    const { state, sendAll, send, clock, events } = guarded({ ...CONSECUTIVE, maxPenaltyMs: 4_000 });
    state.answer = bad;
    await sendAll(7);
    for (const penaltyMs of [1_000, 2_000, 4_000, 4_000]) {
      await clock.advance(penaltyMs - 1);
      expect(await send()).toBe('BREAKER_OPEN');
      await clock.advance(1);
      expect(await send()).toBe(503);
    }
    expect(events.filter((event) => 'reason' in event && event.reason === 'probe').length).toBe(4);
    await clock.advance(4_000);
    state.answer = good;
    expect(await send()).toBe(200);
    state.answer = bad;
    await sendAll(7);
    await clock.advance(1_000);
    expect(await send()).toBe(503);
  });

  test('adds up to the jitter to its penalty, and never exceeds the most', async () => {
    const { state, sendAll, send, clock } = guarded({ ...CONSECUTIVE, jitter: 0.5, maxPenaltyMs: 2_000 }, 0.8);
    state.answer = bad;
    await sendAll(7);
    await clock.advance(1_399);
    expect(await send()).toBe('BREAKER_OPEN');
    await clock.advance(1);
    expect(await send()).toBe(503);
    await clock.advance(2_000);
    expect(await send()).toBe(503);
  });

  test('counts nothing of what says nothing: a caller who gave up is no failure, and leaves the probe to another', async () => {
    const { state, sendAll, send, clock, destination } = guarded(CONSECUTIVE);
    state.answer = () => Promise.reject(new CancelledError());
    await sendAll(20);
    expect(destination.breaker?.state).toBe('closed');
    state.answer = bad;
    await sendAll(7);
    await clock.advance(1_000);
    state.answer = () => Promise.reject(new CancelledError());
    expect(await send()).toBe('CANCELLED');
    state.answer = good;
    expect(await send()).toBe(200);
    expect(destination.breaker?.state).toBe('closed');
  });

  test('does not wait for a probe without an end longer than for a penalty', async () => {
    const { state, sendAll, send, clock, destination } = guarded(CONSECUTIVE);
    state.answer = bad;
    await sendAll(7);
    await clock.advance(1_000);
    const stream = new OpenReply();
    state.answer = () => stream;
    await send();
    await clock.advance(999);
    expect(await send()).toBe('BREAKER_OPEN');
    await clock.advance(1);
    state.answer = good;
    expect(await send()).toBe(200);
    expect(destination.breaker?.state).toBe('closed');
    stream.finish();
  });

  test('does not hear of calls from before it opened', async () => {
    const { state, sendAll, send, clock, destination } = guarded(CONSECUTIVE);
    const late = new OpenReply(503);
    state.answer = () => late;
    await send();
    state.answer = bad;
    await sendAll(7);
    await clock.advance(1_000);
    state.answer = () => new OpenReply();
    await send();
    late.finish();
    expect(destination.breaker?.state).toBe('half-open');
  });

  test('takes over other numbers, and stays open through that', async () => {
    const { state, sendAll, send, clock, destination } = guarded(CONSECUTIVE);
    state.answer = bad;
    await sendAll(7);
    destination.update({ ...DEFAULT_BREAKER, ...CONSECUTIVE, consecutiveFailures: 2 });
    expect(await send()).toBe('BREAKER_OPEN');
    await clock.advance(1_000);
    state.answer = good;
    await send();
    state.answer = bad;
    expect(await sendAll(3)).toEqual([503, 503, 'BREAKER_OPEN']);
  });

  test('sets no timer, neither on its clock nor by the package that it is made with', async () => {
    const { state, sendAll, send, clock } = guarded();
    const timers = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')];
    state.answer = bad;
    await sendAll(20);
    await clock.advance(1_000);
    await send();
    expect(clock.pending).toBe(0);
    for (const timer of timers) expect(timer).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});
