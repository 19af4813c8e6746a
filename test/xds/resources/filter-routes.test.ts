import { describe, expect, test } from 'vitest';
import type { Route } from '../../../src/core/model/route.js';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { targetRoutes } from '../../../src/xds/dependencies/routes.js';
import { aCorsPolicy } from '../../support/targets.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { any, listenerResource, routerFilter, routeResource, toCluster } from '../../support/xds-resources.js';

const CORS = 'envoy.extensions.filters.http.cors.v3.Cors';
const CORS_POLICY = 'envoy.extensions.filters.http.cors.v3.CorsPolicy';
const SESSION = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSession';
const SESSION_OVERRIDE = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute';
const COOKIE = 'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState';
const HEADER = 'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState';
const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';

const state = (typed_config: Resource): Resource => ({ session_state: { name: 's', typed_config } });
const cookie = (name: string, fields: Resource = {}): Resource => state(any(COOKIE, { cookie: { name, ...fields } }));
const session = (fields: Resource): Resource => any(SESSION, fields);
const filter = (name: string, typed_config: Resource, fields: Resource = {}): Resource => ({
  name,
  typed_config,
  ...fields,
});
const corsFilter = filter('cors', any(CORS));
const says = (...entries: [string, Resource][]): Resource => ({ typed_per_filter_config: Object.fromEntries(entries) });
const policy = (allow_methods: string, fields: Resource = {}): Resource =>
  any(CORS_POLICY, { allow_methods, ...fields });
const other = (fields: Resource): Resource => any(SESSION_OVERRIDE, { stateful_session: fields });
const off = any(FILTER_CONFIG, { disabled: true });

interface Levels {
  readonly config?: Resource;
  readonly host?: Resource;
  readonly route?: Resource;
  readonly action?: Resource;
}

function configured({ config, host, route, action }: Levels): readonly Route[] {
  const resource = routeResource('r', [{ ...toCluster('c', undefined, action), ...route }], host);
  return decoders[ROUTE]({ ...resource, ...config }, 'r').virtualHosts[0]?.routes ?? [];
}

/** The route under a listener with these filters. */
function served(filters: readonly Resource[], levels: Levels = {}): Route {
  const listener = decoders[LISTENER](listenerResource('l', 'r', { http_filters: [...filters, routerFilter] }), 'l');
  if (listener.kind !== 'api') throw new Error('must be a client’s');
  const [route] = targetRoutes(configured(levels), listener, undefined);
  if (route === undefined) throw new Error('no route');
  return route;
}

