import { describe, expect, test } from 'vitest';
import { DEFAULT_HEDGE, type ForwardAction, type Route } from '../../../src/core/model/route.js';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { targetRoutes } from '../../../src/xds/dependencies/routes.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { decoders } from '../../support/decoders.js';
import {
  compileYaml,
  grpcRouteYaml,
  httpRouteYaml,
  problemsOf,
  routePolicyYaml,
  serviceYaml,
} from '../../support/mesh-yaml.js';

const NAME = 'a.default:80';
const SERVICES = serviceYaml('a') + serviceYaml('b') + serviceYaml('c');
const TO_R = 'kind: HTTPRoute, name: r';
const codec = await loadCodec();

/** The first route of Service `a` as it serves, after a trip over the wire. */
function routeOf(spec: string, rule = ''): Route {
  const rules = `[{ name: one, backendRefs: [{ name: b }]${rule === '' ? '' : `, ${rule}`} }]`;
  const text = SERVICES + httpRouteYaml('r', 'name: a', rules) + routePolicyYaml('p', TO_R, spec);
  return served(text);
}
function served(text: string): Route {
  const { resources } = compileYaml(text);
  const table = resources[ROUTE].get(NAME) as Resource;
  expect(codec.decodeResource(ROUTE, codec.encodeResource(ROUTE, table))).toEqual(table);
  const listener = decoders[LISTENER](resources[LISTENER].get('a') as Resource, 'a');
  if (listener.kind !== 'api') throw new Error('must be a client’s');
  const routes = targetRoutes(decoders[ROUTE](table, NAME).virtualHosts[0]?.routes ?? [], listener, undefined);
  return routes[0] as Route;
}
function actionOf(spec: string, rule = ''): ForwardAction {
  const { action } = routeOf(spec, rule);
  if (action.kind !== 'forward') throw new Error('must forward');
  return action;
}

describe('hedging', () => {
  test('is none, or has the defaults, or what is asked for', () => {
    expect(actionOf('priority: DEFAULT').hedge).toBeUndefined();
    expect(actionOf('hedge: {}').hedge).toEqual(DEFAULT_HEDGE);
    expect(
      actionOf(
        'hedge: { maxAttempts: 4, delay: 0s, percentile: 99, maxExtraPercent: 20, nonFatalStatuses: [UNAVAILABLE, ABORTED] }',
      ).hedge,
    ).toEqual({
      maxAttempts: 4,
      delayMs: 0,
      percentile: 0.99,
      maxExtraLoad: 0.2,
      nonFatalStatuses: new Set([14, 10]),
    });
  });

  test('by the limit of an attempt is Envoy’s too', () => {
    const rule = 'timeouts: { backendRequest: 100ms }, retry: {}';
    const spec = 'hedge: { onPerTryTimeout: true, maxAttempts: 3 }';
    const action = actionOf(spec, rule);
    expect(action.hedge).toMatchObject({ onPerTryTimeout: true, maxAttempts: 3, maxExtraLoad: 0.05 });
    expect(action.retry?.perTryTimeoutMs).toBe(100);
  });

  test('of a GRPCRoute', () => {
    const text =
      SERVICES +
      grpcRouteYaml('g', 'name: a', '[{ backendRefs: [{ name: b }] }]') +
      routePolicyYaml('p', 'kind: GRPCRoute, name: g', 'hedge: { delay: 20ms }, priority: HIGH');
    expect(served(text).action).toMatchObject({ hedge: { delayMs: 20 }, priority: 'high' });
  });
});

