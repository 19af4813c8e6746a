import { describe, expect, test } from 'vitest';
import type { ServerListener } from '../../../src/core/model/server.js';
import type { Route } from '../../../src/core/model/route.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { compileYaml, httpRouteYaml, listenersOf, requestPolicyYaml, serviceYaml } from '../../support/mesh-yaml.js';

const PORTS = 'ports: [{ name: web, port: 80, targetPort: 8080 }, { name: rpc, port: 90 }], endpoints: ["127.0.0.1"]';
const A = serviceYaml('a', PORTS);
const limits = (name: string, target: string, side: string): string =>
  requestPolicyYaml(
    'RateLimitPolicy',
    name,
    target,
    `side: ${side}, limits: [{ name: r, limit: { requests: 1, per: 1s } }]`,
  );
const inbound = (text: string): string[] => listenersOf(compileYaml(text)).filter((name) => name.includes('/'));

/** A listener for servers, as they read it. */
function listenerOf(text: string, form: string): { listener: ServerListener; routes: readonly Route[] } {
  const name = `inmesh.dev/inbound/${form}`;
  const resource = compileYaml(text).resources[LISTENER].get(name) as Resource;
  const model = decoders[LISTENER](resource, name);
  if (model.kind !== 'server') throw new Error('not the listener of a server');
  const { listener } = model;
  const source = listener.defaultFilterChain?.routes;
  return { listener, routes: source?.kind === 'inline' ? (source.config.virtualHosts[0]?.routes ?? []) : [] };
}

describe('listeners for the servers of a Service', () => {
  test('are there for every form of its name when a policy is for the server, and else not at all', () => {
    expect(inbound(A + limits('p', 'kind: Service, name: a', 'client'))).toEqual([]);
    expect(inbound(A + limits('p', 'kind: Service, name: a', 'server'))).toEqual(
      [':80', ':90'].flatMap((port) =>
        ['a', 'a.default', 'a.default.svc', 'a.default.svc.cluster.local'].flatMap((form) => [
          ...(port === ':80' ? [`inmesh.dev/inbound/${form}`] : []),
          `inmesh.dev/inbound/${form}${port}`,
        ]),
      ),
    );
  });

  test('are there for a route with CORS, which comes before who may come in', () => {
    const cors = 'filters: [{ type: CORS, cors: { allowOrigins: ["https://x"] } }]';
    const route = (rule: string): string => A + httpRouteYaml('h', 'name: a, sectionName: web', `[{ ${rule} }]`);
    expect(inbound(route('backendRefs: [{ name: a }]'))).toEqual([]);
    expect(inbound(route(`${cors}, backendRefs: [{ name: a }]`))).toContain('inmesh.dev/inbound/a');
    const routesFor = (rule: string) => listenerOf(route(rule), 'a').routes.map((found) => found.cors?.allowOrigin);
    const x = [{ kind: 'exact', value: 'https://x', ignoreCase: false }];
    expect(routesFor(`${cors}, backendRefs: [{ name: a }]`)).toEqual([x, undefined]);
    // As for callers: what a backend says is for the rule where it is the only one.
    expect(routesFor(`backendRefs: [{ name: a, ${cors} }]`)).toEqual([x, undefined]);
    const denied = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: p }
spec: { targetRefs: [{ kind: Service, name: a }], action: DENY, rules: [{ to: [{ paths: [/x] }] }] }
`;
    const resource = compileYaml(route(`${cors}, backendRefs: [{ name: a }]`) + denied).resources[LISTENER];
    const names = JSON.stringify(resource.get('inmesh.dev/inbound/a')).match(
      /"name":"[^"]*(?:cors|authorization)[^"]*"/g,
    );
    expect(names?.[0]).toContain('cors');
    expect(names?.some((name) => name.includes('authorization'))).toBe(true);
  });

  test('have the target port, and one chain for every connection', () => {
    const text = A + limits('p', 'kind: Service, name: a', 'server');
    expect(listenerOf(text, 'a').listener).toMatchObject({
      name: 'inmesh.dev/inbound/a',
      address: { host: '0.0.0.0', port: 8_080 },
      filterChains: [],
    });
    expect(listenerOf(text, 'a:90').listener.address).toMatchObject({ port: 90 });
  });

  test('have the matches of the routes, whatever these do with the calls, and everything else after them', () => {
    const rules =
      '[{ name: one, matches: [{ path: { value: /1 } }], backendRefs: [{ name: b }] }, { name: gone, matches: [{ path: { type: Exact, value: /gone } }], filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 301, hostname: x } }] }]';
    const text =
      A +
      serviceYaml('b') +
      httpRouteYaml('h', 'name: a, sectionName: web', rules) +
      limits('all', 'kind: Service, name: a', 'server') +
      limits('one', 'kind: HTTPRoute, name: h, sectionName: one', 'server') +
      limits('caller', 'kind: HTTPRoute, name: h', 'client');
    expect(
      listenerOf(text, 'a').routes.map(({ name, action, limits: found }) => [
        name,
        action.kind,
        found?.rules.map((rule) => rule.name),
      ]),
    ).toEqual([
      ['default/h/gone', 'non_forwarding', ['default/all/r']],
      ['default/h/one', 'non_forwarding', ['default/one/r', 'default/all/r']],
      ['default/h/one', 'non_forwarding', ['default/one/r', 'default/all/r']],
      ['default', 'non_forwarding', ['default/all/r']],
    ]);
    expect(listenerOf(text, 'a:90').routes.map(({ name }) => name)).toEqual(['default']);
  });

  test('are there for the ports alone that a policy of a route is for', () => {
    const route = httpRouteYaml('h', 'name: a, sectionName: rpc', '[{ name: one, backendRefs: [{ name: a }] }]');
    expect(inbound(A + route + limits('p', 'kind: HTTPRoute, name: h', 'server'))).toEqual(
      ['a', 'a.default', 'a.default.svc', 'a.default.svc.cluster.local'].map((form) => `inmesh.dev/inbound/${form}:90`),
    );
  });

  test('have the faults that the server makes', () => {
    const faults = requestPolicyYaml(
      'FaultPolicy',
      'f',
      'kind: Service, name: a',
      'side: server, reset: {}, delay: { fixedDelay: 1s }',
    );
    expect(listenerOf(A + faults, 'a').routes[0]?.faults).toMatchObject([
      { name: 'default/f', delay: { ms: 1_000 } },
      { name: 'default/f', reset: { share: 1 } },
    ]);
  });
});