describe('sessions', () => {
  const filters = [filter('session', session(cookie('s', { ttl: { seconds: 120 }, path: '/p' })))];
  const kept = (levels?: Levels, list = filters) => served(list, levels).session;
  const named = (name: string) => ({ kind: 'cookie', name, path: '/', ttlMs: 0 });

  test('are as the listener’s filter says (A55)', () => {
    expect(kept()).toEqual({ kind: 'cookie', name: 's', path: '/p', ttlMs: 120_000 });
    expect(kept(undefined, [filter('x', session(state(any(HEADER, { name: 'X-Session' }))))])).toEqual({
      kind: 'header',
      name: 'x-session',
    });
    const strict = state(any(HEADER, { name: 'x-session' }));
    expect(kept(undefined, [filter('x', session({ ...strict, strict: true }))])).toMatchObject({ strict: true });
    expect(kept(undefined, [])).toBeUndefined();
    expect(kept(undefined, [filter('x', session({}))])).toBeUndefined();
  });

  test('of the route override those of the virtual host, and these those of the route configuration (A39)', () => {
    const level = (name: string): Resource => says(['session', other(cookie(name))]);
    const config = level('config');
    expect(kept({ config })).toEqual(named('config'));
    expect(kept({ config, host: level('host') })).toEqual(named('host'));
    expect(kept({ config, host: level('host'), route: level('route') })).toEqual(named('route'));
    expect(kept({ host: level('host'), route: says(['session', any(SESSION_OVERRIDE, { disabled: true })]) })).toBe(
      undefined,
    );
    expect(kept({ host: level('host'), route: says(['session', off]) })).toBeUndefined();
  });

  test('of one cluster of several stand in for those of the route, field by field for CORS (A39, Envoy)', () => {
    const clusters = [
      { name: 'own', weight: { value: 1 }, ...says(['session', other(cookie('own'))]) },
      { name: 'none', weight: { value: 1 }, ...says(['session', any(SESSION_OVERRIDE, { disabled: true })]) },
      { name: 'cors', weight: { value: 1 }, ...says(['cors', policy('PUT')]) },
      { name: 'plain', weight: { value: 1 } },
    ];
    const route = {
      route: { weighted_clusters: { clusters } },
      ...says(['session', other(cookie('route'))], ['cors', policy('GET', { max_age: '60' })]),
    };
    const { action } = served([corsFilter, ...filters], { route });
    const own = action.kind === 'forward' ? action.clusters.map((cluster) => cluster.own) : [];
    expect(own).toMatchObject([
      { session: named('own'), cors: { allowMethods: 'GET' } },
      { session: undefined, cors: { allowMethods: 'GET' } },
      { session: named('route'), cors: { allowMethods: 'PUT', maxAge: '60' } },
      undefined as unknown as object,
    ]);
    const { action: unfiltered } = served([], { route });
    expect(unfiltered).toMatchObject({ clusters: [{ own: { session: undefined, cors: undefined } }, {}, {}, {}] });
    expect(JSON.stringify([action, unfiltered])).not.toContain('overridden');
  });

  test('may be wrapped, and then optional', () => {
    const route = says(['session', any(FILTER_CONFIG, { config: other(cookie('w')), is_optional: true })]);
    expect(kept({ route })).toEqual(named('w'));
  });

  test('belong to the filter of the name', () => {
    expect(kept({ route: says(['another', other(cookie('o'))]) })).toMatchObject({ name: 's' });
    expect(kept({ route: says(['another', other(cookie('o'))]) }, [])).toBeUndefined();
  });

  test('of a filter that is disabled are those of routes alone', () => {
    const disabled = [filter('session', session(cookie('s')), { disabled: true })];
    expect(kept({}, disabled)).toBeUndefined();
    expect(kept({ route: says(['session', other(cookie('r'))]) }, disabled)).toEqual(named('r'));
  });

  test('what a route says to filters is not in what serves', () => {
    const route = says(['session', other(cookie('r'))]);
    expect(Object.keys(served(filters, { route }))).not.toContain('overrides');
    expect(Object.isFrozen(served(filters, { route }))).toBe(true);
  });

  const listener = (config: Resource) => () => served([filter('session', config)]);
  test.each<[string, () => unknown, string]>([
    ['without a name', listener(session(state(any(COOKIE, { cookie: {} })))), 'cookie.name: must be set'],
    ['without a cookie', listener(session(state(any(COOKIE)))), 'cookie: must be set'],
    ['with a name that is none', listener(session(cookie('a b'))), 'name: must be the name of a cookie'],
    ['with a negative lifetime', listener(session(cookie('a', { ttl: { seconds: -1 } }))), 'ttl: must be a duration'],
    ['in a header that is none', listener(session(state(any(HEADER, { name: '\n' })))), 'must be a header name'],
    ['of another kind', listener(session(state(any('x.Y')))), 'session_state.typed_config: must be a envoy'],
    ['by nothing', listener(session({ session_state: { name: 's' } })), 'typed_config: must be set'],
    ['by an override that says nothing', () => configured({ route: says(['s', any(SESSION_OVERRIDE)]) }), 'must have'],
    [
      'by an override that is disabled: false',
      () => configured({ route: says(['s', any(SESSION_OVERRIDE, { disabled: false })]) }),
      'disabled: must be true',
    ],
  ])('are refused %s', (_, read, problem) => {
    expect(refusal(read)).toContain(problem);
  });

  test('come to nothing at a server, and are accepted there', () => {
    const listener = { ...serverListener([filter('session', session(cookie('s')))]) };
    expect(decoders[LISTENER](listener, 'l').kind).toBe('server');
  });
});

const serverListener = (filters: readonly Resource[]): Resource => ({
  name: 'l',
  address: { socket_address: { address: '127.0.0.1', port_value: 80 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'http',
          typed_config: any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
            rds: { config_source: { ads: {} }, route_config_name: 'r' },
            http_filters: [...filters, routerFilter],
          }),
        },
      ],
    },
  ],
});

