import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CancelledError, type MeshError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/log.js';
import type { MeshEvent } from '../../../src/core/meter.js';
import type { FaultConfig, FaultGuard } from '../../../src/core/model/fault.js';
import { Experiment, Experiments, MAX_EXPERIMENTS } from '../../../src/resilience/fault/experiment.js';
import { aCall, aReply, OpenReply } from '../../support/calls.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { aFault, bytesReply, faultEnv, faulty, injecting } from './support.js';

const successRate = (min: number, more: Partial<FaultGuard> = {}): FaultGuard =>
  ({ kind: 'success-rate', min, windowMs: 10_000, minRequests: 10, ...more }) as FaultGuard;
const latency = (percentile: number, maxMs: number): FaultGuard => ({
  kind: 'latency',
  percentile,
  maxMs,
  windowMs: 10_000,
  minRequests: 10,
});

const experiment = (faults: Partial<FaultConfig>, guards: readonly FaultGuard[], id = 'one', durationMs = 60_000) =>
  aFault({ ...faults, experiment: { id, durationMs, guards } });
const abortAll: Partial<FaultConfig> = { abort: { kind: 'http', status: 503, share: 1 } };

describe('an experiment', () => {
  test('ends when its time is over, counted from when the process takes it up', async () => {
    const { env, clock, events } = faultEnv();
    const { service } = faulty([experiment(abortAll, [])], env);
    await clock.advance(59_999);
    expect((await service(aCall())).status).toBe(503);
    await clock.advance(1);
    expect((await service(aCall())).status).toBe(200);
    expect(events.at(-1)).toEqual({ kind: 'experiment:stopped', policy: 'chaos', reason: 'time' });
    expect(clock.pending).toBe(0);
  });

  test('stops itself when the success rate falls below its guard, and tells why once', async () => {
    const { env, events } = faultEnv(5);
    const half: Partial<FaultConfig> = { abort: { kind: 'http', status: 503, share: 0.5 } };
    const { service } = faulty([experiment(half, [successRate(0.8)])], env);
    const statuses: number[] = [];
    for (let i = 0; i < 200; i++) statuses.push((await service(aCall())).status);
    const stops = events.filter(({ kind }) => kind === 'experiment:stopped');
    expect(stops).toEqual([{ kind: 'experiment:stopped', policy: 'chaos', reason: 'success-rate' }]);
    const last = statuses.lastIndexOf(503);
    expect(last).toBeLessThan(40);
    expect(statuses.slice(last + 1)).toEqual(Array(199 - last).fill(200));
  });

  test('does not judge by fewer requests than its guard asks for', async () => {
    const { env, events } = faultEnv();
    const { service } = faulty([experiment(abortAll, [successRate(0.9)])], env);
    for (let i = 0; i < 9; i++) expect((await service(aCall())).status).toBe(503);
    expect(events.every(({ kind }) => kind === 'fault')).toBe(true);
    await service(aCall());
    expect(events.at(-1)?.kind).toBe('experiment:stopped');
  });

  test('is judged by calls that nothing befell as well: trouble of the service’s own stops it', async () => {
    const { env, events } = faultEnv();
    const rare: Partial<FaultConfig> = { abort: { kind: 'http', status: 503, share: 0 } };
    const { service } = faulty([experiment(rare, [successRate(0.9)])], env, () => aReply(500));
    for (let i = 0; i < 10; i++) await service(aCall());
    expect(events).toEqual([{ kind: 'experiment:stopped', policy: 'chaos', reason: 'success-rate' }]);
  });

  test('callers that give up say nothing', async () => {
    const { env, events } = faultEnv();
    const config = experiment({ delay: { kind: 'fixed', ms: 10, share: 0 } }, [successRate(0.9)]);
    const { service } = faulty([config], env, () => Promise.reject(new CancelledError()));
    for (let i = 0; i < 20; i++) await service(aCall()).catch(() => {});
    expect(events).toEqual([]);
  });

  test('a reply that breaks off is a failure, though a fault broke it', async () => {
    const { env, events } = faultEnv();
    const config = experiment({ truncate: { afterBytes: 1, share: 1 } }, [successRate(0.9)]);
    const { service } = faulty([config], env, () => bytesReply(new Uint8Array(2)));
    for (let i = 0; i < 10; i++) await service(aCall());
    expect(events.at(-1)).toMatchObject({ kind: 'experiment:stopped', reason: 'success-rate' });
  });

  test('stops itself when the percentile of latencies rises above its guard; the delays under way end at once, and no others begin', async () => {
    const { env, clock, events, active } = faultEnv();
    const slow: Partial<FaultConfig> = { delay: { kind: 'header', share: 1 } };
    const { service, sent } = faulty([experiment(slow, [latency(0.5, 100)])], env);
    const delayed = (ms: number) => {
      const call = aCall();
      call.headers['x-envoy-fault-delay-request'] = String(ms);
      return service(call);
    };
    const short = Array.from({ length: 5 }, () => delayed(50));
    const long = Array.from({ length: 6 }, () => delayed(200));
    const longer = Array.from({ length: 7 }, () => delayed(50_000));
    await clock.advance(50);
    await Promise.all(short);
    expect([sent.length, active.count]).toEqual([5, 13]);
    await clock.advance(150);
    await Promise.all([...long, ...longer]);
    expect(events.at(-1)).toMatchObject({ kind: 'experiment:stopped', reason: 'latency' });
    expect([sent.length, active.count, clock.pending]).toEqual([18, 0, 0]);
    await delayed(50_000);
    expect(sent.length).toBe(19);
  });

  test('a call that it holds up when its time is over is let go then', async () => {
    const { env, clock } = faultEnv();
    const config = experiment(
      { delay: { kind: 'fixed', ms: 90_000, share: 1 }, abort: { kind: 'http', status: 500, share: 1 } },
      [],
    );
    const { service } = faulty([config], env);
    await clock.advance(50_000);
    const replying = service(aCall());
    await clock.advance(10_000);
    // The abort that was to follow belongs to the experiment, which is over.
    expect((await replying).status).toBe(200);
  });

  test('a throttled reply comes at its own speed once it is stopped', async () => {
    const { env, clock, active } = faultEnv();
    const slow = experiment({ throttle: { kind: 'fixed', bytesPerSecond: 16, share: 1 } }, [successRate(0.5)]);
    let failing = false;
    const { service } = faulty([slow], env, () => (failing ? aReply(500) : bytesReply(new Uint8Array(1_000))));
    const reply = await service(aCall());
    let size = 0;
    reply.body.pipe({
      write: (chunk) => {
        size += chunk.byteLength;
        return true;
      },
      end() {},
      fail() {},
    });
    expect(size).toBe(1);
    failing = true;
    for (let i = 0; i < 10; i++) await service(aCall());
    await settle();
    expect([size, active.count, clock.pending]).toEqual([1_000, 0, 0]);
  });

  test('a throttled reply comes at its own speed once its time is over, and one that was to break off is whole', async () => {
    const { env, clock, active } = faultEnv();
    const spoilt: Partial<FaultConfig> = {
      throttle: { kind: 'fixed', bytesPerSecond: 16, share: 1 },
      truncate: { afterBytes: 500, share: 1 },
    };
    const { service } = faulty([experiment(spoilt, [], 'one', 10_000)], env, () => bytesReply(new Uint8Array(1_000)));
    const reply = await service(aCall());
    let size = 0;
    let ended = false;
    reply.body.pipe({
      write: (chunk) => {
        size += chunk.byteLength;
        return true;
      },
      end: () => {
        ended = true;
      },
      fail() {},
    });
    await clock.advance(9_990);
    expect(size).toBeLessThan(162);
    await clock.advance(10);
    expect([size, ended, active.count, clock.pending]).toEqual([1_000, true, 0, 0]);
  });

  test('is one for all routes that name it', async () => {
    const { env } = faultEnv();
    const config = experiment(abortAll, [successRate(0.9)]);
    const one = faulty([config], env);
    const other = faulty([{ ...config }], env);
    for (let i = 0; i < 5; i++) await Promise.all([one.service(aCall()), other.service(aCall())]);
    expect([(await one.service(aCall())).status, (await other.service(aCall())).status]).toEqual([200, 200]);
  });

  test('that has stopped stays stopped when the configuration is read again, until its text changes', async () => {
    const { env, clock } = faultEnv();
    await faulty([experiment(abortAll, [])], env).service(aCall());
    await clock.advance(60_000);
    const status = async (id: string) => (await faulty([experiment(abortAll, [], id)], env).service(aCall())).status;
    expect(await status('one')).toBe(200);
    expect(await status('two')).toBe(503);
    expect(await status('one')).toBe(200);
  });

  test('that runs goes on when the configuration is read again: neither its time nor what its guards have seen begins anew', async () => {
    const { env, clock, events } = faultEnv();
    const config = () => experiment(abortAll, [successRate(0.9)]);
    await clock.advance(100);
    for (let i = 0; i < 10; i++) {
      const { service } = faulty([structuredClone(config())], env);
      await service(aCall());
    }
    expect(events.at(-1)?.kind).toBe('experiment:stopped');
  });

  test('its time may be made shorter while it runs', async () => {
    const { env, clock } = faultEnv();
    faulty([experiment(abortAll, [])], env);
    await clock.advance(5_000);
    const { service } = faulty([experiment(abortAll, [], 'one', 5_000)], env);
    expect((await service(aCall())).status).toBe(200);
  });

  test('leaves policies beside it alone', async () => {
    const { env, clock } = faultEnv();
    const { service } = faulty(
      [experiment(abortAll, []), aFault({ abort: { kind: 'http', status: 418, share: 1 } })],
      env,
    );
    expect((await service(aCall())).status).toBe(503);
    await clock.advance(60_000);
    expect((await service(aCall())).status).toBe(418);
  });

  test('durations are those of whole calls, to the end of the reply', async () => {
    const { env, clock, events } = faultEnv();
    const config = experiment({ delay: { kind: 'fixed', ms: 1, share: 0 } }, [latency(0.9, 100)]);
    const open: OpenReply[] = [];
    const service = injecting(
      [config],
      env,
    )(async () => {
      open.push(new OpenReply());
      return open.at(-1) as OpenReply;
    });
    for (let i = 0; i < 10; i++) await service(aCall());
    await clock.advance(101);
    for (const reply of open) reply.finish();
    expect(events.at(-1)).toMatchObject({ reason: 'latency' });
  });
});

