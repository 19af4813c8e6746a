import { describe, expect, test } from 'vitest';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { withFilters } from '../../../src/xds/resources/filter-overrides.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { decoders } from '../../support/decoders.js';
import {
  compileYaml,
  grpcRouteYaml,
  httpRouteYaml,
  policyYaml,
  problemsOf,
  serviceYaml,
} from '../../support/mesh-yaml.js';

const NAME = 'a.default:80';
const SERVICES = serviceYaml('a') + serviceYaml('b') + serviceYaml('c');
const codec = await loadCodec();

/** What a client makes of the routes of Service `a`, after a trip over the wire; and the filters of its listener. */
function compiled(text: string) {
  const { resources } = compileYaml(SERVICES + text);
  const table = resources[ROUTE].get(NAME) as Resource;
  const listener = resources[LISTENER].get('a') as Resource;
  for (const [type, resource] of [
    [ROUTE, table],
    [LISTENER, listener],
  ] as const)
    expect(codec.decodeResource(type, codec.encodeResource(type, resource))).toEqual(resource);
  expect(() => decoders[LISTENER](listener, 'a')).not.toThrow();
  const manager = (listener['api_listener'] as Resource)['api_listener'] as Resource;
  const filters = (manager['http_filters'] as Resource[]).map(({ name, is_optional }) => [name, is_optional ?? false]);
  return { routes: decoders[ROUTE](table, NAME).virtualHosts[0]?.routes ?? [], filters };
}
const rule = (text: string) => httpRouteYaml('r', 'name: a', `[{ ${text} }]`);
const routeOf = (text: string) => compiled(text).routes[0];
const said = (text: string): string[] =>
  problemsOf(SERVICES + rule(text)).map((line) => line.replace(/^\S+ HTTPRoute\/r spec\.rules\[0\]\./, ''));

const CORS_FILTER = ['envoy.filters.http.cors', true];
const SESSION_FILTER = ['envoy.filters.http.stateful_session', true];
const ROUTER = ['envoy.filters.http.router', false];

describe('RequestMirror', () => {
  const filter = (more: string) => `{ type: RequestMirror, requestMirror: { backendRef: { name: c }${more} } }`;
  const mirrors = (filters: string) => {
    const action = routeOf(rule(`backendRefs: [{ name: b }], filters: [${filters}]`))?.action;
    return action?.kind === 'forward' ? action.mirrors?.map(({ cluster, share }) => [cluster, share]) : undefined;
  };

  test.each([
    ['', 1],
    [', percent: 0', 0],
    [', percent: 25', 0.25],
    [', fraction: { numerator: 1, denominator: 3 }', 0.333333],
    [', fraction: { numerator: 5 }', 0.05],
  ])('copies a share of the requests%s', (more, share) => {
    expect(mirrors(filter(more))).toEqual([['c.default:80', share]]);
  });

  test('may be there several times, in a GRPCRoute too, and for a single backend', () => {
    expect(mirrors(`${filter('')}, ${filter(', percent: 1')}`)).toHaveLength(2);
    const grpc = grpcRouteYaml('g', 'name: a', `[{ backendRefs: [{ name: b }], filters: [${filter('')}] }]`);
    expect(routeOf(grpc)?.action).toMatchObject({ mirrors: [{ cluster: 'c.default:80', share: 1 }] });
    const backend = rule(`backendRefs: [{ name: b, filters: [${filter('')}] }]`);
    expect(routeOf(backend)?.action).toMatchObject({ mirrors: [{ cluster: 'c.default:80' }] });
  });

  test('without a filter there is none', () => {
    expect(mirrors('')).toBeUndefined();
  });

  test.each([
    [
      '{ type: RequestMirror, requestMirror: { backendRef: { name: d } } }',
      'filters[0].requestMirror.backendRef.name: there is no Service "d"; did you mean "a"?',
    ],
    [
      '{ type: RequestMirror, requestMirror: { backendRef: { name: c, kind: Secret } } }',
      'filters[0].requestMirror.backendRef.kind: "Secret" is not supported by this version of inmesh: use a Service',
    ],
    [
      filter(', percent: 1, fraction: { numerator: 1 }'),
      'filters[0].requestMirror.fraction: cannot be combined with percent: keep one of them',
    ],
    [
      filter(', fraction: { numerator: 101 }'),
      'filters[0].requestMirror.fraction.numerator: must be at most the denominator, which is 100, got 101',
    ],
    ['{ type: RequestMirror }', 'filters[0].requestMirror: is missing: a filter of type RequestMirror needs it'],
  ])('%s', (filters, message) => {
    expect(said(`backendRefs: [{ name: b }], filters: [${filters}]`)).toEqual([message]);
  });
});

