import { describe, expect, test } from 'vitest';
import { httpRouteYaml, problemsOf, requestPolicyYaml, serviceYaml } from '../../support/mesh-yaml.js';

const A =
  serviceYaml('apples') + httpRouteYaml('fruit', 'name: apples', '[{ name: one, backendRefs: [{ name: apples }] }]');
const LIMIT = 'limit: { requests: 10, per: 1m }';
const limits = (rule: string): string => `limits: [{ name: r, ${rule} }]`;

/** The mistakes of one policy, as people read them, from the path on. */
const saidOf = (kind: Parameters<typeof requestPolicyYaml>[0], spec: string, target = 'kind: Service, name: apples') =>
  problemsOf(A + requestPolicyYaml(kind, 'p', target, spec)).map((line) => line.replace(/^\S+ \S+ /, ''));

test('a mistake in a policy of requests is told with its line', () => {
  const text = `
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: p }
spec:
  targetRefs:
    - { kind: Service, name: aples }
  limits:
    - name: one
      key:
        - haeder: x-user
      limit: { requests: 10, per: fortnight }
    - name: two
      limit: { requests: 10, per: day, timeZone: Berlin/Europe }
${serviceYaml('apples')}`;
  expect(problemsOf(text)).toEqual([
    'mesh.yaml:7:30 RateLimitPolicy/p spec.targetRefs[0].name: there is no Service "aples"; did you mean "apples"?',
    'mesh.yaml:11:11 RateLimitPolicy/p spec.limits[0].key[0].haeder: unknown field; did you mean "header"?',
    'mesh.yaml:12:35 RateLimitPolicy/p spec.limits[0].limit.per: must be a duration such as 10s or 1m, or one of minute, hour, day, week, month, year, got "fortnight"',
    'mesh.yaml:14:50 RateLimitPolicy/p spec.limits[1].limit.timeZone: must be an IANA time zone such as Europe/Berlin, got "Berlin/Europe"',
  ]);
  const zone = text.replace('haeder', 'header').replace('fortnight', '1s').replace('aples', 'apples');
  expect(problemsOf(zone)).toEqual([
    'mesh.yaml:14:50 RateLimitPolicy/p spec.limits[1].limit.timeZone: must be an IANA time zone such as Europe/Berlin, got "Berlin/Europe"',
  ]);
});

describe.each(['RateLimitPolicy', 'QuotaPolicy', 'FaultPolicy'] as const)('a %s', (kind) => {
  const spec = {
    RateLimitPolicy: limits(LIMIT),
    QuotaPolicy: 'subject: [{ header: k }], plans: [{ name: all, limits: [{ requests: 1, per: day }] }]',
    FaultPolicy: 'reset: {}',
  }[kind];

  test.each([
    ['kind: Service, name: aples', 'name: there is no Service "aples"; did you mean "apples"?'],
    ['kind: HTTPRoute, name: friut', 'name: there is no HTTPRoute "friut"; did you mean "fruit"?'],
    ['kind: GRPCRoute, name: fruit', 'name: there is no GRPCRoute "fruit"; known: none'],
    [
      'kind: HTTPRoute, name: fruit, sectionName: two',
      'sectionName: HTTPRoute "fruit" has no rule named "two"; its names: one',
    ],
    [
      'kind: Service, name: apples, sectionName: one',
      'sectionName: means nothing for a Service: name a route, or remove it',
    ],
    [
      'kind: HTTPRoute, group: inmesh.dev, name: fruit',
      'group: must be "gateway.networking.k8s.io" for kind HTTPRoute, got "inmesh.dev"',
    ],
    ['kind: Pod, name: apples', 'kind: must be one of Service, HTTPRoute, GRPCRoute, got "Pod"'],
  ])('for what is not there, { %s }, is a mistake', (target, message) => {
    expect(saidOf(kind, spec, target)).toEqual([`spec.targetRefs[0].${message}`]);
  });

  test('with a mistake of its own has its targets looked at all the same', () => {
    expect(
      saidOf(kind, `${spec}, sied: client`, 'kind: Service, name: aples }, { kind: HTTPRoute, name: friut'),
    ).toEqual([
      'spec.targetRefs[0].name: there is no Service "aples"; did you mean "apples"?',
      'spec.targetRefs[1].name: there is no HTTPRoute "friut"; did you mean "fruit"?',
      'spec.sied: unknown field; did you mean "side"?',
    ]);
  });
});