describe('CORS', () => {
  const methods = (levels: Levels, filters = [corsFilter]) => served(filters, levels).cors?.allowMethods;

  test('takes every field, with the defaults of cors.proto', () => {
    const empty = aCorsPolicy({});
    expect(served([corsFilter], { route: says(['cors', any(CORS_POLICY)]) }).cors).toEqual(empty);
    const all = {
      allow_origin_string_match: [{ exact: 'https://a' }],
      allow_headers: 'x-a',
      expose_headers: 'x-b',
      max_age: '600',
      allow_credentials: { value: true },
      allow_private_network_access: { value: true },
      forward_not_matching_preflights: {},
      filter_enabled: { default_value: { numerator: 40 } },
      shadow_enabled: { default_value: { numerator: 60 } },
    };
    const expected = {
      allowOrigin: [{ kind: 'exact', value: 'https://a', ignoreCase: false }],
      allowMethods: 'GET',
      allowHeaders: 'x-a',
      exposeHeaders: 'x-b',
      maxAge: '600',
      allowCredentials: true,
      allowPrivateNetwork: true,
      forwardNotMatchingPreflights: false,
      enabled: 0.4,
      shadow: 0.6,
    };
    expect(served([corsFilter], { route: says(['cors', policy('GET', all)]) }).cors).toEqual(expected);
    expect(served([corsFilter], { action: { cors: { ...all, allow_methods: 'GET' } } }).cors).toEqual(expected);
  });

  test('that is only counted is not enforced', () => {
    const shadowed = policy('GET', { shadow_enabled: { default_value: { numerator: 100 } } });
    expect(served([corsFilter], { route: says(['cors', shadowed]) }).cors).toMatchObject({ enabled: 0, shadow: 1 });
  });

  test('what a level does not say is as the level around it says, but for whether it is enabled (Envoy)', () => {
    const outer = policy('host', {
      allow_origin_string_match: [{ exact: 'https://a' }],
      max_age: '600',
      allow_credentials: { value: true },
      filter_enabled: { default_value: { numerator: 0 } },
    });
    const inner = any(CORS_POLICY, { max_age: '1', expose_headers: 'x-own' });
    const expected = {
      allowOrigin: [{ kind: 'exact', value: 'https://a', ignoreCase: false }],
      allowMethods: 'host',
      maxAge: '1',
      exposeHeaders: 'x-own',
      allowCredentials: true,
      enabled: 1,
    };
    const levels = { host: says(['cors', outer]), route: says(['cors', inner]) };
    expect(served([corsFilter], levels).cors).toMatchObject(expected);
    const { '@type': _, ...inline } = outer;
    const { '@type': __, ...own } = inner;
    expect(served([corsFilter], { host: { cors: inline }, action: { cors: own } }).cors).toMatchObject(expected);
  });

  test('of the route overrides that of the virtual host, and the deprecated fields come last', () => {
    const host = says(['cors', policy('host')]);
    expect(methods({ host })).toBe('host');
    expect(methods({ host, route: says(['cors', policy('route')]) })).toBe('route');
    expect(methods({ host: { cors: { allow_methods: 'inline host' } } })).toBe('inline host');
    expect(methods({ host: { cors: {} }, action: { cors: { allow_methods: 'inline' } } })).toBe('inline');
    expect(methods({ host, action: { cors: { allow_methods: 'inline' } } })).toBe('host');
    expect(methods({ action: { cors: { allow_methods: 'inline' } }, route: says(['cors', off]) })).toBeUndefined();
  });

  test('counts only where there is a filter for it', () => {
    expect(methods({ route: says(['cors', policy('GET')]) }, [])).toBeUndefined();
  });

  test('of a server is told with its filter chain', () => {
    const chain = (filters: readonly Resource[]) => {
      const listener = decoders[LISTENER](serverListener(filters), 'l');
      return listener.kind === 'server' ? listener.listener.filterChains[0]?.cors : undefined;
    };
    expect(chain([corsFilter])).toBe(true);
    expect(chain([])).toBeUndefined();
    expect(configured({ route: says(['cors', policy('GET')]) })[0]?.cors?.allowMethods).toBe('GET');
  });

  test.each<[string, Levels, string]>([
    ['with a line break', { route: says(['c', policy('GET\r\n')]) }, 'allow_methods: must be a header value'],
    ['with a line break inline', { action: { cors: { max_age: '\n' } } }, 'cors.max_age: must be a header value'],
    [
      'for an origin that cannot be matched',
      { route: says(['c', policy('', { allow_origin_string_match: [{}] })]) },
      'allow_origin_string_match[0]: must have one of',
    ],
    [
      'for a share of nothing',
      { route: says(['c', policy('', { filter_enabled: {} })]) },
      'default_value: must be set',
    ],
  ])('is refused %s', (_, levels, problem) => {
    expect(refusal(() => configured(levels))).toContain(problem);
  });
});

test('a listener without such filters leaves routes as they are', () => {
  const listener = decoders[LISTENER](listenerResource('l', 'r'), 'l');
  if (listener.kind !== 'api') throw new Error('must be a client’s');
  const routes = configured({});
  expect(targetRoutes(routes, listener, undefined)).toBe(routes);
  expect(listener.filters).toBeUndefined();
});