describe('what Envoy knows of an action', () => {
  test('priority, idle timeout, forwarded host', () => {
    expect(actionOf('priority: HIGH, idleTimeout: 30s, appendForwardedHost: true')).toMatchObject({
      priority: 'high',
      idleTimeoutMs: 30_000,
      appendForwardedHost: true,
    });
    expect(actionOf('idleTimeout: 0s').idleTimeoutMs).toBe(0);
  });

  test('the host from the path', () => {
    expect(
      actionOf('hostRewritePathRegex: { pattern: "^/([a-z]+)/.*$", substitution: "\\\\1.example" }').hostRewrite,
    ).toMatchObject({
      kind: 'path',
      regex: { source: '^/([a-z]+)/.*$' },
      substitution: '\\1.example',
    });
  });

  test('headers with substitutions, after those of the filters, whose percent signs are none', () => {
    const filter =
      'filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-a, value: "%REQ(b)%" }], remove: [x-b] } }]';
    const spec = `requestHeaders: { set: [{ name: X-User, value: "%REQ(x-id)%" }], add: [{ name: x-add, value: "" }], addIfAbsent: [{ name: x-host, value: "100%%" }], remove: [X-Old] },
      responseHeaders: { add: [{ name: x-served, value: "%RESPONSE_CODE%" }] }`;
    const route = routeOf(spec, filter);
    expect(route.requestHeaders).toEqual({
      remove: ['x-b', 'x-old'],
      set: [
        { name: 'x-a', value: '%%REQ(b)%%', action: 'overwrite' },
        { name: 'x-user', value: '%REQ(x-id)%', action: 'overwrite' },
        { name: 'x-add', value: '', action: 'append', keepEmpty: true },
        { name: 'x-host', value: '100%%', action: 'addIfAbsent' },
      ],
    });
    expect(route.responseHeaders).toEqual({
      remove: [],
      set: [{ name: 'x-served', value: '%RESPONSE_CODE%', action: 'append' }],
    });
  });

  test('how copies look', () => {
    const filter = 'filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: c } } }]';
    const spec =
      'mirror: { hostSuffix: false, hostRewrite: "copy.example:80", requestHeaders: { set: [{ name: x-copy, value: "1" }], remove: [cookie] } }';
    expect(actionOf(spec, filter).mirrors).toMatchObject([
      {
        cluster: 'c.default:80',
        shadowSuffix: false,
        hostRewrite: 'copy.example:80',
        requestHeaders: {
          remove: ['cookie'],
          next: { set: [{ name: 'x-copy', value: '1', action: 'overwrite' }] },
        },
      },
    ]);
  });

  test('a strict session', () => {
    expect(routeOf('strictSession: true', 'sessionPersistence: { type: Header }').session).toMatchObject({
      kind: 'header',
      strict: true,
    });
    expect(routeOf('strictSession: false', 'sessionPersistence: {}').session?.strict).toBeUndefined();
  });
});

describe('retries', () => {
  test('have what Envoy knows beside what the rule says', () => {
    const spec = `retry: { on: [5xx, unavailable, envoy-ratelimited], maxBackoff: 1s, perTryIdleTimeout: 2s,
      retriableHeaders: [{ name: X-Retry, type: Present }, { name: x-why, value: busy, type: Contains, invert: true }],
      retriableRequestHeaders: [{ name: x-safe, value: "yes" }, { name: x-re, type: RegularExpression, value: "a+" }],
      rateLimitedBackOff: { resetHeaders: [{ name: Retry-After }, { name: x-reset, format: UNIX_TIMESTAMP }], maxInterval: 10s },
      hostSelectionAttempts: 4 }`;
    const { retry } = actionOf(spec, 'retry: { codes: [503], attempts: 3, backoff: 50ms }');
    expect([...(retry?.on ?? [])].sort()).toEqual([
      '5xx',
      'connect-failure',
      'envoy-ratelimited',
      'refused-stream',
      'reset',
      'reset-before-request',
      'retriable-headers',
      'retriable-status-codes',
      'unavailable',
    ]);
    expect(retry).toMatchObject({
      statusCodes: new Set([503]),
      maxRetries: 3,
      baseMs: 50,
      maxMs: 1_000,
      perTryIdleTimeoutMs: 2_000,
      retriableHeaders: [
        { name: 'x-retry', match: { kind: 'present', present: true } },
        { name: 'x-why', match: { kind: 'contains', value: 'busy' }, invert: true },
      ],
      retriableRequestHeaders: [
        { name: 'x-safe', match: { kind: 'exact', value: 'yes' } },
        { name: 'x-re', match: { kind: 'regex' } },
      ],
      rateLimitedBackOff: {
        headers: [
          { name: 'retry-after', format: 'seconds' },
          { name: 'x-reset', format: 'unix' },
        ],
        maxMs: 10_000,
      },
      hostSelection: { avoidPrevious: true, maxAttempts: 4 },
    });
  });

  test('of a rule that says nothing of them are as for an empty retry', () => {
    const found = actionOf('retry: { perTryIdleTimeout: 1s, maxBackoff: 10ms }').retry;
    expect(found).toMatchObject({ maxRetries: 1, baseMs: 10, maxMs: 10, perTryIdleTimeoutMs: 1_000 });
    expect([...(found?.on ?? [])].sort()).toEqual([...(actionOf('', 'retry: {}').retry?.on ?? [])].sort());
  });
});