describe('beside what cannot be read', () => {
  test('nothing is said of what depends on it', () => {
    const rule = `name: r, key: [{ header: x, as: 5 }], overrides: [{ match: { nobody: a }, ${LIMIT} }]`;
    expect(saidOf('RateLimitPolicy', `limits: [{ ${rule}, limit: { requests: ten, per: 0s } }]`)).toEqual([
      'spec.limits[0].key[0].as: must be a string, got 5',
      'spec.limits[0].limit.requests: must be a whole number from 0 to 4294967295, got "ten"',
    ]);
    expect(saidOf('QuotaPolicy', 'subject: [{ header: x }], plan: x-plan, plans: [{ name: a }]')).toEqual([
      'spec.plan: must be a mapping of fields, got "x-plan"',
    ]);
  });

  test('what stands apart from it is checked', () => {
    const guards = 'guards: [{ successRate: { minimum: 0.5 } }]';
    expect(saidOf('FaultPolicy', `abort: { httpStatus: 600 }, experiment: { duration: 2s, ${guards} }`)).toEqual([
      'spec.abort.httpStatus: must be a whole number from 200 to 599, got 600',
      'spec.experiment.guards[0].successRate.minimum: is in percent, from 1 to 100: 50 for 50 %, got 0.5',
    ]);
  });
});

