import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import type { RouteConfiguration } from '../../../src/core/model/route.js';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import type { ServerConfig } from '../../../src/core/server-config.js';
import { watchServers } from '../../../src/xds/servers/index.js';
import { settle } from '../../support/fake-clock.js';
import { filterOf, override, typedStruct } from '../../support/route-filters.js';
import { ScriptedCache } from '../../support/scripted-cache.js';
import { chain, httpFilter, listenerOf } from '../../support/server-resources.js';
import { routerFilter, routeResource } from '../../support/xds-resources.js';

const limits = (...names: string[]): Resource =>
  typedStruct('inmesh.dev/limits', { rules: names.map((name) => ({ name, limit: { requests: 1, per_ms: 1_000 } })) });
const rds = { config_source: { ads: {} }, route_config_name: 'routes' };
/** Two chains with one route configuration, of which the second limits requests. */
const listener = (...rules: string[]): Resource =>
  listenerOf('l', [
    chain({ source_ports: [1] }, { name: 'plain', filters: [httpFilter({ rds })] }),
    chain(
      { source_ports: [2] },
      {
        name: 'limited',
        filters: [httpFilter({ rds, http_filters: [filterOf('l', limits(...rules)), routerFilter] })],
      },
    ),
  ]);
const serving = (fields: Resource = {}): Resource =>
  routeResource('routes', [{ match: { prefix: '/' }, non_forwarding_action: {}, ...fields }]);

let cache: ScriptedCache;
let configs: ServerConfig[];
let stop: () => void;

beforeEach(() => {
  cache = new ScriptedCache();
  configs = [];
  const watch = watchServers({ cache, listenerName: () => 'l', logger: silentLogger });
  cache.put(LISTENER, listener('a'));
  cache.put(ROUTE, serving());
  stop = watch(
    { host: '0.0.0.0', port: 8080 },
    { changed: (config) => configs.push(config), failed: (error) => expect.fail(error.message), ambient() {} },
  );
});
afterEach(() => stop());

/** The routes of a chain as a server finds them. */
function routesOf(name: string): RouteConfiguration {
  const { listener, routes } = configs.at(-1) ?? expect.fail('no configuration');
  const source = listener.filterChains.find((one) => one.name === name)?.routes;
  const found = source?.kind === 'rds' ? routes.get(source.key ?? source.name) : undefined;
  if (found === undefined || found instanceof Error) throw found ?? new Error('no routes');
  return found;
}
const rulesOf = (name: string): string[] =>
  routesOf(name)
    .virtualHosts.flatMap(({ routes }) => routes.flatMap((route) => route.limits?.rules ?? []))
    .map((rule) => rule.name);

test('a route configuration that two chains name is to each of them as its own filters have it', async () => {
  expect(cache.watched).toEqual(['Listener/l', 'RouteConfiguration/routes']);
  expect([rulesOf('plain'), rulesOf('limited')]).toEqual([[], ['a']]);
  cache.put(ROUTE, serving(override(['l', limits('b', 'c')])));
  await settle();
  expect([rulesOf('plain'), rulesOf('limited')]).toEqual([[], ['b', 'c']]);
  cache.put(ROUTE, serving());
  cache.put(LISTENER, listener('d'));
  await settle();
  expect([rulesOf('plain'), rulesOf('limited')]).toEqual([[], ['d']]);
});

test('what did not change is the same object as before', async () => {
  const before = routesOf('limited');
  cache.put(ROUTE, serving({ name: 'other' }));
  await settle();
  const after = routesOf('limited');
  expect(after).not.toBe(before);
  expect(after.virtualHosts[0]?.routes[0]?.limits).toBe(before.virtualHosts[0]?.routes[0]?.limits);
  cache.put(ROUTE, serving({ name: 'other' }));
  await settle();
  expect(routesOf('limited')).toBe(after);
});

test('a route configuration in trouble is so to each chain', async () => {
  cache.fail(ROUTE, 'routes', 'does-not-exist');
  await settle();
  expect(() => routesOf('plain')).toThrow('route configuration "routes" cannot be used');
  expect(() => routesOf('limited')).toThrow('route configuration "routes" cannot be used');
});
