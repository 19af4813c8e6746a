import { describe, expect, test } from 'vitest';
import { compileYaml, grpcRouteYaml, httpRouteYaml, routesOf, serviceYaml } from '../../support/mesh-yaml.js';

const SERVICES =
  serviceYaml('a') + serviceYaml('b') + serviceYaml('c') + serviceYaml('ext', 'dns: "api.example.com:80"');
const B = { cluster: 'b.default:80' };
/** The routes that one rule on Service `a` becomes. */
const rule = (text: string) =>
  routesOf(compileYaml(SERVICES + httpRouteYaml('r', 'name: a', `[{ ${text} }]`)), 'a.default:80');
const toB = (text: string) => rule(`backendRefs: [{ name: b }], ${text}`);
const grpc = (text: string) =>
  routesOf(compileYaml(SERVICES + grpcRouteYaml('g', 'name: a', `[{ ${text} }]`)), 'a.default:80');
const matchesOf = (text: string) => toB(`matches: [${text}]`).map(({ match }) => match);
const methodOf = (text: string) => grpc(`matches: [{ method: { ${text} } }], backendRefs: [{ name: b }]`)[0].match;

describe('matches of an HTTPRoute', () => {
  test('none is every path', () => {
    const every = [{ name: 'default/r/0', match: { prefix: '/' }, route: B }];
    expect(toB('')).toEqual(every);
    expect(toB('matches: []')).toEqual(every);
    expect(toB('matches: [{}]')).toEqual(every);
  });

  test('a PathPrefix is the path itself and all below it: gRPC clients know no path_separated_prefix', () => {
    expect(matchesOf('{ path: { value: /a } }')).toEqual([{ path: '/a' }, { prefix: '/a/' }]);
    expect(matchesOf('{ path: { value: /a/ } }')).toEqual([{ path: '/a' }, { prefix: '/a/' }]);
  });

  test('an exact path, and an expression', () => {
    expect(matchesOf('{ path: { type: Exact, value: /a } }')).toEqual([{ path: '/a' }]);
    expect(matchesOf('{ path: { type: RegularExpression, value: "/a+" } }')).toEqual([
      { safe_regex: { regex: '/a+' } },
    ]);
  });

  test('method, headers and query parameters; of two for one name the first', () => {
    const text = `{ method: PUT, headers: [{ name: X-User, value: j }, { name: x-user, value: k }, { name: y, type: RegularExpression, value: "[0-9]+" }],
      queryParams: [{ name: q, value: "1" }, { name: q, value: "2" }, { name: Q, type: RegularExpression, value: ".+" }] }`;
    expect(matchesOf(text)).toEqual([
      {
        prefix: '/',
        headers: [
          { name: ':method', string_match: { exact: 'PUT' } },
          { name: 'x-user', string_match: { exact: 'j' } },
          { name: 'y', string_match: { safe_regex: { regex: '[0-9]+' } } },
        ],
        query_parameters: [
          { name: 'q', string_match: { exact: '1' } },
          { name: 'Q', string_match: { safe_regex: { regex: '.+' } } },
        ],
      },
    ]);
  });

  test('a route takes its name from the rule, else from its place', () => {
    expect(toB('name: canary')[0].name).toBe('default/r/canary');
  });

  test('a route on one port leaves the others to themselves', () => {
    const text =
      serviceYaml('d', 'ports: [{ name: x, port: 80 }, { name: y, port: 90 }], endpoints: [10.0.0.1]') + SERVICES;
    const byPort = compileYaml(text + httpRouteYaml('r', 'name: d, port: 90', '[{ backendRefs: [{ name: b }] }]'));
    expect(routesOf(byPort, 'd.default:80')[0].name).toBe('default');
    expect(routesOf(byPort, 'd.default:90')[0].route).toEqual(B);
    const bySection = compileYaml(
      text + httpRouteYaml('r', 'name: d, sectionName: x', '[{ backendRefs: [{ name: b }] }]'),
    );
    expect(routesOf(bySection, 'd.default:80')[0].route).toEqual(B);
    const both = compileYaml(text + httpRouteYaml('r', 'name: d', '[{ backendRefs: [{ name: b }] }]'));
    expect([80, 90].map((port) => routesOf(both, `d.default:${port}`)[0].route)).toEqual([B, B]);
  });
});

