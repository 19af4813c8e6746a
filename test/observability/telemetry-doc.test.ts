import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { WRR_GAUGES } from '../../src/client/balancer/wrr-gauges.js';
import { HEALTH_CHECK_GAUGES } from '../../src/client/health/counts.js';
import { EJECTIONS_ACTIVE, EJECTIONS_ENFORCED, EJECTIONS_UNENFORCED } from '../../src/client/outlier/counts.js';
import { CLUSTER_GAUGES } from '../../src/client/endpoints/gauges.js';
import { SECURITY_GAUGE } from '../../src/client/endpoints/security-gauge.js';
import { CA_GAUGES } from '../../src/controlplane/ca/metrics.js';
import { ConfigUnavailableError } from '../../src/core/errors.js';
import { CHANNELS } from '../../src/observability/events.js';
import { ACCESS_LOG_KEYS } from '../../src/observability/log/entry.js';
import { INSTRUMENTS } from '../../src/observability/metrics/catalogue.js';
import { collect } from '../../src/observability/metrics/collect.js';
import { Registry } from '../../src/observability/metrics/registry.js';
import { FAULTS_ACTIVE } from '../../src/resilience/fault/gauges.js';
import { finishSpan, startAttributes } from '../../src/observability/trace/span.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';
import { tableRows } from '../support/doc-tables.js';

const doc = await readFile(new URL('../../docs/telemetry.md', import.meta.url), 'utf8');

const full = { attempts: 2, route: 'r', cluster: 'c', version: 'v1', endpoint: '10.0.0.1:80' };
const grpc = { protocol: 'grpc', path: '/a.B/C' } as const;
const failure = new ConfigUnavailableError('no');

