import { expect, test } from 'vitest';
import { CancelledError } from '../../src/core/errors.js';
import { Registry } from '../../src/observability/metrics/registry.js';
import { readStats } from '../../src/observability/metrics/stats.js';
import { FakeClock } from '../support/fake-clock.js';
import { finished } from '../support/finished.js';

const v1 = { route: 'r', cluster: 'reviews-v1', version: 'v1' };
const v2 = { route: 'r', cluster: 'reviews-v2', version: 'v2' };

test('there is a row per service and version, over all routes and clusters', async () => {
  const clock = new FakeClock();
  const meter = new Registry({ clock });
  const startedAt = clock.now();
  for (let i = 0; i < 9; i++) meter.callFinished(finished({ record: v1, durationMs: 10 }));
  meter.callFinished(finished({ record: { ...v1, route: 'other', attempts: 3 }, durationMs: 100, status: 500 }));
  meter.callFinished(finished({ record: v2, end: { bytesSent: 3, bytesReceived: 4 } }));
  await clock.advance(2_000);
  const { rows, windowMs } = readStats(meter, startedAt);
  expect(windowMs).toBe(2_000);
  expect(rows.map(({ service, version }) => [service, version])).toEqual([
    ['reviews', 'v1'],
    ['reviews', 'v2'],
  ]);
  expect(rows[0]).toMatchObject({ requests: 10, failures: 1, successRate: 0.9, requestsPerSecond: 5, retries: 2 });
  expect(rows[0]?.p50Ms).toBeCloseTo(10, 0);
  expect(rows[0]?.p99Ms).toBeCloseTo(100, -1);
  expect(rows[1]).toMatchObject({ requests: 1, bytesSent: 3, bytesReceived: 4 });
});

test('a window shows only what came in between', async () => {
  const clock = new FakeClock();
  const meter = new Registry({ clock });
  meter.callFinished(finished({ record: v1, durationMs: 1_000 }));
  meter.callFinished(finished({ record: v2 }));
  const before = readStats(meter, clock.now());
  await clock.advance(500);
  meter.callFinished(finished({ record: v1, durationMs: 2 }));
  const { rows, windowMs } = readStats(meter, 0).since(before);
  expect(windowMs).toBe(500);
  expect(rows[0]).toMatchObject({ requests: 1, successRate: 1, requestsPerSecond: 2 });
  expect(rows[0]?.p99Ms).toBeCloseTo(2, 0);
  expect(rows[1]).toMatchObject({ requests: 0, successRate: undefined, p50Ms: undefined, requestsPerSecond: 0 });
});

test('a reading does not change after it was taken', () => {
  const meter = new Registry({ clock: new FakeClock() });
  meter.callFinished(finished({ record: v1 }));
  const reading = readStats(meter, 0);
  meter.callFinished(finished({ record: v1 }));
  expect(reading.rows[0]?.requests).toBe(1);
  expect(readStats(meter, 0).since(reading).rows[0]?.requests).toBe(1);
});

test('calls that say nothing about the service are counted apart', () => {
  const meter = new Registry({ clock: new FakeClock() });
  meter.callFinished(finished({ record: v1, error: new CancelledError() }));
  expect(readStats(meter, 0).rows[0]).toMatchObject({
    requests: 0,
    ignored: 1,
    successRate: undefined,
    p50Ms: undefined,
  });
});
