import { describe, expect, test } from 'vitest';
import { DEFAULT_BREAKER } from '../../../src/core/model/breaker.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import { CLUSTER } from '../../../src/core/resources.js';
import { referencesOf } from '../../../src/controlplane/snapshot/references.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { decoders } from '../../support/decoders.js';
import { clusterOf, compileYaml, policyYaml, problemsOf, serviceYaml } from '../../support/mesh-yaml.js';

const NAME = 'a.default:80';
const SERVICES =
  serviceYaml('a') +
  serviceYaml('b', 'endpoints: ["10.0.0.2:1"], ports: [{ port: 80, name: x }, { port: 90, name: y }]');
const codec = await loadCodec();
const clusterWith = (spec: string) => clusterOf(compileYaml(SERVICES + policyYaml('p', 'a', spec)), NAME);

/** What a client makes of the cluster of Service `a` with this policy, after a trip over the wire. */
function settings(spec: string) {
  const cluster = clusterWith(spec);
  const back = codec.decodeResource(CLUSTER, codec.encodeResource(CLUSTER, cluster));
  expect(back).toEqual(cluster);
  return decoders[CLUSTER](back, NAME).settings;
}
const limits = (pool: string) => settings(`connectionPool: { ${pool} }`).limits;
const fallback = (...entries: string[]) => settings(`fallback: [${entries.join(', ')}]`).fallback;

describe('limits', () => {
  test('of calls with priority high are apart', () => {
    expect(limits('maxRequests: 9, high: { maxRequests: 5, maxPendingRequests: 4, maxRetries: 3 }')).toMatchObject({
      maxRequests: 9,
      high: { maxPendingRequests: 4, maxRequests: 5, maxRetries: 3 },
    });
    expect(limits('high: {}').high).toEqual({ maxPendingRequests: 1_024, maxRequests: 1_024, maxRetries: undefined });
    expect(limits('maxRequests: 9').high).toBeUndefined();
  });

  test('give batch a share', () => {
    expect(limits('batchPercent: 25').batchShare).toBe(0.25);
    expect(limits('maxRequests: 9').batchShare).toBeUndefined();
  });

  test('of retries by what is under way stand in place of all others', () => {
    expect(limits('retryBudget: { percent: 30, minRetryConcurrency: 7 }')).toMatchObject({
      maxRetries: undefined,
      activeRetryBudget: { share: 0.3, minConcurrency: 7 },
    });
    expect(limits('retryBudget: {}').activeRetryBudget).toEqual({ share: 0.2, minConcurrency: 3 });
  });

  test.each([
    'connectionPool: { maxRequests: 9 }',
    'retryConstraint: {}',
    'connectionPool: { maxRequests: 9 }, retryConstraint: {}',
  ])('without, ours counts, though Envoy is told another in its place: %s', (spec) => {
    const found = settings(spec);
    expect(found.limits.activeRetryBudget).toBeUndefined();
    expect(found.retryBudget).toEqual(DEFAULT_RETRY_BUDGET);
    expect(clusterWith(spec).circuit_breakers.thresholds[0].retry_budget).toEqual({ budget_percent: { value: 20 } });
  });
});