describe('metrics', () => {
  test('name, kind and unit are as documented, and none is missing on either side', () => {
    const documented = tableRows(doc, 'Metrics').map(([name, kind, unit]) => ({ name, kind, unit }));
    expect(documented).toEqual(INSTRUMENTS.map(({ name, kind, unit }) => ({ name, kind, unit })));
  });

  test('the gauges of a cluster are as documented, and none is missing on either side', () => {
    expect(tableRows(doc, 'Gauges of a cluster').map(([name]) => name)).toEqual(Object.keys(CLUSTER_GAUGES));
  });

  test('the gauge of who talks to whom is as documented', () => {
    expect(tableRows(doc, 'Who talks to whom').map(([name]) => name)).toEqual([SECURITY_GAUGE]);
  });

  test('the gauges of balancing and health are as documented, and none is missing on either side', () => {
    const offered = [
      EJECTIONS_ENFORCED,
      EJECTIONS_UNENFORCED,
      EJECTIONS_ACTIVE,
      ...Object.keys(HEALTH_CHECK_GAUGES),
      ...Object.keys(WRR_GAUGES),
    ];
    expect(
      tableRows(doc, 'Gauges of balancing and health')
        .map(([name]) => name)
        .sort(),
    ).toEqual(offered.sort());
  });

  test('the gauges of the certificate authority are as documented, and none is missing on either side', () => {
    expect(tableRows(doc, 'Gauges of the certificate authority').map(([name]) => name)).toEqual(
      Object.values(CA_GAUGES),
    );
  });

  test('the gauges of faults are as documented', () => {
    expect(tableRows(doc, 'Gauges of faults').map(([name]) => name)).toEqual([FAULTS_ACTIVE]);
  });

  test('attributes are as documented, and none is missing on either side', () => {
    const registry = new Registry({ clock: new FakeClock() });
    for (const call of [{}, grpc]) {
      for (const over of [
        finished({ call, record: full, status: 500 }),
        finished({ call, record: full, error: failure }),
      ]) {
        registry.callFinished(over);
        registry.attemptFinished(over);
      }
    }
    registry.event({ kind: 'retry', cluster: 'c', reason: '5xx' });
    registry.event({ kind: 'retry:budget-spent', cluster: 'c' });
    registry.event({ kind: 'circuit:open', cluster: 'c', limit: 'max_requests' });
    registry.event({ kind: 'hedge', cluster: 'c' });
    registry.event({ kind: 'mirror', cluster: 'c' });
    registry.event({ kind: 'mirror:dropped', cluster: 'c', reason: 'overflow' });
    registry.event({ kind: 'fallback', cluster: 'c', by: 'stale', reason: 'TIMEOUT' });
    registry.event({ kind: 'breaker:open', cluster: 'c', reason: 'consecutive' });
    registry.event({ kind: 'breaker:half-open', cluster: 'c' });
    registry.event({ kind: 'breaker:close', cluster: 'c' });
    registry.record('grpc.lb.wrr.endpoint_weights', { 'mesh.cluster': 'c' }, 1);
    registry.event({ kind: 'deadline:expired', protocol: 'http', refused: true });
    registry.event({ kind: 'shed', protocol: 'http', priority: 'batch', reason: 'concurrency' });
    registry.event({ kind: 'fault', policy: 'p', fault: 'abort' });
    registry.event({ kind: 'experiment:stopped', policy: 'p', reason: 'latency' });
    registry.event({ kind: 'limit:refused', rule: 'r', protocol: 'http', shadow: true, reason: 'limit' });
    registry.event({ kind: 'limit:queued', rule: 'r', waitedMs: 1 });
    registry.event({ kind: 'limit:store-lost', store: 'redis:default' });
    registry.event({ kind: 'quota:used', plan: 'free', units: 1 });
    registry.event({ kind: 'authz', decision: 'allow', policy: 'p', shadow: true });
    registry.event({ kind: 'authz', decision: 'deny', policy: 'p', shadow: true });
    registry.event({ kind: 'authn:refused', protocol: 'http', reason: 'expired' });
    registry.event({ kind: 'tls:refused', reason: 'plaintext' });
    registry.event({ kind: 'xds:update', type: 'Cluster', resources: 1 });
    registry.event({ kind: 'xds:nack', type: 'Cluster', detail: '' });
    registry.event({ kind: 'xds:connected', server: 'cp' });
    registry.event({ kind: 'config:changed', source: 'a' });
    registry.event({ kind: 'config:rejected', source: 'a', detail: '' });
    const exported = collect(registry, 0).map(({ instrument, points }) => {
      const names = new Set(points.flatMap(({ labels }) => Object.keys(labels)));
      return [instrument.name, [...names].sort()];
    });
    const documented = tableRows(doc, 'Metrics').map(([name, , , attributes]) => [
      name,
      (attributes as string)
        .split(', ')
        .filter((attribute) => attribute !== '')
        .sort(),
    ]);
    expect(exported).toEqual(documented);
  });
});

test('span attributes are as documented, and none is missing on either side', () => {
  const written = new Set<string>();
  const note = (attributes: object): void => {
    for (const name of Object.keys(attributes)) written.add(name);
  };
  for (const call of [{}, { method: 'BREW' }, grpc]) {
    for (const over of [
      finished({ call, record: full, attempt: 2 }),
      finished({ call, record: full, error: failure }),
    ]) {
      note(startAttributes(over.call));
      finishSpan(
        {
          spanContext: () => ({ traceId: '', spanId: '', traceFlags: 1 }),
          isRecording: () => true,
          setAttributes: note,
          setStatus: () => {},
          end: () => {},
        },
        over,
      );
    }
  }
  expect([...written].sort()).toEqual(
    tableRows(doc, 'Traces')
      .map(([name]) => name)
      .sort(),
  );
});

test('access log keys are as documented, in their order', () => {
  expect(tableRows(doc, 'Access log').map(([key]) => key)).toEqual([...ACCESS_LOG_KEYS]);
});

test('diagnostics channels are as documented', () => {
  expect(
    tableRows(doc, 'Diagnostics channels')
      .map(([name]) => name)
      .sort(),
  ).toEqual([...CHANNELS].sort());
});