describe('CORS', () => {
  const cors = (text: string) => `backendRefs: [{ name: b }], filters: [{ type: CORS, cors: { ${text} } }]`;
  const policy = (text: string) => routeOf(rule(cors(text)))?.cors;
  const allows = (origins: string, origin: string): boolean =>
    (policy(`allowOrigins: [${origins}]`)?.allowOrigin ?? []).some((match) =>
      match.kind === 'regex' ? match.regex.matches(origin) : match.value === origin,
    );

  test('is for those that know the filter; the others pass over it', () => {
    expect(compiled(rule(cors('allowOrigins: ["*"]'))).filters).toEqual([CORS_FILTER, ROUTER]);
    expect(compiled(rule('backendRefs: [{ name: b }]')).filters).toEqual([ROUTER]);
  });

  test('says what pages may do', () => {
    const text =
      'allowOrigins: ["https://a.example"], allowCredentials: true, allowMethods: [GET, PUT], allowHeaders: [X-A, x-b], exposeHeaders: [x-c], maxAge: 60';
    expect(policy(text)).toMatchObject({
      allowMethods: 'GET, PUT',
      allowHeaders: 'X-A, x-b',
      exposeHeaders: 'x-c',
      maxAge: '60',
      allowCredentials: true,
      enabled: 1,
    });
    expect(policy('')).toMatchObject({ allowOrigin: [], allowMethods: '', maxAge: '5', allowCredentials: false });
  });

  test('every method and header, where credentials make "*" a name too: what is asked for is repeated', () => {
    const all = { allowMethods: '*', allowHeaders: '*' };
    expect(policy('allowMethods: ["*"], allowHeaders: ["*"]')).toMatchObject(all);
    expect(policy('allowMethods: ["*"], allowHeaders: ["*"], allowCredentials: true')).toMatchObject(all);
  });

  test.each([
    ['"*"', 'https://any.example', true],
    ['"https://A.example:443"', 'https://a.example', true],
    ['"https://a.example"', 'http://a.example', false],
    ['"https://a.example"', 'https://a.example.evil', false],
    ['"https://*.a.example"', 'https://x.y.a.example', true],
    ['"https://*.a.example"', 'https://a.example', false],
    ['"https://*.a.example"', 'https://xya-example', false],
    ['"https://*.a.example"', 'https://evil/.a.example', false],
    ['"http://*.a.example:8080"', 'http://x.a.example:8080', true],
  ])('origins %s: %s is allowed: %s', (origins, origin, allowed) => {
    expect(allows(origins, origin)).toBe(allowed);
  });

  test.each([
    [
      'allowOrigins: [a.example]',
      'allowOrigins[0]: must be an origin such as https://shop.example, https://*.shop.example or "*", got "a.example"',
    ],
    [
      'allowOrigins: ["*", "https://a.example"]',
      'allowOrigins: "*" stands for all of them: keep it alone, or remove it',
    ],
    [
      'allowCredentials: true, exposeHeaders: ["*"]',
      'exposeHeaders: browsers take "*" for a name when allowCredentials is true: name the headers',
    ],
  ])('%s', (text, message) => {
    expect(said(cors(text))).toEqual([`filters[0].cors.${message}`]);
  });
});

/** The filter without a session of its own, which is there for routes that have one. */
const SESSION_IN_LISTENER = { filter: 'envoy.filters.http.stateful_session', session: undefined };

