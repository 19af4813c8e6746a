import { describe, expect, test } from 'vitest';
import { CancelledError, ConfigUnavailableError } from '../../src/core/errors.js';
import { collect } from '../../src/observability/metrics/collect.js';
import { Registry } from '../../src/observability/metrics/registry.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';

const registry = () => new Registry({ clock: new FakeClock() });

/** Labels and value (a histogram's count) of every point of one metric. */
function points(from: Registry, name: string): [Record<string, string | number>, number][] {
  const family = collect(from, 0).find(({ instrument }) => instrument.name === name);
  if (family === undefined) return [];
  return family.kind === 'histogram'
    ? family.points.map(({ labels, value }) => [labels, value.count])
    : family.points.map(({ labels, value }) => [labels, value]);
}

describe('http.client.request.duration', () => {
  test('has one value per attempt, with the attributes of the HTTP conventions', () => {
    const meter = registry();
    meter.attemptFinished(finished({ status: 200 }));
    meter.attemptFinished(finished({ status: 200 }));
    meter.attemptFinished(finished({ status: 503, call: { authority: 'reviews:8080', method: 'POST' } }));
    expect(points(meter, 'http.client.request.duration')).toEqual([
      [
        {
          'http.request.method': 'GET',
          'server.address': 'reviews',
          'server.port': 80,
          'http.response.status_code': 200,
        },
        2,
      ],
      [
        {
          'http.request.method': 'POST',
          'server.address': 'reviews',
          'server.port': 8080,
          'http.response.status_code': 503,
          'error.type': '503',
        },
        1,
      ],
    ]);
  });

  test('a failure without a reply has its code as error.type and no status', () => {
    const meter = registry();
    meter.attemptFinished(finished({ error: new ConfigUnavailableError('no'), call: { scheme: 'https' } }));
    expect(points(meter, 'http.client.request.duration')).toEqual([
      [
        {
          'http.request.method': 'GET',
          'server.address': 'reviews',
          'server.port': 443,
          'error.type': 'CONFIG_UNAVAILABLE',
        },
        1,
      ],
    ]);
  });

  test('a reply that broke off has both its status and the code', () => {
    const meter = registry();
    meter.attemptFinished(finished({ status: 200, end: { error: new ConfigUnavailableError('no') } }));
    expect(points(meter, 'http.client.request.duration')[0]?.[0]).toMatchObject({
      'http.response.status_code': 200,
      'error.type': 'CONFIG_UNAVAILABLE',
    });
  });

  test('a caller that gave up is no error', () => {
    const meter = registry();
    meter.attemptFinished(finished({ error: new CancelledError() }));
    expect(points(meter, 'http.client.request.duration')[0]?.[0]).not.toHaveProperty('error.type');
  });

  test('a method that nobody knows is _OTHER', () => {
    const meter = registry();
    meter.attemptFinished(finished({ call: { method: 'BREW' } }));
    expect(points(meter, 'http.client.request.duration')[0]?.[0]).toMatchObject({ 'http.request.method': '_OTHER' });
  });

  test('gRPC attempts are not among them', () => {
    const meter = registry();
    meter.attemptFinished(finished({ call: { protocol: 'grpc' } }));
    expect(points(meter, 'http.client.request.duration')).toEqual([]);
  });
});

describe('rpc.client.call.duration', () => {
  const call = { protocol: 'grpc', path: '/shop.Reviews/List', method: 'POST' } as const;

  test('has one value per call, with the attributes of the RPC conventions', () => {
    const meter = registry();
    meter.callFinished(finished({ call, headers: { 'grpc-status': '0' } }));
    meter.callFinished(finished({ call, end: { trailers: { 'grpc-status': '5' } } }));
    const common = {
      'rpc.system.name': 'grpc',
      'rpc.method': 'shop.Reviews/List',
      'server.address': 'reviews',
      'server.port': 80,
    };
    expect(points(meter, 'rpc.client.call.duration')).toEqual([
      [{ ...common, 'rpc.status_code': 'OK' }, 1],
      [{ ...common, 'rpc.status_code': 'NOT_FOUND', 'error.type': 'NOT_FOUND' }, 1],
    ]);
  });

  test('a call that got no status has the one it stands for, and the code as error.type', () => {
    const meter = registry();
    meter.callFinished(finished({ call, error: new ConfigUnavailableError('no') }));
    expect(points(meter, 'rpc.client.call.duration')[0]?.[0]).toMatchObject({
      'rpc.status_code': 'UNAVAILABLE',
      'error.type': 'CONFIG_UNAVAILABLE',
    });
  });
});

