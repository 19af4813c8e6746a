import { describe, expect, test } from 'vitest';
import { struct } from '../../../src/controlplane/compile/proto.js';
import { DEFAULT_BREAKER } from '../../../src/core/model/breaker.js';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { clusterResource } from '../../support/xds-resources.js';

const settings = (fields: Resource) => decoders[CLUSTER](clusterResource('c', fields), 'c').settings;
const thresholds = (...list: Resource[]): Resource => ({ circuit_breakers: { thresholds: list } });
const own = (fields: Parameters<typeof struct>[0]): Resource => ({
  metadata: { filter_metadata: { 'inmesh.dev': struct(fields) } },
});
const breaker = (fields: Parameters<typeof struct>[0]) => settings(own({ breaker: fields })).breaker;
const fallback = (...entries: Parameters<typeof struct>[0][]) => settings(own({ fallback: entries })).fallback;

describe('limits by priority', () => {
  test('those of HIGH are counted apart, by the first threshold of that priority', () => {
    const high = (max: number) => ({ priority: 'HIGH', max_requests: { value: max }, max_retries: { value: 2 } });
    expect(settings(thresholds({ max_requests: { value: 5 } }, high(7), high(8))).limits).toMatchObject({
      maxRequests: 5,
      maxRetries: undefined,
      high: { maxPendingRequests: 1_024, maxRequests: 7, maxRetries: 2 },
    });
  });

  test('without a threshold of HIGH there is none', () => {
    expect(settings(thresholds({ max_requests: { value: 5 } })).limits.high).toBeUndefined();
  });

  test('batch may have a share, which only we know', () => {
    expect(settings(own({ batch_share: 0.25 })).limits).toMatchObject({ maxRequests: 1_024, batchShare: 0.25 });
    expect(settings(own({})).limits.batchShare).toBeUndefined();
  });
});

describe('the budget of retries under way', () => {
  test('takes the place of max_retries, with the defaults of the API', () => {
    const { limits, retryBudget } = settings(thresholds({ max_retries: { value: 9 }, retry_budget: {} }));
    expect(limits).toMatchObject({ maxRetries: undefined, activeRetryBudget: { share: 0.2, minConcurrency: 3 } });
    expect(retryBudget.retryRatio).toBe(0.2);
  });

  test('takes what it is given, zero too', () => {
    const budget = { budget_percent: { value: 12.5 }, min_retry_concurrency: {} };
    expect(settings(thresholds({ retry_budget: budget })).limits.activeRetryBudget).toEqual({
      share: 0.125,
      minConcurrency: 0,
    });
  });

  test('does not count beside ours, which the same control plane gives to those who know it', () => {
    const found = settings({ ...own({ retry_budget: { retry_ratio: 0.1 } }), ...thresholds({ retry_budget: {} }) });
    expect(found.limits).toMatchObject({ maxRetries: undefined, activeRetryBudget: undefined });
    expect(found.retryBudget.retryRatio).toBe(0.1);
  });
});

describe('a breaker', () => {
  test('is none unless it is asked for, and has our defaults then', () => {
    expect(settings({}).breaker).toBeUndefined();
    expect(breaker({})).toEqual(DEFAULT_BREAKER);
  });

  test('takes every field', () => {
    expect(
      breaker({
        consecutive_failures: 3,
        success_rate: { threshold: 0.5, window_ms: 2_000, min_requests: 8, buckets: 4 },
        base_penalty_ms: 50,
        max_penalty_ms: 400,
        jitter: 0,
        probes: 2,
      }),
    ).toEqual({
      consecutiveFailures: 3,
      successRate: { threshold: 0.5, windowMs: 2_000, minRequests: 8, buckets: 4 },
      basePenaltyMs: 50,
      maxPenaltyMs: 400,
      jitter: 0,
      probes: 2,
    });
  });

  test('counts only one of the two, when the other is 0', () => {
    expect(breaker({ consecutive_failures: 0 })).toMatchObject({
      consecutiveFailures: undefined,
      successRate: DEFAULT_BREAKER.successRate,
    });
    expect(breaker({ success_rate: { threshold: 0 } })).toMatchObject({
      consecutiveFailures: 7,
      successRate: undefined,
    });
  });

  test('stays open at most as long as at first, when that is longer than the default', () => {
    expect(breaker({ base_penalty_ms: 90_000 })).toMatchObject({ maxPenaltyMs: 90_000 });
  });
});

