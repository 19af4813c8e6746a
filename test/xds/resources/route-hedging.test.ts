import { describe, expect, test } from 'vitest';
import { struct } from '../../../src/controlplane/compile/proto.js';
import type { ForwardAction } from '../../../src/core/model/route.js';
import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { routeResource, toCluster } from '../../support/xds-resources.js';

const forward = (action: Resource, route: Resource = {}, host: Resource = {}): ForwardAction => {
  const config = routeResource('r', [{ ...toCluster('c', { prefix: '/' }, action), ...route }], host);
  const found = decoders[ROUTE](config, 'r').virtualHosts[0]?.routes[0]?.action;
  if (found?.kind !== 'forward') throw new Error('must forward');
  return found;
};
const own = (hedge: Parameters<typeof struct>[0]): Resource => ({
  metadata: { filter_metadata: { 'inmesh.dev': struct({ hedge }) } },
});
const retried: Resource = {
  retry_policy: { retry_on: '5xx', num_retries: { value: 2 }, per_try_timeout: { nanos: 50_000_000 } },
};
const envoy = (hedge_on_per_try_timeout = true): Resource => ({ hedge_policy: { hedge_on_per_try_timeout } });

describe('the priority of a route', () => {
  test.each<[Resource, string | undefined]>([
    [{}, undefined],
    [{ priority: 'DEFAULT' }, undefined],
    [{ priority: 'HIGH' }, 'high'],
  ])('%j', (action, priority) => {
    expect(forward(action).priority).toBe(priority);
  });
});

describe('hedging as Envoy has it', () => {
  const hedged = { maxAttempts: 3, delayMs: 50, percentile: 0.95, maxExtraLoad: 1, onPerTryTimeout: true };

  test('sends another attempt when the limit of the first has passed, as often as it may be retried', () => {
    expect(forward({ ...retried, ...envoy() }).hedge).toEqual(hedged);
  });

  test('needs a retry policy with a limit for each attempt', () => {
    expect(forward(envoy()).hedge).toBeUndefined();
    expect(forward({ retry_policy: { retry_on: '5xx' }, ...envoy() }).hedge).toBeUndefined();
    expect(forward({ retry_policy: { per_try_timeout: { seconds: 1 } }, ...envoy() }).hedge).toBeUndefined();
    expect(forward({ ...retried, ...envoy(false) }).hedge).toBeUndefined();
  });

  test('comes from the virtual host, with its retry policy, unless the route says something', () => {
    expect(forward({}, {}, { ...retried, ...envoy() }).hedge).toEqual(hedged);
    expect(forward(envoy(false), {}, { ...retried, ...envoy() }).hedge).toBeUndefined();
  });

  test('sends no more than five attempts (gRFC A6)', () => {
    const policy = { retry_on: '5xx', num_retries: { value: 9 }, per_try_timeout: { seconds: 1 } };
    expect(forward({ retry_policy: policy, ...envoy() }).hedge?.maxAttempts).toBe(5);
  });

  test.each<[string, () => unknown]>([
    ['a route', () => forward({ hedge_policy: { initial_requests: {} } })],
    ['a virtual host', () => forward({}, {}, { hedge_policy: { initial_requests: {} } })],
  ])('no initial request is refused: %s', (_, read) => {
    expect(refusal(read)).toContain('hedge_policy.initial_requests: must be at least 1');
  });
});

describe('hedging as we have it', () => {
  test('has defaults, and comes before Envoy’s', () => {
    const hedge = { maxAttempts: 2, percentile: 0.95, maxExtraLoad: 0.05 };
    expect(forward({}, own({})).hedge).toEqual(hedge);
    expect(forward({ ...retried, ...envoy() }, own({})).hedge).toEqual(hedge);
  });

  test('takes every field', () => {
    const fields = {
      max_attempts: 4,
      delay_ms: 0,
      percentile: 0.9,
      max_extra_load: 0.2,
      non_fatal_statuses: ['UNAVAILABLE', 'ABORTED'],
      on_per_try_timeout: true,
    };
    expect(forward({}, own(fields)).hedge).toEqual({
      maxAttempts: 4,
      delayMs: 0,
      percentile: 0.9,
      maxExtraLoad: 0.2,
      nonFatalStatuses: new Set([14, 10]),
      onPerTryTimeout: true,
    });
    expect(forward({}, own({ max_attempts: 12 })).hedge?.maxAttempts).toBe(5);
  });

  test.each<[string, Parameters<typeof struct>[0], string]>([
    ['one attempt', { max_attempts: 1 }, 'fields["max_attempts"]: must be a number from 2'],
    ['a percentile of all', { percentile: 1 }, 'fields["percentile"]: must be a number from 0.01 to 0.9999'],
    ['no extra load', { max_extra_load: 0 }, 'fields["max_extra_load"]: must be a number from 0.0001 to 1'],
    ['a status that is none', { non_fatal_statuses: ['LATE'] }, 'got "LATE" at 0'],
    ['a good status', { non_fatal_statuses: ['OK'] }, 'must have names of gRPC statuses other than OK'],
    ['a status by number', { non_fatal_statuses: [14] }, 'list_value.values[0]: must be a string'],
    ['a flag that is none', { on_per_try_timeout: 1 }, 'must be true or false'],
  ])('%s is refused', (_, fields, problem) => {
    expect(refusal(() => forward({}, own(fields)))).toContain(problem);
  });
});
