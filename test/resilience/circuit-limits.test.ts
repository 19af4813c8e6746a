import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../src/core/model/circuit-limits.js';
import { stack } from '../../src/core/service.js';
import { CircuitLimits, requestLimit } from '../../src/resilience/concurrency/circuit-limits.js';
import { aCall, OpenReply, scripted } from '../support/calls.js';

describe('circuit limits', () => {
  test('20 calls in one tick against max_requests 3 let 3 through, and the rest fail at once with UO', async () => {
    const limits = new CircuitLimits('reviews', { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 3 }, noMeter);
    const replies = [new OpenReply(), new OpenReply(), new OpenReply(), new OpenReply()];
    const service = scripted(...replies);
    const call = stack([requestLimit(limits)], service);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => call(aCall())));
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled').length).toBe(3);
    expect(outcomes.at(-1)).toMatchObject({
      reason: { code: 'CIRCUIT_OPEN', flag: 'UO', reached: 'no', grpcStatus: 14, limit: 3 },
    });
    replies[0]?.finish();
    await call(aCall());
    expect(service.calls.length).toBe(4);
    expect(limits.requests).toBe(3);
  });

  test('a failed call gives its place back', async () => {
    const limits = new CircuitLimits('reviews', DEFAULT_CIRCUIT_LIMITS, noMeter);
    await expect(stack([requestLimit(limits)], scripted(new Error('broken')))(aCall())).rejects.toThrow('broken');
    expect(limits.requests).toBe(0);
  });

  test('an endpoint without a connection always gets one, however full the cluster is', () => {
    const limits = new CircuitLimits('reviews', { ...DEFAULT_CIRCUIT_LIMITS, maxConnections: 1 }, noMeter);
    expect(limits.tryOpen(true)).toBe(true);
    expect(limits.tryOpen(false)).toBe(false);
    expect(limits.tryOpen(true)).toBe(true);
  });

  test('a new limit counts what is already under way', () => {
    const limits = new CircuitLimits('reviews', DEFAULT_CIRCUIT_LIMITS, noMeter);
    for (let i = 0; i < 5; i++) limits.tryRequest();
    limits.update({ ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 5 });
    expect(limits.tryRequest()).toBe(false);
    limits.requestDone();
    expect(limits.tryRequest()).toBe(true);
  });

  test('calls of high priority have limits of their own: there is room for them when the others have filled theirs', () => {
    const events: MeshEvent[] = [];
    const meter = { ...noMeter, event: (event: MeshEvent) => void events.push(event) };
    const high = { maxRequests: 2, maxPendingRequests: 1, maxRetries: 1 };
    const limits = new CircuitLimits('reviews', { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 1, high }, meter);
    expect([limits.tryRequest(), limits.tryRequest()]).toEqual([true, false]);
    expect([1, 2, 3].map(() => limits.tryRequest('high'))).toEqual([true, true, false]);
    expect([1, 2].map(() => limits.tryWait('high'))).toEqual([true, false]);
    expect([1, 2].map(() => limits.tryRetry('high'))).toEqual([true, false]);
    expect([limits.requests, limits.pending, limits.retries]).toEqual([3, 1, 1]);
    expect(events.map((event) => event.kind === 'circuit:open' && event.limit)).toEqual([
      'max_requests',
      'high.max_requests',
      'high.max_pending_requests',
      'high.max_retries',
    ]);
    expect(limits.tooManyRequests('high').message).toContain('2 already under way (max_requests, priority high)');
  });

  test('without limits of their own they share those of the others: nobody gets more by saying that it is important', () => {
    const config = { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 3, maxPendingRequests: 2, maxRetries: 2 };
    const limits = new CircuitLimits('reviews', config, noMeter);
    const priorities = ['high', undefined, 'high', 'high', undefined] as const;
    expect(priorities.map((one) => limits.tryRequest(one))).toEqual([true, true, true, false, false]);
    expect(priorities.map((one) => limits.tryWait(one))).toEqual([true, true, false, false, false]);
    expect(priorities.map((one) => limits.tryRetry(one))).toEqual([true, true, false, false, false]);
    expect([limits.requests, limits.pending, limits.retries]).toEqual([3, 2, 2]);
    expect(limits.tooManyRequests('high')).toMatchObject({ circuit: 'max_requests', limit: 3 });
    limits.requestDone('high');
    expect(limits.tryRequest()).toBe(true);
  });

  test('what is under way stays counted when they get limits of their own, or lose them', () => {
    const config = { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 2 };
    const limits = new CircuitLimits('reviews', config, noMeter);
    limits.tryRequest('high');
    limits.tryRequest();
    limits.update({ ...config, high: { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 1 } });
    expect([limits.tryRequest('high'), limits.tryRequest()]).toEqual([false, true]);
    limits.update(config);
    expect([limits.tryRequest('high'), limits.tryRequest()]).toEqual([false, false]);
    limits.requestDone('high');
    limits.requestDone();
    expect(limits.tryRequest('high')).toBe(true);
  });

  test('calls of priority batch have their share of the limits, and count with the others', () => {
    const config = { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 30, maxPendingRequests: 20 };
    const limits = new CircuitLimits('reviews', config, noMeter);
    expect([1, 2, 3, 4].map(() => limits.tryRequest('batch'))).toEqual([true, true, true, false]);
    expect(limits.tooManyRequests('batch')).toMatchObject({ circuit: 'batch_share', limit: 3, priority: 'batch' });
    expect([1, 2, 3].map(() => limits.tryWait('batch'))).toEqual([true, true, false]);
    expect(limits.overflow('batch')).toMatchObject({ circuit: 'batch_share', limit: 2 });
    for (let i = 0; i < 27; i++) expect(limits.tryRequest()).toBe(true);
    expect(limits.tryRequest()).toBe(false);
    limits.requestDone('batch');
    expect(limits.tryRequest()).toBe(true);
    // Its own share is free, the whole is full.
    expect(limits.tryRequest('batch')).toBe(false);
    expect(limits.tooManyRequests('batch')).toMatchObject({ circuit: 'max_requests', limit: 30 });
  });

  test('a share of a low limit is one call, and a share of 0 is none', () => {
    const low = new CircuitLimits('reviews', { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 3 }, noMeter);
    expect([low.tryRequest('batch'), low.tryRequest('batch')]).toEqual([true, false]);
    const none = new CircuitLimits('reviews', { ...DEFAULT_CIRCUIT_LIMITS, batchShare: 0 }, noMeter);
    expect(none.tryRequest('batch')).toBe(false);
  });

  test('each priority is exact to the call: what one tick asks for gets what its limit has', async () => {
    const config = { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 10, high: { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 3 } };
    const limits = new CircuitLimits('reviews', config, noMeter);
    const open: OpenReply[] = [];
    const service = stack([requestLimit(limits)], async () => {
      open.push(new OpenReply());
      return open.at(-1) as OpenReply;
    });
    const priorities = (['batch', 'high', undefined, 'default'] as const).flatMap((one) =>
      Array.from({ length: 20 }, () => one),
    );
    const results = await Promise.allSettled(priorities.map((priority) => service(aCall({ priority }))));
    const passed = (from: number, to: number): number =>
      results.slice(from, to).filter(({ status }) => status === 'fulfilled').length;
    expect([passed(0, 20), passed(20, 40), passed(40, 80)]).toEqual([1, 3, 9]);
    for (const reply of open) reply.finish();
    expect(limits.requests).toBe(0);
  });

  test('counters are never above their limit and return to zero, whatever the order of things', () => {
    const kinds = [
      ['tryRequest', 'requestDone', 'requests', 'maxRequests'],
      ['tryRetry', 'retryDone', 'retries', 'maxRetries'],
      ['tryWait', 'waited', 'pending', 'maxPendingRequests'],
    ] as const;
    const priorities = fc.constantFrom('high', 'default', 'batch', undefined);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.boolean())), fc.nat(5), priorities, (steps, limit, priority) => {
        const own = { maxPendingRequests: limit, maxRequests: limit, maxRetries: limit };
        const config = { ...own, maxConnections: limit, high: own, batchShare: 1 };
        const limits = new CircuitLimits('reviews', config, noMeter);
        const held = [0, 0, 0];
        for (const [kind, take] of steps) {
          const [acquire, release, counter] = kinds[kind] as (typeof kinds)[number];
          if (take) {
            const granted = limits[acquire](priority);
            expect(granted).toBe((held[kind] as number) < limit);
            if (granted) held[kind] = (held[kind] as number) + 1;
          } else if ((held[kind] as number) > 0) {
            limits[release](priority);
            held[kind] = (held[kind] as number) - 1;
          }
          expect(limits[counter]).toBe(held[kind]);
        }
      }),
    );
  });
});