describe('fallbacks', () => {
  test('are none unless there are some', () => {
    expect(settings({}).fallback).toBeUndefined();
    expect(fallback()).toBeUndefined();
  });

  test('are read in order, each of its kind', () => {
    expect(
      fallback(
        { service: { cluster: 'other' } },
        { stale: { max_age_ms: 5, max_entries: 6, max_entry_bytes: 7 } },
        { stale: {} },
        { static: {} },
        {
          static: {
            status: 203,
            headers: [{ name: 'X-A', value: 'b' }, { name: 'x-empty' }],
            body: 'é',
            grpc_status: 14,
          },
        },
        { static: { body_base64: 'AAEC' } },
        { function: { name: 'last' } },
      ),
    ).toEqual([
      { kind: 'service', cluster: 'other' },
      { kind: 'stale', maxAgeMs: 5, maxEntries: 6, maxEntryBytes: 7 },
      { kind: 'stale', maxAgeMs: 60_000, maxEntries: 100, maxEntryBytes: 65_536 },
      { kind: 'static', status: 200, headers: [], body: new Uint8Array(0), grpcStatus: 0 },
      {
        kind: 'static',
        status: 203,
        headers: [
          { name: 'x-a', value: 'b' },
          { name: 'x-empty', value: '' },
        ],
        body: new Uint8Array([0xc3, 0xa9]),
        grpcStatus: 14,
      },
      { kind: 'static', status: 200, headers: [], body: new Uint8Array([0, 1, 2]), grpcStatus: 0 },
      { kind: 'function', name: 'last' },
    ]);
  });
});

describe('what is refused, with the place', () => {
  const at = (path: string, problem: string): string =>
    `metadata.filter_metadata["inmesh.dev"].fields${path}: ${problem}`;
  const inside = (path: string): string => `["fallback"].list_value.values[0].struct_value.fields${path}`;
  const BREAKER = '["breaker"].struct_value';

  test.each<[string, () => unknown, string]>([
    ['a share above 1', () => settings(own({ batch_share: 2 })), at('["batch_share"]', 'must be a number from 0 to 1')],
    [
      'a breaker that counts nothing',
      () => breaker({ consecutive_failures: 0, success_rate: { threshold: 0 } }),
      at(BREAKER, 'must count something'),
    ],
    [
      'half a failure',
      () => breaker({ consecutive_failures: 2.5 }),
      at(`${BREAKER}.fields["consecutive_failures"]`, 'must be a whole number, got 2.5'),
    ],
    [
      'a penalty that shrinks',
      () => breaker({ base_penalty_ms: 100, max_penalty_ms: 50 }),
      at(`${BREAKER}.fields["max_penalty_ms"]`, 'must be at least base_penalty_ms (100), got 50'),
    ],
    [
      'a threshold that is none',
      () => breaker({ success_rate: { threshold: 'high' } }),
      at(`${BREAKER}.fields["success_rate"].struct_value.fields["threshold"]`, 'must be a number from 0 to 1'),
    ],
    ['a fallback to itself', () => fallback({ service: { cluster: 'c' } }), 'must be another cluster than its own'],
    [
      'a fallback to nothing',
      () => fallback({ service: {} }),
      at(`${inside('["service"]')}.struct_value.fields["cluster"]`, 'must be set and not empty'),
    ],
    [
      'a fallback of two kinds',
      () => fallback({ stale: {}, static: {} }),
      'values[0].struct_value: must have one of service, stale, static, function',
    ],
    ['a fallback of no kind', () => fallback({ other: 1 }), 'must have one of service, stale, static, function'],
    [
      'a status that is no answer',
      () => fallback({ static: { status: 100 } }),
      at(`${inside('["static"]')}.struct_value.fields["status"]`, 'must be a number from 200 to 599'),
    ],
    [
      'two bodies',
      () => fallback({ static: { body: 'a', body_base64: 'AA==' } }),
      'must not be set beside body: keep one of them',
    ],
    ['a body that is no base64', () => fallback({ static: { body_base64: '*' } }), 'must be base64'],
    [
      'a body that is too long',
      () => fallback({ static: { body: 'x'.repeat(70_000) } }),
      'must be at most 65536 bytes, got 70000',
    ],
    [
      'a header that cannot be sent',
      () => fallback({ static: { headers: [{ name: 'x', value: 'a\nb' }] } }),
      'must be a header value',
    ],
    ['a header that has no name', () => fallback({ static: { headers: [{ name: 'a b' }] } }), 'must be a header name'],
    [
      'more ways out than anybody needs',
      () => fallback(...Array.from({ length: 17 }, () => ({ stale: {} }))),
      'must have at most 16 entries, got 17',
    ],
    ['a list that is none', () => settings(own({ fallback: 'other' })), at('["fallback"].list_value', 'must be set')],
  ])('%s', (_, read, problem) => {
    expect(refusal(read)).toContain(problem);
  });
});
