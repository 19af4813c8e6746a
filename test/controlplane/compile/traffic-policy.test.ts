import { describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { decoders } from '../../support/decoders.js';
import { clusterOf, compileYaml, endpointsOf, policyYaml, problemsOf, serviceYaml } from '../../support/mesh-yaml.js';

const NAME = 'a.default:80';
const codec = await loadCodec();

/** What a client makes of the cluster of Service `a` with this policy, after a trip over the wire. */
function settings(spec: string, service?: string) {
  const cluster = clusterOf(compileYaml(serviceYaml('a', service) + policyYaml('p', 'a', spec)), NAME);
  const back = codec.decodeResource(CLUSTER, codec.encodeResource(CLUSTER, cluster));
  expect(back).toEqual(cluster);
  return decoders[CLUSTER](back, NAME).settings;
}
const balancing = (text: string) => settings(`loadBalancer: { ${text} }`);
const names = (spec: string): string[] =>
  clusterOf(compileYaml(serviceYaml('a') + policyYaml('p', 'a', spec)), NAME).load_balancing_policy.policies.map(
    (policy: { typed_extension_config: { name: string } }) => policy.typed_extension_config.name.split('.').pop(),
  );

describe('balancers, as clients read them', () => {
  test.each([
    ['simple: ROUND_ROBIN', { kind: 'round_robin' }],
    ['simple: RANDOM', { kind: 'random' }],
    ['simple: PICK_FIRST, shuffleAddressList: true', { kind: 'pick_first', shuffle: true }],
    [
      'simple: LEAST_REQUEST, choiceCount: 3, activeRequestBias: 1.5',
      { kind: 'least_request', choiceCount: 3, activeRequestBias: 1.5 },
    ],
    ['simple: PEAK_EWMA, decay: 5s', { kind: 'peak_ewma', decayMs: 5_000, defaultRttMs: 30 }],
    ['simple: RING_HASH', { kind: 'ring_hash', minSize: 1_024, maxSize: 8_388_608, useHostname: false }],
    [
      'consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 8, maximumRingSize: 64 } }',
      { kind: 'ring_hash', minSize: 8, maxSize: 64, useHostname: false },
    ],
    [
      'simple: LEAST_REQUEST, selectionMethod: FULL_SCAN',
      { kind: 'least_request', choiceCount: 2, activeRequestBias: undefined, fullScan: true },
    ],
    [
      'consistentHash: { useSourceIp: true, hashBalanceFactor: 125, useHostnameForHashing: true }',
      { kind: 'ring_hash', minSize: 1_024, maxSize: 8_388_608, useHostname: true, balanceFactor: 1.25 },
    ],
    [
      'simple: MAGLEV, consistentHash: { hashBalanceFactor: 100 }',
      { kind: 'maglev', tableSize: 65_537, useHostname: false, balanceFactor: 1 },
    ],
    ['simple: MAGLEV', { kind: 'maglev', tableSize: 65_537, useHostname: false }],
    [
      'consistentHash: { httpHeaderName: x, maglev: { tableSize: 251 } }',
      { kind: 'maglev', tableSize: 251, useHostname: false },
    ],
    [
      `simple: WEIGHTED_ROUND_ROBIN, weightedRoundRobin: { enableOobLoadReport: true, oobReportingPeriod: 2s, blackoutPeriod: 3s,
        weightExpirationPeriod: 1m, weightUpdatePeriod: 500ms, errorUtilizationPenalty: 2.5, metricNamesForComputingUtilization: [named_metrics.db] }`,
      {
        kind: 'weighted_round_robin',
        outOfBand: true,
        outOfBandPeriodMs: 2_000,
        blackoutMs: 3_000,
        expirationMs: 60_000,
        updateMs: 500,
        errorPenalty: 2.5,
        metrics: ['named_metrics.db'],
      },
    ],
  ])('%s', (text, balancer) => {
    expect(balancing(text).balancer).toEqual(balancer);
  });

  test("one of the application's own is for those that know it; others balance by least request", () => {
    const spec =
      'loadBalancer: { custom: { name: example.com/nearest, config: { factor: 1.5, on: true, none: null, list: [1, a] } } }';
    expect(settings(spec).balancer).toEqual({ kind: 'least_request', choiceCount: 2, activeRequestBias: undefined });
    expect(names(spec)).toEqual(['com/nearest', 'least_request', 'round_robin']);
  });

  test.each([
    ['PEAK_EWMA', ''],
    ['ROUND_ROBIN', ''],
    ['LEAST_REQUEST', ''],
    ['WEIGHTED_ROUND_ROBIN', ''],
  ])('%s warms up', (simple) => {
    const text = `simple: ${simple}, warmup: { duration: 30s, minimumPercent: 20, aggression: 2 }`;
    expect(balancing(text).slowStart).toEqual({ windowMs: 30_000, aggression: 2, minWeight: 0.2 });
  });

  test('only some of the endpoints: by a ring of all clients, or by rank', () => {
    expect(balancing('aperture: { type: Deterministic }').aperture).toEqual({
      kind: 'deterministic_aperture',
      floor: 12,
      peer: undefined,
    });
    const placed = balancing('aperture: { type: Deterministic, size: 3, peerCount: 5, peerIndex: 2 }');
    expect(placed).toMatchObject({
      aperture: { floor: 3, peer: { index: 2, count: 5 } },
      balancer: { kind: 'peak_ewma' },
    });
    expect(balancing('simple: RANDOM, aperture: { type: RandomSubsetting, size: 7 }')).toMatchObject({
      aperture: { kind: 'random_subsetting', size: 7 },
      balancer: { kind: 'random' },
    });
  });

  test('subsets are asked for by the names of their labels; those who know none balance over all', () => {
    const spec =
      'loadBalancer: { simple: RANDOM }, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }, { name: gold, labels: { version: v2, tier: gold } }]';
    expect(settings(spec).subsets).toEqual({
      fallback: 'any',
      defaultSubset: {},
      selectors: [
        { keys: ['version'], fallback: 'none' },
        { keys: ['tier', 'version'], fallback: 'none' },
      ],
    });
    expect(settings(spec).balancer).toEqual({ kind: 'random' });
    expect(names(spec)).toEqual(['subset', 'random', 'round_robin']);
  });

  test('subsets fall back to fewer of their labels, which those who ask again find', () => {
    const subsets =
      '{ name: both, labels: { version: v2, tier: gold }, fallbackKeys: [tier] }, { name: v1, labels: { version: v1 } }';
    expect(settings(`subsets: [${subsets}]`).subsets).toEqual({
      fallback: 'any',
      defaultSubset: {},
      selectors: [
        { keys: ['tier', 'version'], fallback: 'keys', fallbackKeys: ['tier'] },
        { keys: ['version'], fallback: 'none' },
        { keys: ['tier'], fallback: 'none' },
      ],
    });
  });

  test('a threshold of panic', () => {
    expect(balancing('panicThreshold: 40').panicThreshold).toBe(0.4);
    expect(balancing('simple: RANDOM').panicThreshold).toBeUndefined();
  });
});

describe('localities', () => {
  const SERVICE =
    'endpoints: [{ address: "10.0.0.1:1", zone: z1 }, { address: "10.0.0.2:1", zone: z2, weight: 3 }, { address: "10.0.0.3:1", locality: r/z3/s }, { address: "10.0.0.4:1", locality: r/z4 }]';
  const groups = (setting: string) => {
    const result = compileYaml(
      serviceYaml('a', SERVICE) + policyYaml('p', 'a', `loadBalancer: { localityLbSetting: { ${setting} } }`),
    );
    const { endpoints } = decoders[ENDPOINT](endpointsOf(result, NAME), NAME);
    return endpoints.map(({ locality, localityWeight, priority }) => [
      [locality.region, locality.zone, locality.subZone].join('/'),
      localityWeight,
      priority,
    ]);
  };

  test('weigh what is in them', () => {
    expect(groups('')).toEqual([
      ['/z1/', 1, 0],
      ['/z2/', 3, 0],
      ['r/z3/s', 1, 0],
      ['r/z4/', 1, 0],
    ]);
  });

  test('have shares; one name may stand for several; those not named get no calls', () => {
    expect(groups('distribute: [{ from: "*", to: { z1: 80, r: 20 } }]')).toEqual([
      ['/z1/', 80_000, 0],
      ['r/z3/s', 10_000, 0],
      ['r/z4/', 10_000, 0],
    ]);
  });

  test('serve in an order, without gaps, and those not named last', () => {
    expect(groups('failoverOrder: [r/z3, elsewhere, z2]')).toEqual([
      ['/z1/', 1, 2],
      ['/z2/', 3, 1],
      ['r/z3/s', 1, 0],
      ['r/z4/', 1, 2],
    ]);
  });

  test('calls stay in their own zone when asked', () => {
    const zoneAware =
      'zoneAware: { routingEnabled: 50, minClusterSize: 3, forceLocalZone: { minSize: 2 }, failTrafficOnPanic: true }';
    expect(balancing(`simple: LEAST_REQUEST, localityLbSetting: { ${zoneAware} }`).locality).toEqual({
      kind: 'zone_aware',
      enabled: 0.5,
      minClusterSize: 3,
      forceLocal: 2,
      failTrafficOnPanic: true,
    });
    expect(balancing(`localityLbSetting: { ${zoneAware} }`)).toMatchObject({
      balancer: { kind: 'peak_ewma' },
      locality: { kind: 'zone_aware', enabled: 0.5, minClusterSize: 3, forceLocal: 2, failTrafficOnPanic: true },
    });
    expect(balancing('simple: RANDOM, localityLbSetting: { zoneAware: {} }').locality).toMatchObject({
      enabled: 1,
      minClusterSize: 6,
      forceLocal: undefined,
    });
  });

  test('overprovisioning stands with the endpoints', () => {
    const result = compileYaml(
      serviceYaml('a') + policyYaml('p', 'a', 'loadBalancer: { overprovisioningFactor: 140 }'),
    );
    expect(decoders[ENDPOINT](endpointsOf(result, NAME), NAME).priorities).toEqual({ overprovisioningFactor: 1.4 });
  });
});

describe('health', () => {
  test('outlier detection is off, unless asked for; then by the defaults', () => {
    expect(balancing('simple: RANDOM').outlier).toBeUndefined();
    expect(settings('outlierDetection: {}').outlier).toMatchObject({
      intervalMs: 10_000,
      maxEjection: 0.1,
      consecutive5xx: { count: 5, enforcing: 1 },
      consecutiveGatewayFailure: undefined,
      successRate: { stdevFactor: 1.9 },
      failurePercentage: undefined,
      alwaysEjectOne: true,
    });
  });

  test('every kind of outlier, with how often each ejects', () => {
    const spec = `outlierDetection: { interval: 1s, baseEjectionTime: 2s, maxEjectionTime: 3s, maxEjectionTimeJitter: 4ms, maxEjectionPercent: 50,
      alwaysEjectOneHost: false, consecutive5xx: 3, enforcingConsecutive5xx: 90, consecutiveGatewayFailure: 2,
      splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailure: 4, enforcingConsecutiveLocalOriginFailure: 80,
      successRateMinimumHosts: 6, successRateRequestVolume: 7, successRateStdevFactor: 1.5, enforcingSuccessRate: 70,
      enforcingLocalOriginSuccessRate: 60, failurePercentageThreshold: 30, failurePercentageMinimumHosts: 8,
      failurePercentageRequestVolume: 9, enforcingFailurePercentageLocalOrigin: 40, successfulActiveHealthCheckUnejectHost: false }`;
    const rate = { stdevFactor: 1.5, minimumHosts: 6, requestVolume: 7 };
    const percentage = { threshold: 0.3, minimumHosts: 8, requestVolume: 9 };
    expect(settings(spec).outlier).toEqual({
      intervalMs: 1_000,
      baseEjectionMs: 2_000,
      maxEjectionMs: 3_000,
      maxEjectionJitterMs: 4,
      maxEjection: 0.5,
      consecutive5xx: { count: 3, enforcing: 0.9 },
      consecutiveGatewayFailure: { count: 2, enforcing: 1 },
      consecutiveLocalOriginFailure: { count: 4, enforcing: 0.8 },
      splitLocalOrigin: true,
      successRate: { ...rate, enforcing: 0.7 },
      localOriginSuccessRate: { ...rate, enforcing: 0.6 },
      failurePercentage: { ...percentage, enforcing: 1 },
      localOriginFailurePercentage: { ...percentage, enforcing: 0.4 },
      unejectOnHealthCheck: false,
      alwaysEjectOne: false,
    });
  });

  test('checks over HTTP, gRPC and TCP', () => {
    const spec = `healthChecks: [
      { timeout: 2s, interval: 3s, initialJitter: 4ms, intervalJitter: 5ms, intervalJitterPercent: 6, noTrafficInterval: 7s, noTrafficHealthyInterval: 70s, unhealthyInterval: 8s,
        unhealthyEdgeInterval: 9s, healthyEdgeInterval: 10s, unhealthyThreshold: 2, healthyThreshold: 4, altPort: 8080, reuseConnection: false,
        httpHealthCheck: { path: "/health?a=1", host: a.example, method: HEAD, codecClientType: HTTP2,
          expectedStatuses: [{ start: 200, end: 300 }], retriableStatuses: [{ start: 429, end: 430 }], requestHeadersToAdd: [{ name: X-Check, value: "100%" }] } },
      { grpcHealthCheck: { serviceName: p.S, authority: a.example } },
      { tcpHealthCheck: { send: "0a0b", receive: ["0c"] } }, { tcpHealthCheck: {} }]`;
    const found = settings(spec).healthChecks ?? [];
    expect(found[0]).toMatchObject({
      timeoutMs: 2_000,
      intervalMs: 3_000,
      initialJitterMs: 4,
      intervalJitterMs: 5,
      intervalJitterShare: 0.06,
      noTrafficIntervalMs: 7_000,
      noTrafficHealthyIntervalMs: 70_000,
      unhealthyIntervalMs: 8_000,
      unhealthyEdgeIntervalMs: 9_000,
      healthyEdgeIntervalMs: 10_000,
      unhealthyThreshold: 2,
      healthyThreshold: 4,
      port: 8080,
      reuseConnection: false,
      check: {
        kind: 'http',
        host: 'a.example',
        path: '/health?a=1',
        method: 'HEAD',
        http2: true,
        expected: [{ start: 200, end: 300 }],
        retriable: [{ start: 429, end: 430 }],
        requestHeaders: { set: [{ name: 'x-check', value: '100%%', action: 'overwrite' }] },
      },
    });
    expect(found[1]).toMatchObject({
      timeoutMs: 1_000,
      intervalMs: 10_000,
      unhealthyThreshold: 3,
      healthyThreshold: 1,
      check: { kind: 'grpc', service: 'p.S', authority: 'a.example' },
    });
    expect(found[2]?.check).toMatchObject({ kind: 'tcp', send: Buffer.from([10, 11]), receive: [Buffer.from([12])] });
    expect(found[3]?.check).toMatchObject({ kind: 'tcp', receive: [] });
  });

  test('endpoints are asked over their connection, by the name of a service', () => {
    expect(settings('healthWatch: { service: p.S }').healthWatch).toEqual({ service: 'p.S' });
    expect(settings('healthWatch: {}').healthWatch).toEqual({ service: '' });
    expect(settings('idleTimeout: 1s').healthWatch).toBeUndefined();
  });
});

test('connections are opened ahead, replaced in time, and kept alive', () => {
  const pool = 'warmConnections: 2, maxConnectionDuration: 10m, maxRequestsPerConnection: 100';
  const keepalive = 'http2Keepalive: { interval: 30s, timeout: 5s }';
  expect(
    settings(`connectionPool: { ${pool}, ${keepalive} }`, 'ports: [{ port: 80, appProtocol: grpc }], endpoints: []'),
  ).toMatchObject({
    protocol: 'http2',
    connections: {
      warm: 2,
      maxLifetimeMs: 600_000,
      maxRequests: 100,
      keepAlive: { intervalMs: 30_000, timeoutMs: 5_000 },
    },
  });
  expect(settings(`connectionPool: { ${pool} }`)).toMatchObject({ protocol: 'http1', connections: { warm: 2 } });
});

test('an endpoint says what is known of it', () => {
  const service = `endpoints: [{ address: "10.0.0.1:1", health: DRAINING, hashKey: one, hostname: one.example, labels: { tier: gold },
    additionalAddresses: ["[2001:db8::1]:1"], healthCheckConfig: { portValue: 9000, hostname: check.example } }, { address: "10.0.0.2:1", health: DEGRADED }]`;
  const resource = endpointsOf(compileYaml(serviceYaml('a', service)), NAME);
  expect(codec.decodeResource(ENDPOINT, codec.encodeResource(ENDPOINT, resource))).toEqual(resource);
  const { endpoints } = decoders[ENDPOINT](resource, NAME);
  expect(endpoints[0]).toMatchObject({
    addresses: [
      { host: '10.0.0.1', port: 1 },
      { host: '2001:db8::1', port: 1 },
    ],
    health: 'draining',
    hashKey: 'one',
    hostname: 'one.example',
    healthCheckPort: 9000,
    healthCheckHost: 'check.example',
    labels: { tier: 'gold' },
  });
  expect(endpoints[1]?.health).toBe('degraded');
});

test('other addresses do not go with names from slices, which DNS resolves', () => {
  const slice = `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a-1, labels: { kubernetes.io/service-name: a } }
addressType: FQDN
endpoints: [{ addresses: [a.example] }]
ports: [{ port: 80 }]
`;
  const service = serviceYaml('a', 'endpoints: [{ address: "10.0.0.1:1", additionalAddresses: ["10.0.0.2:1"] }]');
  const cluster = clusterOf(compileYaml(service + slice), NAME);
  expect(cluster.type).toBe('STRICT_DNS');
  expect(JSON.stringify(decoders[CLUSTER](cluster, NAME).discovery)).not.toContain('10.0.0.2');
});

test('an address of two endpoints belongs to one of them', () => {
  const service =
    'endpoints: [{ address: "10.0.0.1:1", additionalAddresses: ["10.0.0.2:1", "10.0.0.3:1"] }, { address: "10.0.0.2:1", additionalAddresses: ["10.0.0.3:1"] }]';
  const { endpoints } = decoders[ENDPOINT](endpointsOf(compileYaml(serviceYaml('a', service)), NAME), NAME);
  expect(endpoints.map(({ addresses }) => addresses.map(({ host }) => host))).toEqual([
    ['10.0.0.1', '10.0.0.3'],
    ['10.0.0.2'],
  ]);
});

describe('mistakes', () => {
  const said = (spec: string): string[] =>
    problemsOf(serviceYaml('a') + policyYaml('p', 'a', spec)).map((line) =>
      line.replace(/^\S+ TrafficPolicy\/p spec\./, ''),
    );
  const balancer = (text: string): string[] =>
    said(`loadBalancer: { ${text} }`).map((line) => line.replace('loadBalancer.', ''));

  test.each([
    [
      'simple: RANDOM, choiceCount: 3',
      'choiceCount: belongs to "simple: LEAST_REQUEST" and means nothing with RANDOM: remove it',
    ],
    [
      'simple: RANDOM, consistentHash: { useSourceIp: true }',
      'consistentHash: belongs to RING_HASH, MAGLEV and means nothing with RANDOM: remove it',
    ],
    [
      'simple: PICK_FIRST, warmup: { duration: 1s }',
      'warmup: belongs to PEAK_EWMA, LEAST_REQUEST, ROUND_ROBIN, WEIGHTED_ROUND_ROBIN and means nothing with PICK_FIRST: remove it',
    ],
    ['warmup: { duration: 0s }', 'warmup.duration: must be from 1ms to 24h, got 0s'],
    [
      'simple: RING_HASH, consistentHash: { maglev: {} }',
      'consistentHash.maglev: belongs to "simple: MAGLEV" and means nothing with RING_HASH: remove it',
    ],
    [
      'consistentHash: { maglev: { tableSize: 10 } }',
      'consistentHash.maglev.tableSize: must be a prime number, got 10',
    ],
    [
      'consistentHash: { ringHash: { minimumRingSize: 9, maximumRingSize: 8 } }',
      'consistentHash.ringHash.minimumRingSize: must be at most maximumRingSize, which is 8',
    ],
    [
      'consistentHash: { httpCookie: { name: "a b" } }',
      'consistentHash.httpCookie.name: must be the name of a cookie, got "a b"',
    ],
    [
      'consistentHash: { httpHeadrName: x }',
      'consistentHash.httpHeadrName: unknown field; did you mean "httpHeaderName"?',
    ],
    ['simple: RANDOM, custom: { name: x }', 'simple: cannot be combined with custom: keep one of them'],
    ['custom: { name: x, config: { a: .inf } }', 'custom.config.a: must be a finite number, got "Infinity"'],
    [
      'aperture: { type: RandomSubsetting, peerCount: 3 }',
      'aperture.peerCount: belongs to "type: Deterministic": remove it',
    ],
    ['aperture: { type: Deterministic, peerCount: 3 }', 'aperture.peerIndex: is missing: peerCount needs it'],
    [
      'aperture: { type: Deterministic, peerCount: 3, peerIndex: 3 }',
      'aperture.peerIndex: must be less than peerCount, which is 3, got 3',
    ],
    [
      'simple: PICK_FIRST, localityLbSetting: { zoneAware: {} }',
      'localityLbSetting.zoneAware: needs "simple: PEAK_EWMA", LEAST_REQUEST, ROUND_ROBIN or RANDOM, got PICK_FIRST',
    ],
    [
      'simple: LEAST_REQUEST, selectionMethod: FULL_SCAN, choiceCount: 3',
      'choiceCount: means nothing with "selectionMethod: FULL_SCAN", which compares all: remove it',
    ],
    [
      'selectionMethod: FULL_SCAN',
      'selectionMethod: belongs to "simple: LEAST_REQUEST" and means nothing with PEAK_EWMA: remove it',
    ],
    [
      'consistentHash: { hashBalanceFactor: 99 }',
      'consistentHash.hashBalanceFactor: must be a whole number from 100 to 1000000, got 99',
    ],
    [
      'localityLbSetting: { distribute: [{ from: z1, to: { z1: 1 } }] }',
      'localityLbSetting.distribute[0].from: must be "*", got "z1"; did you mean "*"?',
    ],
    [
      'localityLbSetting: { distribute: [{ from: "*", to: { z1: 0 } }] }',
      'localityLbSetting.distribute[0].to: must give a locality a weight of at least 1',
    ],
    ['localityLbSetting: { failoverOrder: [a, a] }', 'localityLbSetting.failoverOrder[1]: "a" is there twice'],
    ['panicThreshold: 101', 'panicThreshold: must be a whole number from 0 to 100, in percent, got 101'],
  ])('%s', (text, message) => {
    expect(balancer(text)).toEqual([message]);
  });

  test.each([
    ['subsets: [{ name: x, labels: {} }]', 'subsets[0].labels: must have at least one label'],
    [
      'subsets: [{ name: x, labels: { a: b, c: d }, fallbackKeys: [e] }]',
      'subsets[0].fallbackKeys[0]: must be the name of one of its labels, got "e"',
    ],
    [
      'subsets: [{ name: x, labels: { a: b }, fallbackKeys: [a] }]',
      'subsets[0].fallbackKeys: must leave out one of its labels: with all of them no other endpoint is found',
    ],
    [
      'subsets: [{ name: x, labels: { a: b, c: d }, fallbackKeys: [a] }, { name: y, labels: { c: d, a: b }, fallbackKeys: [c] }]',
      'subsets[1].fallbackKeys: must be the same for all subsets that have labels of the same names',
    ],
    [
      'healthChecks: [{ httpHealthCheck: { path: /, retriableStatuses: [{ start: 300, end: 300 }] } }]',
      'healthChecks[0].httpHealthCheck.retriableStatuses[0].end: must be more than start, as it is the first status after the range, got 300',
    ],
    [
      'subsets: [{ name: x, labels: { a: b } }, { name: x, labels: { a: c } }]',
      'subsets[1].name: name "x" is there twice',
    ],
    [
      'outlierDetection: { consecutive5xxErrors: 3 }',
      'outlierDetection.consecutive5xxErrors: unknown field; did you mean "consecutive5xx"?',
    ],
    ['outlierDetection: { interval: 1ms }', 'outlierDetection.interval: must be from 100ms to 24h, got 1ms'],
    [
      'outlierDetection: { baseEjectionTime: 1m, maxEjectionTime: 30s }',
      'outlierDetection.maxEjectionTime: must be from 1m to 24h, got 30s',
    ],
    [
      'outlierDetection: { consecutiveLocalOriginFailure: 3 }',
      'outlierDetection.consecutiveLocalOriginFailure: needs "splitExternalLocalOriginErrors: true" beside it',
    ],
    ['healthChecks: [{}]', 'healthChecks[0]: must have one of httpHealthCheck, grpcHealthCheck, tcpHealthCheck'],
    [
      'healthChecks: [{ tcpHealthCheck: {}, grpcHealthCheck: {} }]',
      'healthChecks[0].tcpHealthCheck: cannot be combined with grpcHealthCheck: make two checks of them',
    ],
    [
      'healthChecks: [{ tcpHealthCheck: {}, interval: 0s }]',
      'healthChecks[0].interval: must be from 1ms to 24h, got 0s',
    ],
    [
      'healthChecks: [{ tcpHealthCheck: { send: abc } }]',
      'healthChecks[0].tcpHealthCheck.send: must be bytes in hexadecimal, such as 50494e47, got "abc"',
    ],
    [
      'healthChecks: [{ httpHealthCheck: { path: /, expectedStatuses: [{ start: 300, end: 200 }] } }]',
      'healthChecks[0].httpHealthCheck.expectedStatuses[0].end: must be more than start, as it is the first status after the range, got 200',
    ],
    [
      'connectionPool: { http2Keepalive: { interval: 0s } }',
      'connectionPool.http2Keepalive.interval: must be from 1ms to 24h, got 0s',
    ],
  ])('%s', (spec, message) => {
    expect(said(spec)).toEqual([message]);
  });

  test.each([
    [
      '{ address: "10.0.0.1:1", zone: a, locality: r/a }',
      'zone: cannot be combined with locality, which has the zone in it: keep one of them',
    ],
    [
      '{ address: "10.0.0.1:1", additionalAddresses: [b.example] }',
      'additionalAddresses[0]: must be an IP address, with or without a port, got "b.example"',
    ],
    [
      '{ address: "b.example:1", additionalAddresses: ["10.0.0.1:1"] }',
      'address: must be an IP address in a Service with additionalAddresses: a name is resolved to all it has',
    ],
    [
      '{ address: "10.0.0.1:1", additionalAddresses: ["10.0.0.1:1"] }',
      'additionalAddresses[0]: address "10.0.0.1:1" is there twice',
    ],
  ])('%s', (endpoint, message) => {
    const lines = problemsOf(serviceYaml('a', `endpoints: [${endpoint}]`));
    expect(lines.map((line) => line.replace(/^\S+ Service\/a spec\.endpoints\[0\]\./, ''))).toEqual([message]);
  });
});