describe('a breaker', () => {
  test('is none, or has the defaults, or what is asked for', () => {
    expect(settings('connectTimeout: 1s').breaker).toBeUndefined();
    expect(settings('breaker: {}').breaker).toEqual(DEFAULT_BREAKER);
    const rate = '{ percent: 50, window: 2s, minimumRequests: 8, buckets: 4 }';
    expect(
      settings(
        `breaker: { consecutiveFailures: 3, successRate: ${rate}, basePenalty: 50ms, maxPenalty: 400ms, jitterPercent: 0, probes: 2 }`,
      ).breaker,
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
    expect(settings('breaker: { consecutiveFailures: 0 }').breaker?.consecutiveFailures).toBeUndefined();
    expect(settings('breaker: { successRate: { percent: 0 } }').breaker?.successRate).toBeUndefined();
  });
});

describe('fallbacks', () => {
  test('another Service, by its port', () => {
    expect(fallback('{ service: { name: b } }', '{ service: { name: b, port: 90, namespace: default } }')).toEqual([
      { kind: 'service', cluster: 'b.default:80' },
      { kind: 'service', cluster: 'b.default:90' },
    ]);
  });

  test('the last good reply, and a function', () => {
    expect(
      fallback(
        '{ stale: { maxAge: 5s, maxEntries: 6, maxEntryBytes: 7 } }',
        '{ stale: {} }',
        '{ function: { name: f } }',
      ),
    ).toEqual([
      { kind: 'stale', maxAgeMs: 5_000, maxEntries: 6, maxEntryBytes: 7 },
      { kind: 'stale', maxAgeMs: 60_000, maxEntries: 100, maxEntryBytes: 65_536 },
      { kind: 'function', name: 'f' },
    ]);
  });

  const bytes = (text: string) => new Uint8Array(Buffer.from(text));
  test.each<[string, object]>([
    ['{}', { status: 200, headers: [], body: bytes(''), grpcStatus: 0 }],
    ['{ status: 404, body: gone }', { status: 404, headers: [], body: bytes('gone'), grpcStatus: 0 }],
    [
      '{ json: { a: [1, null] } }',
      {
        status: 200,
        headers: [{ name: 'content-type', value: 'application/json' }],
        body: bytes('{"a":[1,null]}'),
        grpcStatus: 0,
      },
    ],
    [
      '{ json: [], headers: [{ name: Content-Type, value: text/x }] }',
      { status: 200, headers: [{ name: 'content-type', value: 'text/x' }], body: bytes('[]'), grpcStatus: 0 },
    ],
    [
      '{ bodyBase64: AAEC, grpcStatus: UNAVAILABLE }',
      { status: 200, headers: [], body: new Uint8Array([0, 1, 2]), grpcStatus: 14 },
    ],
  ])('a reply that is always the same: %s', (reply, expected) => {
    expect(fallback(`{ static: ${reply} }`)).toEqual([{ kind: 'static', ...expected }]);
  });

  test('what a cluster falls back to is a reference, without which no snapshot is served', () => {
    const cluster = clusterWith('fallback: [{ stale: {} }, { service: { name: b } }]');
    expect(referencesOf(CLUSTER, cluster).map(({ name, path }) => [name, path])).toEqual([
      [NAME, 'eds_cluster_config.service_name'],
      ['b.default:80', 'metadata.filter_metadata["inmesh.dev"].fallback[1].service.cluster'],
    ]);
  });

  test('a Service that may come later is left out where its routes would answer 500', () => {
    const text = SERVICES + policyYaml('p', 'a', 'fallback: [{ service: { name: later } }, { stale: {} }]');
    const result = compileYaml(text, { danglingBackends: 'answer-500' });
    expect(decoders[CLUSTER](clusterOf(result, NAME), NAME).settings.fallback).toMatchObject([{ kind: 'stale' }]);
    expect(result.warnings.map(({ path }) => path)).toEqual(['spec.fallback[0].service.name']);
  });
});

describe('mistakes', () => {
  const said = (spec: string): string[] =>
    problemsOf(SERVICES + policyYaml('p', 'a', spec)).map((line) => line.replace(/^\S+ TrafficPolicy\/p spec\./, ''));

  test.each<[string, string]>([
    [
      'connectionPool: { maxRetries: 3, retryBudget: {} }',
      'connectionPool.maxRetries: cannot be combined with retryBudget: keep one of them',
    ],
    [
      'connectionPool: { retryBudget: {} }, retryConstraint: {}',
      'retryConstraint: cannot be combined with connectionPool.retryBudget: keep one of them',
    ],
    [
      'connectionPool: { batchPercent: 101 }',
      'connectionPool.batchPercent: must be a whole number from 0 to 100, in percent, got 101',
    ],
    [
      'connectionPool: { high: { maxConnections: 3 } }',
      'connectionPool.high.maxConnections: unknown field; known: maxPendingRequests, maxRequests, maxRetries',
    ],
    [
      'breaker: { consecutiveFailures: 0, successRate: { percent: 0 } }',
      'breaker: must count something: consecutiveFailures of at least 1, or successRate.percent of at least 1',
    ],
    ['breaker: { basePenalty: 2m }', 'breaker.maxPenalty: must be from 2m to 24h, got 1m'],
    ['breaker: { basePenalty: 0s }', 'breaker.basePenalty: must be from 1ms to 24h, got 0s'],
    ['breaker: { successRate: { window: 1ms } }', 'breaker.successRate.window: must be from 100ms to 24h, got 1ms'],
    ['fallback: [{}]', 'fallback[0]: must have one of service, stale, static, function'],
    [
      'fallback: [{ stale: {}, function: { name: f } }]',
      'fallback[0].function: cannot be combined with stale: make two entries of them, in order',
    ],
    ['fallback: []', 'fallback: must have at least one entry, got a list of 0'],
    ['fallback: [{ service: { name: bb } }]', 'fallback[0].service.name: there is no Service "bb"; did you mean "b"?'],
    [
      'fallback: [{ service: { name: b, port: 1 } }]',
      'fallback[0].service.port: Service "b" has no port 1; its ports: 80, 90',
    ],
    ['fallback: [{ service: { name: a } }]', 'fallback[0].service.name: is the Service itself, "a": name another'],
    [
      'fallback: [{ service: { name: b, kind: Deployment, group: apps } }]',
      'fallback[0].service.kind: "apps/Deployment" is not supported by this version of inmesh: use a Service',
    ],
    ['fallback: [{ stale: { maxAge: 0s } }]', 'fallback[0].stale.maxAge: must be from 1ms to 720h, got 0s'],
    [
      'fallback: [{ static: { body: a, json: 1 } }]',
      'fallback[0].static.json: cannot be combined with body: keep one of them',
    ],
    [
      'fallback: [{ static: { bodyBase64: "*" } }]',
      'fallback[0].static.bodyBase64: must be base64, such as CgVoZWxsbw==',
    ],
    ['fallback: [{ static: { json: .inf } }]', 'fallback[0].static.json: must be a finite number, got "Infinity"'],
    [
      `fallback: [{ static: { body: ${'é'.repeat(40_000)} } }]`,
      'fallback[0].static.body: must be at most 65536 bytes, got 80000',
    ],
    [
      'fallback: [{ static: { headers: [{ name: x, value: "a\\n" }] } }]',
      'fallback[0].static.headers[0].value: must be Latin-1 text without control characters',
    ],
    ['fallback: [{ static: { grpcStatus: UNAVAILABEL } }]', 'did you mean "UNAVAILABLE"?'],
  ])('%s', (spec, message) => {
    expect(said(spec)).toEqual([expect.stringContaining(message)]);
  });
});