describe('mistakes', () => {
  const said = (spec: string, rule = ''): string[] => {
    const rules = `[{ name: one, backendRefs: [{ name: b }]${rule === '' ? '' : `, ${rule}`} }]`;
    return problemsOf(SERVICES + httpRouteYaml('r', 'name: a', rules) + routePolicyYaml('p', TO_R, spec)).map((line) =>
      line.replace(/^\S+ RoutePolicy\/p spec\./, ''),
    );
  };

  test.each<[string, string, string?]>([
    ['hedge: { maxAttempts: 6 }', 'hedge.maxAttempts: must be a whole number from 2 to 5, got 6'],
    ['hedge: { nonFatalStatuses: [OK] }', 'hedge.nonFatalStatuses[0]: must be one of CANCELLED'],
    ['hedge: { percentile: 100 }', 'hedge.percentile: must be a number from 1 to 99.99, in percent, got 100'],
    [
      'hedge: { onPerTryTimeout: true, delay: 1s }',
      'hedge.delay: means nothing with onPerTryTimeout, which waits for the limit of the attempt: remove it',
      'timeouts: { backendRequest: 1s }',
    ],
    ['hedge: { onPerTryTimeout: true }', 'hedge.onPerTryTimeout: needs timeouts.backendRequest of the rule'],
    [
      'retry: { on: [5xx] }',
      'retry: means nothing for a rule with "retry: { attempts: 0 }": remove one',
      'retry: { attempts: 0 }',
    ],
    ['retry: { on: [5x] }', 'retry.on[0]: must be one of 5xx'],
    ['retry: { retriableHeaders: [{ name: a }] }', 'retry.retriableHeaders[0].value: is missing: type Exact needs it'],
    [
      'retry: { retriableHeaders: [{ name: a, type: Present, value: b }] }',
      'retry.retriableHeaders[0].value: means nothing with type Present: remove it',
    ],
    [
      'retry: { retriableRequestHeaders: [{ name: a, type: RegularExpression, value: "(" }] }',
      'retry.retriableRequestHeaders[0].value: must be an RE2 regular expression',
    ],
    ['retry: { rateLimitedBackOff: {} }', 'retry.rateLimitedBackOff.resetHeaders: is missing'],
    ['retry: { maxBackoff: 0s }', 'retry.maxBackoff: must be from 1ms to 24h, got 0s'],
    ['priority: LOW', 'priority: must be one of DEFAULT, HIGH, got "LOW"'],
    [
      'hostRewritePathRegex: { pattern: "a" }, hostRewriteHeader: x',
      'hostRewritePathRegex: cannot be combined with hostRewriteHeader: keep one of them',
    ],
    ['hostRewritePathRegex: { pattern: "(" }', 'hostRewritePathRegex.pattern: must be an RE2 regular expression'],
    [
      'requestHeaders: { set: [{ name: x, value: "%NOPE%" }] }',
      'requestHeaders.set[0].value: %NOPE% is no command that is known',
    ],
    [
      'requestHeaders: { remove: [Host] }',
      'requestHeaders.remove[0]: the Host header is changed with URLRewrite.hostname, hostRewriteHeader or hostRewritePathRegex',
    ],
    [
      'responseHeaders: { add: [{ name: x, value: "\\u0001" }] }',
      'responseHeaders.add[0].value: must be Latin-1 text without control characters',
    ],
    ['mirror: {}', 'mirror: needs a filter of type RequestMirror in the rule'],
    [
      'mirror: { hostRewrite: "a/b" }',
      'mirror.hostRewrite: must be a host, with or without a port, got "a/b"',
      'filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: c } } }]',
    ],
    [
      'strictSession: true',
      'strictSession: needs sessionPersistence of the rule, or of the TrafficPolicy of its backends',
    ],
    ['directResponse: { status: 200 }, hedge: {}', 'hedge: means nothing beside directResponse: remove one of them'],
  ])('%s', (spec, message, rule) => {
    expect(said(spec, rule)).toEqual([expect.stringContaining(message)]);
  });
});
