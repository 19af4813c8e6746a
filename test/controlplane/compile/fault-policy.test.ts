import { describe, expect, test } from 'vitest';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import { compileYaml, httpRouteYaml, requestPolicyYaml, routesOf, serviceYaml } from '../../support/mesh-yaml.js';
import { envoyFault, meshFault } from '../../support/request-policies.js';

const TO_A = 'kind: Service, name: a';
const policy = (name: string, spec: string, target = TO_A): string =>
  requestPolicyYaml('FaultPolicy', name, target, spec);

/** What a policy of Service `a` comes to, in Envoy's words and in ours. */
function faultsOf(spec: string): {
  envoy: Omit<FaultConfig, 'name'> | undefined;
  own: Omit<FaultConfig, 'name'> | undefined;
} {
  const [route] = routesOf(compileYaml(serviceYaml('a') + policy('f', spec)), 'a.default:80');
  return { envoy: envoyFault(route, 'default/f'), own: meshFault(route, 'default/f') };
}

describe('a FaultPolicy', () => {
  test.each([
    ['delay: { fixedDelay: 1500ms, percentage: 10 }', { delay: { kind: 'fixed', ms: 1_500, share: 0.1 } }],
    ['delay: { headerDelay: {} }', { delay: { kind: 'header', share: 1 } }],
    ['abort: { httpStatus: 503, percentage: 0.5 }', { abort: { kind: 'http', status: 503, share: 0.005, of: 10_000 } }],
    ['abort: { grpcStatus: NOT_FOUND }', { abort: { kind: 'grpc', status: 5, share: 1 } }],
    ['abort: { headerAbort: {}, percentage: 0.0001 }', { abort: { kind: 'header', share: 0.000_001, of: 1_000_000 } }],
    ['throttle: { bytesPerSecond: 2048 }', { throttle: { kind: 'fixed', bytesPerSecond: 2_048, share: 1 } }],
    ['throttle: { headerLimit: {} }', { throttle: { kind: 'header', share: 1 } }],
  ])('{ %s } is Envoy’s fault filter, and nothing of ours', (spec, expected) => {
    const { envoy, own } = faultsOf(spec);
    expect(envoy).toMatchObject(expected);
    expect(own).toBeUndefined();
  });

  test.each([
    ['delay: { uniform: { min: 1ms, max: 1s } }', { delay: { kind: 'uniform', minMs: 1, maxMs: 1_000, share: 1 } }],
    [
      'delay: { normal: { mean: 1s, deviation: 100ms, max: 2s }, percentage: 50 }',
      { delay: { kind: 'normal', meanMs: 1_000, deviationMs: 100, maxMs: 2_000, share: 0.5 } },
    ],
    [
      'delay: { exponential: { mean: 1s, max: 2s } }',
      { delay: { kind: 'exponential', meanMs: 1_000, maxMs: 2_000, share: 1 } },
    ],
    ['reset: { percentage: 1 }', { reset: { share: 0.01 } }],
    ['truncate: { afterBytes: 10, percentage: 0.25 }', { truncate: { afterBytes: 10, share: 0.0025, of: 10_000 } }],
    ['throttle: { bytesPerSecond: 1000 }', { throttle: { kind: 'fixed', bytesPerSecond: 1_000, share: 1 } }],
  ])('{ %s } is ours, as Envoy has no words for it', (spec, expected) => {
    const { envoy, own } = faultsOf(spec);
    expect(envoy).toBeUndefined();
    expect(own).toMatchObject(expected);
  });

  test('of both kinds is both filters, each with its part, for the same requests', () => {
    const { envoy, own } = faultsOf(
      'delay: { fixedDelay: 1s }, reset: {}, headers: [{ name: X-Chaos, type: Present }], maxActiveFaults: 7',
    );
    const shared = { headers: [{ name: 'x-chaos', match: { kind: 'present' } }], maxActive: 7 };
    expect(envoy).toMatchObject({ delay: { ms: 1_000 }, ...shared });
    expect(own).toMatchObject({ reset: { share: 1 }, ...shared });
    expect([envoy?.reset, own?.delay]).toEqual([undefined, undefined]);
  });

  test('that is an experiment is all ours, so that nothing of it goes on when it ends', () => {
    const { envoy, own } = faultsOf(
      'delay: { fixedDelay: 1s, percentage: 5 }, abort: { httpStatus: 500, percentage: 5 }, throttle: { headerLimit: {} }, experiment: { duration: 5m, guards: [{ successRate: { minimum: 99.5 } }, { latency: { maximum: 2s } }] }',
    );
    expect(envoy).toBeUndefined();
    expect(own).toMatchObject({
      delay: { kind: 'fixed', ms: 1_000, share: 0.05 },
      abort: { kind: 'http', status: 500 },
      throttle: { kind: 'header' },
      experiment: {
        id: 'default/f/1',
        durationMs: 300_000,
        guards: [
          { kind: 'success-rate', min: 0.995, windowMs: 10_000, minRequests: 20 },
          { kind: 'latency', percentile: 0.99, maxMs: 2_000, windowMs: 10_000, minRequests: 20 },
        ],
      },
    });
    const again = faultsOf('reset: {}, experiment: { duration: 5m, run: two }');
    expect(again.own?.experiment).toMatchObject({ id: 'default/f/two', guards: [] });
  });

  test('is a filter of its own beside others that meet the same request', () => {
    const text =
      serviceYaml('a') +
      httpRouteYaml('r', 'name: a', '[{ name: one, backendRefs: [{ name: a }] }]') +
      policy('f', 'reset: {}') +
      policy('g', 'abort: { httpStatus: 500 }', 'kind: HTTPRoute, name: r, sectionName: one');
    const [route] = routesOf(compileYaml(text), 'a.default:80');
    expect(Object.keys(route.typed_per_filter_config)).toEqual(['default/g', 'inmesh.dev/fault/default/f']);
  });
});
