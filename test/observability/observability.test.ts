import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import { CHANNELS } from '../../src/observability/events.js';
import { createObservability, type ObservabilityOptions } from '../../src/observability/observability.js';
import { aCall } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';

const make = (more: Partial<ObservabilityOptions> = {}) =>
  createObservability({
    service: 'web',
    clock: new FakeClock(),
    random: seededRandom(1),
    logger: silentLogger,
    ...more,
  });

test('one call feeds metrics, statistics and the access log', async () => {
  const lines: string[] = [];
  const mesh = make({ accessLog: (line) => lines.push(line) });
  mesh.meter.callFinished(finished({ record: { version: 'v1' } }));
  expect(mesh.stats().rows).toMatchObject([{ service: 'reviews', version: 'v1', requests: 1 }]);
  expect(mesh.prometheus()).toContain('mesh_client_call_duration_seconds_count{mesh_destination="reviews"');
  expect(lines.length).toBe(1);
  await mesh.close();
});

test('everything that happens is published on diagnostics channels', () => {
  const mesh = make();
  const heard: string[] = [];
  const listen = (_: unknown, name: string | symbol): void => void heard.push(String(name));
  for (const name of CHANNELS) subscribe(name, listen);
  mesh.meter.callFinished(finished());
  mesh.tracer.attempt(aCall());
  mesh.meter.attemptFinished(finished());
  mesh.meter.event({ kind: 'xds:update', type: 'Cluster', resources: 1 });
  mesh.meter.event({ kind: 'xds:nack', type: 'Cluster', detail: 'no' });
  mesh.meter.event({ kind: 'xds:connected', server: 'cp' });
  mesh.meter.event({ kind: 'xds:disconnected', server: 'cp' });
  mesh.meter.event({ kind: 'config:rejected', source: 'a', detail: 'no' });
  mesh.meter.event({ kind: 'config:changed', source: 'a' });
  mesh.meter.event({ kind: 'retry', cluster: 'c', reason: '5xx' });
  mesh.meter.event({ kind: 'retry:budget-spent', cluster: 'c' });
  mesh.meter.event({ kind: 'hedge', cluster: 'c' });
  mesh.meter.event({ kind: 'breaker:open', cluster: 'c', reason: 'consecutive' });
  mesh.meter.event({ kind: 'breaker:half-open', cluster: 'c' });
  mesh.meter.event({ kind: 'breaker:close', cluster: 'c' });
  mesh.meter.event({ kind: 'fallback', cluster: 'c', by: 'static', reason: 'BREAKER_OPEN' });
  mesh.meter.event({ kind: 'deadline:expired', protocol: 'http', refused: true });
  mesh.meter.event({ kind: 'shed', protocol: 'http', priority: 'batch', reason: 'concurrency' });
  mesh.meter.event({ kind: 'limit:refused', rule: 'r', protocol: 'http', shadow: false, reason: 'limit' });
  mesh.meter.event({ kind: 'limit:queued', rule: 'r', waitedMs: 5 });
  mesh.meter.event({ kind: 'tls:refused', reason: 'plaintext' });
  mesh.meter.event({ kind: 'quota:used', plan: 'free', units: 1 });
  mesh.meter.event({ kind: 'limit:store-lost', store: 'redis' });
  mesh.meter.event({ kind: 'limit:store-back', store: 'redis' });
  mesh.meter.event({ kind: 'fault', policy: 'p', fault: 'delay' });
  mesh.meter.event({ kind: 'experiment:stopped', policy: 'p', reason: 'time' });
  mesh.meter.event({ kind: 'authz', decision: 'deny', policy: 'p', shadow: false });
  mesh.meter.event({
    kind: 'authz:audit',
    rpcMethod: '/7',
    method: 'GET',
    sourceAddress: '10.0.0.7',
    principal: 's',
    traceId: '',
    filter: 'f',
    matchedRule: 'r',
    authorized: false,
    shadow: false,
  });
  mesh.meter.event({ kind: 'authn:refused', protocol: 'http', reason: 'expired' });
  mesh.meter.event({ kind: 'mirror', cluster: 'c' });
  mesh.meter.event({ kind: 'mirror:dropped', cluster: 'c', reason: 'overflow' });
  mesh.meter.event({ kind: 'circuit:open', cluster: 'c', limit: 'max_requests' });
  mesh.meter.event({ kind: 'outlier:ejected', cluster: 'c', endpoint: 'e', reason: 'consecutive_5xx' });
  mesh.meter.event({ kind: 'outlier:unejected', cluster: 'c', endpoint: 'e' });
  mesh.meter.event({ kind: 'identity:rotate', source: 's', spiffeId: undefined, notAfter: 1 });
  mesh.meter.event({ kind: 'identity:failed', source: 's', reason: 'refused', kept: false, detail: 'no' });
  mesh.meter.event({
    kind: 'identity:expiring',
    source: 's',
    spiffeId: undefined,
    used: 0.7,
    expiresInMs: 1,
    detail: 'no',
  });
  mesh.meter.event({ kind: 'ca:issued', attestor: 'mtls', spiffeId: 's', serial: '1', notAfter: 1 });
  mesh.meter.event({ kind: 'ca:refused', attestor: 'none', reason: 'unauthenticated' });
  mesh.meter.event({ kind: 'health:changed', cluster: 'c', endpoint: 'e', by: 'http', healthy: false });
  expect(heard).toEqual([...CHANNELS]);
  for (const name of CHANNELS) unsubscribe(name, listen);
});

test('tracing off touches no header', () => {
  const call = aCall();
  expect(make({ tracing: 'off' }).tracer.attempt(call)).toBeUndefined();
  expect(Object.keys(call.headers)).toEqual([]);
});

test('close is idempotent and leaves no timer', async () => {
  const clock = new FakeClock();
  const mesh = make({ clock });
  mesh.meter.callFinished(finished());
  await mesh.close();
  await mesh.close();
  expect(clock.pending).toBe(0);
});
