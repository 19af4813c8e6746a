import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noMeter } from '../../src/core/meter.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../src/core/model/cluster.js';
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

  test('counters are never above their limit and return to zero, whatever the order of things', () => {
    const kinds = [
      ['tryRequest', 'requestDone', 'requests', 'maxRequests'],
      ['tryRetry', 'retryDone', 'retries', 'maxRetries'],
      ['tryWait', 'waited', 'pending', 'maxPendingRequests'],
    ] as const;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.boolean())), fc.nat(5), (steps, limit) => {
        const config = { maxConnections: limit, maxPendingRequests: limit, maxRequests: limit, maxRetries: limit };
        const limits = new CircuitLimits('reviews', config, noMeter);
        const held = [0, 0, 0];
        for (const [kind, take] of steps) {
          const [acquire, release, counter] = kinds[kind] as (typeof kinds)[number];
          if (take) {
            const granted = limits[acquire]();
            expect(granted).toBe((held[kind] as number) < limit);
            if (granted) held[kind] = (held[kind] as number) + 1;
          } else if ((held[kind] as number) > 0) {
            limits[release]();
            held[kind] = (held[kind] as number) - 1;
          }
          expect(limits[counter]).toBe(held[kind]);
        }
      }),
    );
  });
});