describe('mesh metrics', () => {
  test('calls are counted by destination, route, cluster, version and outcome', () => {
    const meter = registry();
    const record = { route: 'r', cluster: 'reviews-v2', version: 'v2' };
    meter.callFinished(finished({ record, end: { bytesSent: 10, bytesReceived: 200 } }));
    meter.callFinished(finished({ record, status: 500 }));
    const labels = {
      'mesh.destination': 'reviews',
      'mesh.route': 'r',
      'mesh.cluster': 'reviews-v2',
      'mesh.version': 'v2',
    };
    expect(points(meter, 'mesh.client.call.duration')).toEqual([
      [{ ...labels, 'mesh.outcome': 'success' }, 1],
      [{ ...labels, 'mesh.outcome': 'failure' }, 1],
    ]);
    expect(points(meter, 'mesh.client.io')).toEqual([
      [{ ...labels, 'network.io.direction': 'transmit' }, 10],
      [{ ...labels, 'network.io.direction': 'receive' }, 200],
    ]);
  });

  test('errors are counted by code, origin and whether the server was reached', () => {
    const meter = registry();
    meter.callFinished(finished({ error: new CancelledError() }));
    expect(points(meter, 'mesh.client.errors')).toEqual([
      [
        {
          'mesh.destination': 'reviews',
          'error.type': 'CANCELLED',
          'mesh.error.origin': 'workload',
          'mesh.error.reached': 'maybe',
        },
        1,
      ],
    ]);
  });

  test('every event is counted', () => {
    const meter = registry();
    meter.event({ kind: 'retry', cluster: 'c', reason: '5xx' });
    meter.event({ kind: 'retry:budget-spent', cluster: 'c' });
    meter.event({ kind: 'circuit:open', cluster: 'c', limit: 'max_requests' });
    meter.event({ kind: 'xds:update', type: 'Cluster', resources: 2 });
    meter.event({ kind: 'xds:nack', type: 'Cluster', detail: 'no' });
    meter.event({ kind: 'config:changed', source: 'mesh.yaml' });
    meter.event({ kind: 'config:rejected', source: 'mesh.yaml', detail: 'no' });
    expect(points(meter, 'mesh.client.retries')).toEqual([[{ 'mesh.cluster': 'c', 'mesh.retry.reason': '5xx' }, 1]]);
    expect(points(meter, 'mesh.client.retry.budget_exhausted')).toEqual([[{ 'mesh.cluster': 'c' }, 1]]);
    expect(points(meter, 'mesh.client.circuit.rejections')).toEqual([
      [{ 'mesh.cluster': 'c', 'mesh.circuit.limit': 'max_requests' }, 1],
    ]);
    expect(points(meter, 'mesh.xds.updates')).toEqual([[{ 'mesh.xds.type': 'Cluster' }, 1]]);
    expect(points(meter, 'mesh.xds.nacks')).toEqual([[{ 'mesh.xds.type': 'Cluster' }, 1]]);
    expect(points(meter, 'mesh.config.changes')).toEqual([[{ 'mesh.config.source': 'mesh.yaml' }, 1]]);
    expect(points(meter, 'mesh.config.rejected')).toEqual([[{ 'mesh.config.source': 'mesh.yaml' }, 1]]);
  });

  test('mesh.xds.connected follows the stream to each server', () => {
    const meter = registry();
    meter.event({ kind: 'xds:connected', server: 'cp' });
    expect(points(meter, 'mesh.xds.connected')).toEqual([[{ 'mesh.xds.server': 'cp' }, 1]]);
    meter.event({ kind: 'xds:disconnected', server: 'cp', detail: 'gone' });
    expect(points(meter, 'mesh.xds.connected')).toEqual([[{ 'mesh.xds.server': 'cp' }, 0]]);
  });

  test('a gauge is read when asked for, and is gone once removed', () => {
    const meter = registry();
    let value = 1;
    const remove = meter.gauge('mesh.pool.connections', { cluster: 'c' }, () => value);
    value = 7;
    expect(points(meter, 'mesh.pool.connections')).toEqual([[{ cluster: 'c' }, 7]]);
    remove();
    expect(points(meter, 'mesh.pool.connections')).toEqual([]);
  });

  test('a gauge that throws or has no number harms no other', () => {
    const meter = registry();
    meter.gauge('g', { n: '1' }, () => {
      throw new Error('no');
    });
    meter.gauge('g', { n: '2' }, () => Number.NaN);
    meter.gauge('g', { n: '3' }, () => 3);
    expect(points(meter, 'g')).toEqual([[{ n: '3' }, 3]]);
  });

  test('gauges are bounded like series', () => {
    const meter = new Registry({ clock: new FakeClock(), maxSeries: 1 });
    meter.gauge('a', {}, () => 1);
    meter.gauge('b', {}, () => 1)();
    expect(points(meter, 'b')).toEqual([]);
    expect(points(meter, 'mesh.telemetry.overflow')).toEqual([[{}, 1]]);
  });
});