describe('matches of a GRPCRoute are for gRPC only', () => {
  test.each([
    ['service: p.S, method: M', { path: '/p.S/M' }],
    ['service: p.S', { prefix: '/p.S/' }],
    ['service: .p.S', { prefix: '/p.S/' }],
    ['method: M', { safe_regex: { regex: '/[^/]+/M' } }],
    ['type: RegularExpression, service: "p|q", method: "Get.*"', { safe_regex: { regex: '/(?:p|q)/(?:Get.*)' } }],
    ['type: RegularExpression, service: "p|q"', { safe_regex: { regex: '/(?:p|q)/[^/]+' } }],
    ['type: RegularExpression, method: "Get.*"', { safe_regex: { regex: '/[^/]+/(?:Get.*)' } }],
  ])('%s', (text, match) => {
    expect(methodOf(text)).toEqual({ ...match, grpc: {} });
  });

  test('none is every call, and headers count', () => {
    expect(grpc('backendRefs: [{ name: b }]')).toEqual([
      { name: 'default/g/0', match: { prefix: '/', grpc: {} }, route: B },
    ]);
    expect(grpc('matches: [{ headers: [{ name: K, value: v }] }], backendRefs: [{ name: b }]')[0].match).toEqual({
      prefix: '/',
      headers: [{ name: 'k', string_match: { exact: 'v' } }],
      grpc: {},
    });
  });

  test('a GRPCRoute on one port takes it from an HTTPRoute on all', () => {
    const text = `${serviceYaml('d', 'ports: [{ name: x, port: 80 }, { name: y, port: 90 }], endpoints: [10.0.0.1]')}${SERVICES}`;
    const result = compileYaml(
      text +
        httpRouteYaml('h', 'name: d', '[{ backendRefs: [{ name: b }] }]') +
        grpcRouteYaml('g', 'name: d, port: 90', '[{ backendRefs: [{ name: c }] }]'),
    );
    expect([80, 90].map((port) => routesOf(result, `d.default:${port}`).map(({ name }) => name))).toEqual([
      ['default/h/0'],
      ['default/g/0'],
    ]);
  });
});

