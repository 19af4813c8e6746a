import { describe, expect, test } from 'vitest';
import { CLUSTER, ROUTE, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { clusterOf, compileYaml, policyYaml, problemsOf, serviceYaml } from '../../support/mesh-yaml.js';

const NAME = 'a.default:80';
const backendPolicy = (name: string, spec: string, target = 'name: a'): string => `
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ group: "", kind: Service, ${target} }]${spec === '' ? '' : `, ${spec}`} }
`;
const settings = (text: string) =>
  decoders[CLUSTER](clusterOf(compileYaml(serviceYaml('a') + text), NAME), NAME).settings;
const said = (text: string): string[] => problemsOf(serviceYaml('a') + text).map((line) => line.replace(/^\S+ /, ''));

describe('an XBackendTrafficPolicy', () => {
  test('has the defaults of GEP-3388', () => {
    expect(settings(backendPolicy('p', 'retryConstraint: {}')).retryBudget).toEqual({
      retryRatio: 0.2,
      minRetriesPerSecond: 10,
      ttlMs: 10_000,
    });
  });

  test('comes to the same as a TrafficPolicy that says it', () => {
    const spec =
      'retryConstraint: { budget: { percent: 5, interval: 20s }, minRetryRate: { count: 3, interval: 2s } }, sessionPersistence: { type: Header, sessionName: x-s }';
    const both = [backendPolicy('p', spec), policyYaml('p', 'a', spec)].map(
      (text) => compileYaml(serviceYaml('a') + text).resources,
    );
    expect(both[0]).toEqual(both[1]);
    expect(JSON.stringify(both[0]?.[ROUTE].get(NAME) as Resource)).toContain('HeaderBasedSessionState');
  });

  test('stands beside a TrafficPolicy that says other things', () => {
    const text =
      backendPolicy('p', 'retryConstraint: { budget: { percent: 5 } }') +
      policyYaml('q', 'a', 'connectTimeout: 2s, breaker: {}');
    expect(settings(text)).toMatchObject({
      retryBudget: { retryRatio: 0.05 },
      connectTimeoutMs: 2_000,
      breaker: { consecutiveFailures: 7 },
    });
  });

  test.each<[string, string]>([
    [
      backendPolicy('p', 'retryConstraint: {}') + policyYaml('q', 'a', 'retryConstraint: {}'),
      'XBackendTrafficPolicy/p spec.retryConstraint: TrafficPolicy/q has it too, for Service "a": keep one of them',
    ],
    [
      backendPolicy('p', 'retryConstraint: {}') + policyYaml('q', 'a', 'connectionPool: { retryBudget: {} }'),
      'XBackendTrafficPolicy/p spec.retryConstraint: cannot be combined with connectionPool.retryBudget of TrafficPolicy "q": keep one of them',
    ],
    [
      backendPolicy('p', '') + backendPolicy('q', ''),
      'XBackendTrafficPolicy/q spec.targetRefs[0].name: Service "a" already has XBackendTrafficPolicy "p": put both into one',
    ],
    [
      backendPolicy('p', '', 'name: aa'),
      'XBackendTrafficPolicy/p spec.targetRefs[0].name: there is no Service "aa"; did you mean "a"?',
    ],
    [
      backendPolicy('p', '', 'name: a, sectionName: x'),
      'XBackendTrafficPolicy/p spec.targetRefs[0].sectionName: unknown field; known: group, kind, name',
    ],
    [
      backendPolicy('p', 'retryConstraint: { budget: { interval: 2m } }'),
      'XBackendTrafficPolicy/p spec.retryConstraint.budget.interval: must be from 1s to 1m, got 2m',
    ],
    [
      backendPolicy('p', 'sessionPersistence: { strict: true }'),
      'XBackendTrafficPolicy/p spec.sessionPersistence.strict: unknown field; known: sessionName, type, absoluteTimeout, idleTimeout, cookieConfig',
    ],
  ])('%#: a mistake is told', (text, message) => {
    expect(said(text)).toEqual([message]);
  });
});