describe('what a process remembers of experiments', () => {
  const config = (id: string, durationMs = 1_000) => ({ id, durationMs, guards: [] });

  test('is bounded: where all run another one does not begin, and those that are over make room', async () => {
    const clock = new FakeClock();
    const { env } = faultEnv();
    const all = new Experiments();
    for (let i = 0; i < MAX_EXPERIMENTS; i++) all.take('chaos', config(`${i}`, i === 7 ? 500 : 1_000), clock, env);
    expect([all.take('chaos', config('more'), clock, env), all.size]).toEqual([undefined, MAX_EXPERIMENTS]);
    await clock.advance(500);
    expect(all.take('chaos', config('more'), clock, env)).toBeInstanceOf(Experiment);
    expect(all.size).toBe(MAX_EXPERIMENTS);
  });

  test('where there is no room for its experiment a policy does nothing', async () => {
    const { env } = faultEnv();
    for (let i = 0; i < MAX_EXPERIMENTS; i++) faulty([experiment(abortAll, [], `${i}`)], env);
    const { service } = faulty([experiment(abortAll, [], 'more')], env);
    expect((await service(aCall())).status).toBe(200);
  });
});

/* The model is a plain list of all requests; the experiment has twenty numbers a guard. */
describe('whatever comes, it stops at the very request at which its guard is crossed by the list of all requests', () => {
  const WINDOW_MS = 1_000;
  const request = fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 300, max: 3_000 })),
    success: fc.boolean(),
    durationMs: fc.integer({ min: 0, max: 100 }),
  });
  const guards: fc.Arbitrary<FaultGuard> = fc.oneof(
    fc.record({
      kind: fc.constant('success-rate' as const),
      min: fc.constantFrom(0, 0.1, 0.3, 0.5, 0.9, 1),
      windowMs: fc.constant(WINDOW_MS),
      minRequests: fc.integer({ min: 1, max: 12 }),
    }),
    fc.record({
      kind: fc.constant('latency' as const),
      percentile: fc.constantFrom(0.1, 0.5, 0.9, 0.99),
      maxMs: fc.integer({ min: 0, max: 100 }),
      windowMs: fc.constant(WINDOW_MS),
      minRequests: fc.integer({ min: 1, max: 12 }),
    }),
  );

  type Seen = { readonly at: number; readonly success: boolean; readonly durationMs: number };

  const crossed = (guard: FaultGuard, seen: readonly Seen[], now: number): boolean => {
    const slot = (ms: number): number => Math.floor(ms / (WINDOW_MS / 10));
    const lately = seen.filter(({ at }) => slot(now) - slot(at) < 10);
    if (lately.length < guard.minRequests) return false;
    if (guard.kind === 'success-rate') {
      return lately.filter(({ success }) => success).length / lately.length < guard.min;
    }
    const sorted = lately.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
    const rank = Math.max(1, Math.ceil(Number((guard.percentile * sorted.length).toFixed(6))));
    return (sorted[rank - 1] as number) > guard.maxMs;
  };

  test('a success rate, a latency, or both', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(guards, { minLength: 1, maxLength: 3 }),
        fc.array(request, { maxLength: 80 }),
        async (all, requests) => {
          const clock = new FakeClock();
          const events: MeshEvent[] = [];
          const told = { meter: { event: (event: MeshEvent) => void events.push(event) }, logger: silentLogger };
          const one = new Experiment('chaos', { id: 'x', durationMs: 1e9, guards: all }, clock.now());
          const seen: Seen[] = [];
          let stopped = false;
          for (const { afterMs, success, durationMs } of requests) {
            await clock.advance(afterMs);
            const now = clock.now();
            seen.push({ at: now, success, durationMs });
            one.ended(success, durationMs, now, told);
            stopped ||= all.some((guard) => crossed(guard, seen, now));
            expect(one.running(now, told)).toBe(!stopped);
            expect(events.length).toBe(stopped ? 1 : 0);
            if (stopped) break;
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

test('an error that is none of the mesh’s is a failure to an experiment, too', async () => {
  const { env, events } = faultEnv();
  const config = experiment({ delay: { kind: 'fixed', ms: 1, share: 0 } }, [successRate(0.9)]);
  const { service } = faulty([config], env, () => Promise.reject(new Error('a bug') as MeshError));
  for (let i = 0; i < 10; i++) await service(aCall()).catch(() => {});
  expect(events.at(-1)).toMatchObject({ reason: 'success-rate' });
});
