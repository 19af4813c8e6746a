import { describe, expect, test } from 'vitest';
import {
  compileYaml,
  httpRouteYaml,
  policyYaml,
  requestPolicyYaml,
  routePolicyYaml,
  serviceYaml,
} from '../../support/mesh-yaml.js';

/** Resource and field of each warning. */
const warned = (text: string): string[] =>
  compileYaml(text).warnings.map(({ resource, path }) => `${resource} ${path}`);

const A = serviceYaml('a', 'endpoints: [{ address: "127.0.0.1:1", locality: earth }]');

describe('what is valid and surely not as meant is warned of', () => {
  test('a locality to fail over to in which no endpoint is', () => {
    const policy = policyYaml('p', 'a', 'loadBalancer: { localityLbSetting: { failoverOrder: [earth, mars] } }');
    expect(warned(A + policy)).toEqual(['TrafficPolicy/p spec.loadBalancer.localityLbSetting.failoverOrder[1]']);
  });

  test.each(['RING_HASH', 'MAGLEV'])('%s that has nothing to hash on any route', (simple) => {
    const policy = policyYaml('p', 'a', `loadBalancer: { simple: ${simple} }`);
    const route = httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: a }] }]');
    expect(warned(A + policy)).toEqual(['TrafficPolicy/p spec.loadBalancer']);
    expect(warned(A + policy + route)).toEqual(['TrafficPolicy/p spec.loadBalancer']);
    const hashed = routePolicyYaml('h', 'kind: HTTPRoute, name: r', 'consistentHash: { httpHeaderName: x-user }');
    expect(warned(A + policy + route + hashed)).toEqual([]);
  });

  test('a rule that another one with the same match stands before', () => {
    const rule = '{ matches: [{ path: { value: /x } }], backendRefs: [{ name: a }] }';
    expect(warned(A + httpRouteYaml('r', 'name: a', `[${rule}, ${rule}]`))).toEqual(['HTTPRoute/r spec.rules[1]']);
  });

  test('not a rule behind one that is for a share of the calls', () => {
    const rule = '{ name: NAME, backendRefs: [{ name: a }] }';
    const route = httpRouteYaml('r', 'name: a', `[${rule.replace('NAME', 'x')}, ${rule.replace('NAME', 'y')}]`);
    const share = routePolicyYaml('p', 'kind: HTTPRoute, name: r, sectionName: x', 'requestPercent: 5');
    expect(warned(A + route + share)).toEqual([]);
  });

  test('limits by claims where callers see to them, who know of no token', () => {
    const to = 'kind: Service, name: a';
    const rule = '{ name: r, key: [{ header: x }, { claim: sub }], limit: { requests: 1, per: 1s } }';
    const limits = (side: string): string =>
      requestPolicyYaml('RateLimitPolicy', 'l', to, `side: ${side}, limits: [${rule}]`);
    expect(warned(A + limits('client'))).toEqual(['RateLimitPolicy/l spec.limits[0].key[1].claim']);
    expect(warned(A + limits('server'))).toEqual([]);
    const quota = 'subject: [{ claim: sub }], plan: { claim: plan }, plans: [{ name: all, unlimited: true }]';
    expect(warned(A + requestPolicyYaml('QuotaPolicy', 'q', to, quota))).toEqual([
      'QuotaPolicy/q spec.subject[0].claim',
      'QuotaPolicy/q spec.plan.claim',
    ]);
  });

  test('limits by identity where callers see to them, as nobody has one yet', () => {
    const to = 'kind: Service, name: a';
    const rule = '{ name: r, key: [{ identity: {} }], limit: { requests: 1, per: 1s } }';
    const limits = (side: string): string =>
      requestPolicyYaml('RateLimitPolicy', 'l', to, `side: ${side}, limits: [${rule}]`);
    expect(warned(A + limits('client'))).toEqual(['RateLimitPolicy/l spec.limits[0].key[0].identity']);
    expect(warned(A + limits('server'))).toEqual([]);
    const quota = 'subject: [{ identity: {} }], plans: [{ name: all, unlimited: true }]';
    expect(warned(A + requestPolicyYaml('QuotaPolicy', 'q', to, quota))).toEqual([
      'QuotaPolicy/q spec.subject[0].identity',
    ]);
  });

  test('extra load of hedging that looks like a share and is in percent', () => {
    const route = httpRouteYaml('r', 'name: a', '[{ backendRefs: [{ name: a }] }]');
    const hedge = (percent: number): string =>
      routePolicyYaml('h', 'kind: HTTPRoute, name: r', `hedge: { maxExtraPercent: ${percent} }`);
    expect(warned(A + route + hedge(0.05))).toEqual(['RoutePolicy/h spec.hedge.maxExtraPercent']);
    expect(warned(A + route + hedge(0.5))).toEqual([]);
  });

  test('what the servers behind a DNS name are to see to', () => {
    const fault = requestPolicyYaml('FaultPolicy', 'f', 'kind: Service, name: d', 'side: server, reset: {}');
    expect(warned(serviceYaml('d', 'dns: "db.example.com:1"') + fault)).toEqual(['FaultPolicy/f spec.side']);
  });
});

describe('policies of servers for rules that match by claims', () => {
  const rules =
    '[{ name: free, backendRefs: [{ name: a }] }, ' +
    '{ name: admins, matches: [{ headers: [{ name: "@request.auth.claims.role", value: admin }] }], backendRefs: [{ name: a }] }]';
  const route = httpRouteYaml('r', 'name: a', rules);
  const ROUTE = 'group: gateway.networking.k8s.io, kind: HTTPRoute, name: r';
  const authorization = (target: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: p }
spec: { action: DENY, rules: [{}], targetRefs: [{ ${target} }] }
`;
  const limit = (side: string): string =>
    requestPolicyYaml(
      'RateLimitPolicy',
      'l',
      ROUTE,
      `side: ${side}, limits: [{ name: x, limit: { requests: 1, per: 1s } }]`,
    );
  const fault = (side: string): string => requestPolicyYaml('FaultPolicy', 'f', ROUTE, `side: ${side}, reset: {}`);
  const users = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthenticationPolicy
metadata: { name: users }
spec: { jwt: [{ issuer: "https://i", jwksUri: "https://i/keys" }] }
`;

  test('are told to hold for nobody where no token is verified', () => {
    const at = 'spec.targetRefs[0]';
    for (const target of [ROUTE, `${ROUTE}, sectionName: admins`])
      expect(warned(A + route + authorization(target))).toEqual([`AuthorizationPolicy/p ${at}`]);
    expect(warned(A + route + limit('server'))).toEqual([`RateLimitPolicy/l ${at}`]);
    expect(warned(A + route + fault('server'))).toEqual([`FaultPolicy/f ${at}`]);
    const [told] = compileYaml(A + route + fault('server')).warnings;
    expect(told?.message).toBe(
      'holds for nobody at spec.rules[1] of HTTPRoute "r", which matches by claims, as servers of Service "a" verify no token: write an AuthenticationPolicy with jwt',
    );
  });
  test('and not where one is, nor for other rules, nor on the side of callers', () => {
    expect(warned(A + route + users + authorization(ROUTE) + limit('server') + fault('server'))).toEqual([]);
    expect(warned(A + route + authorization(`${ROUTE}, sectionName: free`))).toEqual([]);
    expect(warned(A + route + authorization('kind: Service, name: a'))).toEqual([]);
    expect(warned(A + route + limit('client') + fault('client'))).toEqual([]);
  });
});