describe('a RateLimitPolicy is refused', () => {
  test.each([
    [`limits: [{ name: r, ${LIMIT} }, { name: r, ${LIMIT} }]`, 'spec.limits[1].name: name "r" is there twice'],
    [limits('mode: enforce'), 'spec.limits[0]: must have a limit, or overrides'],
    [limits('limit: { requests: 1, per: 0s }'), 'spec.limits[0].limit.per: must be from 1ms to 8784h, got 0s'],
    [
      limits('limit: { requests: 1, per: day, algorithm: slidingLog }'),
      'spec.limits[0].limit.algorithm: is for durations, and "day" is of the calendar: remove it',
    ],
    [
      limits('limit: { requests: 1, per: day, burst: 2 }'),
      'spec.limits[0].limit.burst: is for the algorithm tokenBucket: remove it',
    ],
    [
      limits('limit: { requests: 1, per: 1s, timeZone: UTC }'),
      'spec.limits[0].limit.timeZone: is for the calendar (minute, hour, day, week, month, year): remove it',
    ],
    [
      limits('limit: { requests: 100001, per: 1s, algorithm: slidingLog }'),
      'spec.limits[0].limit.requests: must be at most 100000 for slidingLog, which remembers each, got 100001',
    ],
    [
      limits('limit: { requests: 1, per: day, timeZone: "+02:00" }'),
      'spec.limits[0].limit.timeZone: must be an IANA time zone such as Europe/Berlin, got "+02:00"',
    ],
    [
      limits(`key: [{ header: a, query: b }], ${LIMIT}`),
      'spec.limits[0].key[0].query: cannot be combined with header: make two entries of them',
    ],
    [
      limits(`key: [{ header: a }, { query: a }], ${LIMIT}`),
      'spec.limits[0].key[1]: "a" is there twice: remove one, or give it another name with "as"',
    ],
    [
      limits(`key: [{ as: a }], ${LIMIT}`),
      'spec.limits[0].key[0]: must have one of header, query, remoteAddress, identity, claim, route, method, path, host, destination, source, generic, match',
    ],
    [
      limits(`key: [{ match: { value: a } }], ${LIMIT}`),
      'spec.limits[0].key[0].match: must have headers or queryParams',
    ],
    [
      limits(`key: [{ header: x-user }], ${LIMIT}, overrides: [{ match: { x-usre: a }, unlimited: true }]`),
      'spec.limits[0].overrides[0].match.x-usre: is no part of the key; did you mean "x-user"?',
    ],
    [
      limits(`key: [{ header: x-user }], ${LIMIT}, overrides: [{ match: { x-user: a }, unlimited: true, ${LIMIT} }]`),
      'spec.limits[0].overrides[0]: must have either a limit or "unlimited: true"',
    ],
    [
      limits(`${LIMIT}, when: [{ path: { value: a } }]`),
      'spec.limits[0].when[0].path.value: must start with "/", got "a"',
    ],
    [
      limits(`${LIMIT}, when: [{ headers: [{ name: a }] }]`),
      'spec.limits[0].when[0].headers[0].value: is missing: type Exact needs it',
    ],
    [
      limits(`${LIMIT}, mode: shadow, queue: {}`),
      'spec.limits[0].queue: means nothing with mode shadow, in which no request waits: remove one of them',
    ],
    [limits(`${LIMIT}, queue: { maxWait: 11m }`), 'spec.limits[0].queue.maxWait: must be from 1ms to 10m, got 11m'],
    [
      limits(`${LIMIT}, store: {}`),
      'spec.limits[0].store: must have redis or rateLimitService; without a store each process counts by itself',
    ],
    [
      limits(`${LIMIT}, onStoreFailure: deny`),
      'spec.limits[0].onStoreFailure: means nothing without a store, as each process counts by itself: remove it',
    ],
    [
      limits(`${LIMIT}, store: { redis: { urls: ["redis://u:geheim@:x"] } }`),
      'spec.limits[0].store.redis.urls[0]: must be a URL redis://host:port or rediss://host:port',
    ],
    [
      limits(
        'limit: { requests: 1, per: 90s }, key: [{ generic: x }], store: { rateLimitService: { name: apples, domain: d } }',
      ),
      'spec.limits[0].limit.per: must be 1s, 1m, 1h, 24h, or minute, hour, day, week, month or year, which are what a rate limit service counts by, got 90000ms',
    ],
    [
      limits(
        'limit: { requests: 1, per: 1m, algorithm: slidingLog }, key: [{ generic: x }], store: { rateLimitService: { name: apples, domain: d } }',
      ),
      'spec.limits[0].limit.algorithm: must be fixedWindow, or not be set: a rate limit service counts in fixed windows',
    ],
    [
      limits(
        'overrides: [{ match: { generic_key: x }, limit: { requests: 1, per: day, timeZone: Europe/Berlin } }], key: [{ generic: x }], store: { rateLimitService: { name: apples, domain: d } }',
      ),
      'spec.limits[0].overrides[0].limit.timeZone: must not be set: a rate limit service counts by UTC',
    ],
    [
      limits('queue: {}, key: [{ generic: x }], store: { rateLimitService: { name: apples, domain: d } }'),
      'spec.limits[0].queue: cannot be combined with a rate limit service, which refuses at once: remove it',
    ],
    [
      limits('store: { rateLimitService: { name: apples, domain: d } }'),
      'spec.limits[0].key: must have at least one entry: a rate limit service is asked by them',
    ],
    [
      limits('key: [{ generic: x }], store: { rateLimitService: { name: aples, domain: d } }'),
      'spec.limits[0].store.rateLimitService.name: there is no Service "aples"; did you mean "apples"?',
    ],
    [limits(`${LIMIT}, cost: -1`), 'spec.limits[0].cost: must be a whole number from 0 to 1000000, got -1'],
    [`${limits(LIMIT)}, status: 200`, 'spec.status: must be a whole number from 400 to 599, got 200'],
  ])('%s', (spec, message) => {
    expect(saidOf('RateLimitPolicy', spec)).toEqual([message]);
  });
});