describe('sessionPersistence', () => {
  const session = (text: string) => {
    const { routes, filters } = compiled(text);
    const served = routes[0] && withFilters(routes[0], { cors: undefined, session: SESSION_IN_LISTENER });
    return { session: served?.session, filters };
  };
  const inRule = (text: string, matches = '') =>
    session(rule(`backendRefs: [{ name: b }], sessionPersistence: { ${text} }${matches}`)).session;

  test('is a cookie for the session of the browser, with a name of its own', () => {
    expect(session(rule('backendRefs: [{ name: b }], sessionPersistence: {}'))).toEqual({
      session: { kind: 'cookie', name: 'session-default-r-0', path: '/', ttlMs: 0 },
      filters: [SESSION_FILTER, ROUTER],
    });
  });

  test('may last, or be a header', () => {
    expect(inRule('sessionName: s, absoluteTimeout: 1h, cookieConfig: { lifetimeType: Permanent }')).toEqual({
      kind: 'cookie',
      name: 's',
      path: '/',
      ttlMs: 3_600_000,
    });
    expect(inRule('sessionName: X-Session, type: Header')).toEqual({ kind: 'header', name: 'x-session' });
  });

  test('a cookie is for the path of the only match', () => {
    expect(inRule('', ', matches: [{ path: { value: /shop } }]')).toMatchObject({ path: '/shop' });
    expect(inRule('', ', matches: [{ path: { value: /a } }, { path: { value: /b } }]')).toMatchObject({ path: '/' });
  });

  test('is for a GRPCRoute too', () => {
    const text = grpcRouteYaml(
      'g',
      'name: a',
      '[{ backendRefs: [{ name: b }], sessionPersistence: { type: Header, sessionName: s } }]',
    );
    expect(session(text).session).toEqual({ kind: 'header', name: 's' });
  });

  test('of a policy holds for calls to its Service, unless the rule says otherwise', () => {
    const policy = (name: string) => policyYaml(name, name, 'sessionPersistence: { sessionName: p }');
    expect(session(policy('a')).session).toMatchObject({ name: 'p' });
    expect(session(policy('b') + rule('backendRefs: [{ name: c }, { name: b }]')).session).toMatchObject({ name: 'p' });
    const own = rule('backendRefs: [{ name: b }], sessionPersistence: { sessionName: own }');
    expect(session(policy('b') + own).session).toMatchObject({ name: 'own' });
    expect(session(policy('b') + rule('backendRefs: [{ name: c }]'))).toEqual({
      session: undefined,
      filters: [ROUTER],
    });
  });

  test.each([
    ['cookieConfig: { lifetimeType: Permanent }', 'absoluteTimeout: is missing: lifetimeType Permanent needs it'],
    ['absoluteTimeout: 1h', 'absoluteTimeout: needs a cookie with "lifetimeType: Permanent", which is what ends it'],
    ['type: Header, cookieConfig: {}', 'cookieConfig: belongs to type Cookie: remove it'],
    ['idleTimeout: 1h', 'idleTimeout: is not supported by this version of inmesh: remove it'],
  ])('%s', (text, message) => {
    expect(said(`backendRefs: [{ name: b }], sessionPersistence: { ${text} }`)).toEqual([
      `sessionPersistence.${message}`,
    ]);
  });
});

describe('consistentHash', () => {
  const hashed = (text: string) => {
    const action = routeOf(text)?.action;
    return action?.kind === 'forward' ? action.hashPolicies : undefined;
  };
  const policy = (name: string, keys: string) =>
    policyYaml(name, name, `loadBalancer: { consistentHash: { ${keys} } }`);

  test('says what of each call to its Service is hashed', () => {
    const keys =
      'httpHeaderName: X-User, httpCookie: { name: u, path: /, ttl: 1h }, httpQueryParameterName: q, useSourceIp: true';
    const all = [
      { kind: 'header', name: 'x-user' },
      { kind: 'cookie', name: 'u', path: '/', ttlMs: 3_600_000 },
      { kind: 'query', name: 'q' },
      { kind: 'source' },
    ];
    expect(hashed(policy('a', keys))).toMatchObject(all);
    expect(hashed(policy('b', keys) + rule('backendRefs: [{ name: b }]'))).toMatchObject(all);
    expect(hashed(policy('b', keys) + rule('backendRefs: [{ name: c }]'))).toBeUndefined();
  });

  test('of several backends that hash alike counts once', () => {
    const text = policy('b', 'httpHeaderName: x') + policy('c', 'httpHeaderName: X, useSourceIp: true');
    expect(hashed(text + rule('backendRefs: [{ name: b }, { name: c }]'))).toMatchObject([
      { kind: 'header', name: 'x' },
      { kind: 'source' },
    ]);
  });
});