describe('backends', () => {
  test('several share by weight; one with weight 0 gets nothing', () => {
    expect(rule('backendRefs: [{ name: b, weight: 9 }, { name: c }, { name: a, weight: 0 }]')[0].route).toEqual({
      weighted_clusters: {
        clusters: [
          { name: 'b.default:80', weight: { value: 9 } },
          { name: 'c.default:80', weight: { value: 1 } },
        ],
      },
    });
  });

  test('each may have header filters of its own', () => {
    const filters =
      'filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X, value: "1" }] } }]';
    expect(rule(`backendRefs: [{ name: b, ${filters} }, { name: c }]`)[0].route.weighted_clusters.clusters[0]).toEqual({
      name: 'b.default:80',
      weight: { value: 1 },
      request_headers_to_add: [{ header: { key: 'x', value: '1' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }],
    });
  });

  test('a rule without any answers 500', () => {
    expect(rule('')).toEqual([{ name: 'default/r/0', match: { prefix: '/' }, direct_response: { status: 500 } }]);
    expect(grpc('')[0].direct_response).toEqual({ status: 503 });
  });

  const dangling = (text: string) =>
    compileYaml(SERVICES + httpRouteYaml('r', 'name: a', `[{ backendRefs: ${text} }]`), {
      danglingBackends: 'answer-500',
    });

  test('that are not there answer 500 for their share, where that is allowed, and are warned of', () => {
    const result = dangling('[{ name: b, weight: 3 }, { name: nobody, weight: 1 }, { name: c, port: 81, weight: 1 }]');
    expect(routesOf(result, 'a.default:80')).toEqual([
      {
        name: 'default/r/0',
        match: { prefix: '/', runtime_fraction: { default_value: { numerator: 400_000, denominator: 'MILLION' } } },
        direct_response: { status: 500 },
      },
      { name: 'default/r/0', match: { prefix: '/' }, route: B },
    ]);
    expect(result.warnings.map(({ path }) => path)).toEqual([
      'spec.rules[0].backendRefs[1].name',
      'spec.rules[0].backendRefs[2].port',
    ]);
  });

  test('of which none is there answer 500 always', () => {
    expect(routesOf(dangling('[{ name: nobody }]'), 'a.default:80')).toEqual([
      { name: 'default/r/0', match: { prefix: '/' }, direct_response: { status: 500 } },
    ]);
  });

  test('behind a DNS name see that name as Host, unless another is given', () => {
    expect(rule('backendRefs: [{ name: ext }, { name: b }]')[0].route.auto_host_rewrite).toEqual({ value: true });
    const named = rule(
      'backendRefs: [{ name: ext }], filters: [{ type: URLRewrite, urlRewrite: { hostname: x.example } }]',
    )[0].route;
    expect(named).toEqual({ cluster: 'ext.default:80', host_rewrite_literal: 'x.example' });
  });
});

describe('filters', () => {
  test('change headers of requests and replies; a percent sign stays one', () => {
    const [route] = toB(`filters: [
      { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: A, value: "100%" }], add: [{ name: B, value: "" }], remove: [C] } },
      { type: ResponseHeaderModifier, responseHeaderModifier: { add: [{ name: d, value: "1" }] } }]`);
    expect(route).toMatchObject({
      request_headers_to_add: [
        { header: { key: 'a', value: '100%%' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        { header: { key: 'b', value: '' }, keep_empty_value: true },
      ],
      request_headers_to_remove: ['c'],
      response_headers_to_add: [{ header: { key: 'd', value: '1' } }],
    });
  });

  const rewritten = (match: string, path: string) =>
    toB(`matches: [${match}], filters: [{ type: URLRewrite, urlRewrite: { path: ${path} } }]`).map(
      ({ route }) => route,
    );

  // The table of HTTPPathModifier: what /prefix, /prefix/ and /prefix/x become.
  test.each([
    ['/foo', '/xyz', '/xyz', '/xyz/'],
    ['/foo', '/xyz/', '/xyz', '/xyz/'],
    ['/foo/', '/xyz', '/xyz', '/xyz/'],
    ['/foo', '', '/', '/'],
    ['/foo', '/', '/', '/'],
  ])('replace the prefix %s by %j', (prefix, by, itself, below) => {
    const routes = rewritten(
      `{ path: { value: ${prefix} } }`,
      `{ type: ReplacePrefixMatch, replacePrefixMatch: "${by}" }`,
    );
    expect(routes.map(({ prefix_rewrite }) => prefix_rewrite)).toEqual([itself, below]);
  });

  test('replace the whole path', () => {
    expect(rewritten('{}', '{ type: ReplaceFullPath, replaceFullPath: "/new\\\\1" }')[0].regex_rewrite).toEqual({
      pattern: { regex: '^/.*$' },
      substitution: '/new\\\\1',
    });
  });

  test('of a single backend may rewrite like those of the rule', () => {
    const filters = 'filters: [{ type: URLRewrite, urlRewrite: { hostname: x.example } }]';
    expect(rule(`backendRefs: [{ name: b, ${filters} }]`)[0].route.host_rewrite_literal).toBe('x.example');
  });

  const redirect = (text: string, match = '') =>
    rule(`${match} filters: [{ type: RequestRedirect, requestRedirect: { ${text} } }]`);

  test.each([
    ['', { response_code: 'FOUND' }],
    ['statusCode: 301', {}],
    ['statusCode: 308', { response_code: 'PERMANENT_REDIRECT' }],
    ['scheme: https', { scheme_redirect: 'https', response_code: 'FOUND' }],
    ['scheme: https, port: 443', { scheme_redirect: 'https', response_code: 'FOUND' }],
    ['scheme: http, port: 443', { scheme_redirect: 'http', port_redirect: 443, response_code: 'FOUND' }],
    ['scheme: https, port: 8443', { scheme_redirect: 'https', port_redirect: 8443, response_code: 'FOUND' }],
    ['hostname: x.example', { host_redirect: 'x.example', response_code: 'FOUND' }],
    ['path: { type: ReplaceFullPath, replaceFullPath: /n }', { path_redirect: '/n', response_code: 'FOUND' }],
  ])('redirect { %s }', (text, action) => {
    expect(redirect(text)[0].redirect).toEqual(action);
  });

  test('redirect below a prefix', () => {
    const routes = redirect(
      'path: { type: ReplacePrefixMatch, replacePrefixMatch: /n }',
      'matches: [{ path: { value: /o } }],',
    );
    expect(routes.map(({ match, redirect: action }) => [match, action.prefix_rewrite])).toEqual([
      [{ path: '/o' }, '/n'],
      [{ prefix: '/o/' }, '/n/'],
    ]);
  });
});

describe('timeouts and retries', () => {
  const routeOf = (text: string) => {
    const { cluster: _, ...rest } = toB(text)[0].route;
    return rest;
  };
  const UNPROCESSED = 'connect-failure,refused-stream,reset-before-request';

  test('unset stays unset', () => {
    expect(routeOf('timeouts: {}')).toEqual({});
    expect(routeOf('retry: {}')).toEqual({ retry_policy: { retry_on: `${UNPROCESSED},unavailable,reset` } });
  });

  test('request is the limit of the call, for HTTP and for gRPC; 0s is none', () => {
    const limit = { seconds: 1, nanos: 500_000_000 };
    expect(routeOf('timeouts: { request: 1s500ms }')).toEqual({
      timeout: limit,
      max_stream_duration: { max_stream_duration: limit },
    });
    expect(routeOf('timeouts: { request: 0s }')).toEqual({
      timeout: {},
      max_stream_duration: { max_stream_duration: {} },
    });
  });

  test('backendRequest alone keeps to retries of what was not processed', () => {
    expect(routeOf('timeouts: { backendRequest: 1s }')).toEqual({
      retry_policy: { retry_on: UNPROCESSED, per_try_timeout: { seconds: 1 } },
    });
    expect(routeOf('timeouts: { backendRequest: 0s }')).toEqual({});
  });

  test('codes, attempts and backoff are GEP-1731', () => {
    expect(routeOf('retry: { codes: [503, 500, 503], attempts: 3, backoff: 100ms }')).toEqual({
      retry_policy: {
        retry_on: `${UNPROCESSED},unavailable,retriable-status-codes,reset`,
        num_retries: { value: 3 },
        retriable_status_codes: [500, 503],
        retry_back_off: { base_interval: { nanos: 100_000_000 } },
      },
    });
  });

  test('connections that break are tried again, and attempts that take too long', () => {
    expect(routeOf('retry: { attempts: 2 }, timeouts: { backendRequest: 1s }').retry_policy).toEqual({
      retry_on: `${UNPROCESSED},unavailable,reset`,
      num_retries: { value: 2 },
      per_try_timeout: { seconds: 1 },
    });
  });

  test('attempts: 0 is a policy that retries on nothing', () => {
    expect(routeOf('retry: { attempts: 0, codes: [503] }')).toEqual({ retry_policy: {} });
    expect(routeOf('retry: { attempts: 0 }, timeouts: { backendRequest: 1s }')).toEqual({
      retry_policy: { per_try_timeout: { seconds: 1 } },
    });
  });

  test('a GRPCRoute names gRPC statuses', () => {
    const policy = (text: string) => grpc(`backendRefs: [{ name: b }], ${text}`)[0].route.retry_policy;
    expect(policy('retry: { codes: [RESOURCE_EXHAUSTED, INTERNAL], attempts: 1 }')).toEqual({
      retry_on: `${UNPROCESSED},resource-exhausted,internal,reset`,
      num_retries: { value: 1 },
    });
    expect(policy('retry: {}')).toEqual({ retry_on: `${UNPROCESSED},unavailable,reset` });
    expect(policy('')).toBeUndefined();
  });
});