describe('a QuotaPolicy is refused', () => {
  const day = 'limits: [{ requests: 1, per: day }]';
  test.each([
    [
      `plans: [{ name: a, ${day} }, { name: a, ${day} }], plan: { header: p }`,
      'spec.plans[1].name: name "a" is there twice',
    ],
    ['plans: [{ name: a }]', 'spec.plans[0]: must have either limits or "unlimited: true"'],
    [
      'plans: [{ name: a, limits: [{ requests: 1, per: day }, { requests: 2, per: day }] }]',
      'spec.plans[0].limits[1].per: is there twice in this plan: keep the lower limit',
    ],
    [
      `plans: [{ name: a, ${day} }, { name: b, ${day} }]`,
      'spec.plan: is missing: it says which of the plans a request has',
    ],
    [
      `plans: [{ name: a, ${day} }, { name: b, ${day} }], defaultPlan: a`,
      'spec.plans: has plans that nobody can have: say in "plan" where a request names its own',
    ],
    [
      `plans: [{ name: free, ${day} }], plan: { header: p }, defaultPlan: fere`,
      'spec.defaultPlan: there is no plan "fere"; did you mean "free"?',
    ],
    [
      `plans: [{ name: a, ${day} }], plan: { header: p, claim: q }`,
      'spec.plan.claim: cannot be combined with header: keep one of them',
    ],
    [`plans: [{ name: a, ${day} }], plan: {}`, 'spec.plan: must have header or claim'],
    [
      `plans: [{ name: a, ${day} }], onStoreFailure: deny`,
      'spec.onStoreFailure: means nothing without a store, as each process counts by itself: remove it',
    ],
  ])('%s', (spec, message) => {
    expect(saidOf('QuotaPolicy', `subject: [{ header: k }], ${spec}`)).toEqual([message]);
  });
});

describe('a FaultPolicy is refused', () => {
  test.each([
    ['side: client', 'spec: must have one of delay, abort, reset, throttle, truncate'],
    ['delay: {}', 'spec.delay: must have one of fixedDelay, uniform, normal, exponential, headerDelay'],
    [
      'delay: { fixedDelay: 1s, headerDelay: {} }',
      'spec.delay.headerDelay: cannot be combined with fixedDelay: keep one of them',
    ],
    ['delay: { fixedDelay: 0s }', 'spec.delay.fixedDelay: must be from 1ms to 1h, got 0s'],
    ['delay: { uniform: { min: 2s, max: 1s } }', 'spec.delay.uniform.max: must be from 2s to 1h, got 1s'],
    ['abort: { percentage: 5 }', 'spec.abort: must have one of httpStatus, grpcStatus, headerAbort'],
    ['abort: { httpStatus: 99 }', 'spec.abort.httpStatus: must be a whole number from 200 to 599, got 99'],
    ['reset: { percentage: 101 }', 'spec.reset.percentage: must be a number from 0 to 100, got 101'],
    ['throttle: {}', 'spec.throttle: must have one of bytesPerSecond, headerLimit'],
    [
      'side: server, reset: {}, throttle: { bytesPerSecond: 10 }',
      'spec.throttle: means nothing with "side: server", which leaves bodies of replies as they are: use "side: client"',
    ],
    [
      'side: server, truncate: { afterBytes: 10 }',
      'spec.truncate: means nothing with "side: server", which leaves bodies of replies as they are: use "side: client"',
    ],
    ['reset: {}, headers: [{ name: a }]', 'spec.headers[0].value: is missing: type Exact needs it'],
    ['reset: {}, experiment: { duration: 25h }', 'spec.experiment.duration: must be from 1s to 24h, got 25h'],
    [
      'reset: {}, experiment: { duration: 1m, guards: [{ successRate: { minimum: 0.99 } }] }',
      'spec.experiment.guards[0].successRate.minimum: is in percent, from 1 to 100: 99 for 99 %, got 0.99',
    ],
    [
      'reset: {}, experiment: { duration: 1m, guards: [{}] }',
      'spec.experiment.guards[0]: must have one of successRate, latency',
    ],
    [
      'reset: {}, experiment: { duration: 1m, guards: [{ latency: { maximum: 1s, window: 1ms } }] }',
      'spec.experiment.guards[0].latency.window: must be from 1s to 1h, got 1ms',
    ],
  ])('%s', (spec, message) => {
    expect(saidOf('FaultPolicy', spec)).toEqual([message]);
  });
});
