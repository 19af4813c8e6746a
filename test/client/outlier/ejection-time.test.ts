import { describe, expect, test } from 'vitest';
import { OutlierDetection } from '../../../src/client/outlier/outlier-detection.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { FakeClock } from '../../support/fake-clock.js';
import { detectionOver, Judged, outlierConfig, recordingGauges } from '../../support/outliers.js';

const consecutive5xx = { count: 5, enforcing: 1 };

/** Milliseconds until the first endpoint is used again, to the interval. */
async function ejectedFor({ clock, endpoints }: ReturnType<typeof detectionOver>, stepMs = 10_000): Promise<number> {
  const since = clock.now();
  endpoints[0]!.attempts(5, 500);
  if (!endpoints[0]!.ejected) throw new Error('not ejected');
  while (endpoints[0]!.ejected) await clock.advance(stepMs);
  return clock.now() - since;
}

describe('how long an ejection lasts', () => {
  test('the base time, twice it, three times it, up to the longest', async () => {
    const set = detectionOver(5, outlierConfig({ consecutive5xx, maxEjectionMs: 100_000 }));
    expect(await ejectedFor(set)).toBe(30_000);
    expect(await ejectedFor(set)).toBe(60_000);
    expect(await ejectedFor(set)).toBe(90_000);
    expect(await ejectedFor(set)).toBe(100_000);
    expect(await ejectedFor(set)).toBe(100_000);
  });

  test('each interval without an ejection takes one from the multiplier', async () => {
    const set = detectionOver(5, outlierConfig({ consecutive5xx }));
    expect(await ejectedFor(set)).toBe(30_000);
    expect(await ejectedFor(set)).toBe(60_000);
    await set.clock.advance(10_000);
    expect(await ejectedFor(set)).toBe(60_000);
    await set.clock.advance(50_000);
    expect(await ejectedFor(set)).toBe(30_000);
  });

  test('the multiplier grows no further than the longest time, so that a bad day is forgotten soon', async () => {
    const set = detectionOver(5, outlierConfig({ consecutive5xx, maxEjectionMs: 60_000 }));
    for (let i = 0; i < 20; i++) await ejectedFor(set);
    // The multiplier is 3 (Envoy: less than max + base); three intervals.
    await set.clock.advance(30_000);
    expect(await ejectedFor(set)).toBe(30_000);
  });

  test('a base time above the longest counts (A50)', async () => {
    const set = detectionOver(5, outlierConfig({ consecutive5xx, baseEjectionMs: 60_000, maxEjectionMs: 10_000 }));
    expect(await ejectedFor(set)).toBe(60_000);
    expect(await ejectedFor(set)).toBe(60_000);
  });

  test('jitter makes it longer, never shorter, and not the same for all', async () => {
    const times = new Set<number>();
    for (let seed = 1; seed <= 20; seed++) {
      const config = outlierConfig({ consecutive5xx, intervalMs: 100, maxEjectionJitterMs: 5_000 });
      const time = await ejectedFor(detectionOver(5, config, seed), 100);
      expect(time).toBeGreaterThanOrEqual(30_000);
      expect(time).toBeLessThanOrEqual(35_100);
      times.add(time);
    }
    expect(times.size).toBeGreaterThan(10);
  });
});

describe('a passed active check', () => {
  test('brings an ejected endpoint back at once', () => {
    const { detection, endpoints, ejected, events } = detectionOver(5, outlierConfig({ consecutive5xx }));
    endpoints[0]!.attempts(5, 500);
    detection.checkPassed('b');
    detection.checkPassed('nobody');
    expect(ejected()).toBe('a');
    detection.checkPassed('a');
    expect(ejected()).toBe('');
    expect(detection.ejected).toBe(0);
    expect(events.at(-1)).toEqual({ kind: 'outlier:unejected', cluster: 'reviews', endpoint: 'a' });
    endpoints[0]!.attempts(4, 500);
    expect(ejected()).toBe('');
  });

  test('does not where successful_active_health_check_uneject_host is false', () => {
    const set = detectionOver(5, outlierConfig({ consecutive5xx, unejectOnHealthCheck: false }));
    set.endpoints[0]!.attempts(5, 500);
    set.detection.checkPassed('a');
    expect(set.ejected()).toBe('a');
  });
});

describe('updates of endpoints', () => {
  test('what is ejected stays so, also when another object has its key', () => {
    const { detection, endpoints, clock } = detectionOver(5, outlierConfig({ consecutive5xx }));
    endpoints[0]!.attempts(5, 500);
    endpoints[1]!.attempts(4, 500);
    const others = ['a', 'b', 'z'].map((key) => new Judged(key, clock));
    detection.update(others);
    expect(others.map(({ ejected }) => ejected)).toEqual([true, false, false]);
    expect(endpoints.every(({ monitor }) => monitor === undefined)).toBe(true);
    others[1]!.attempts(1, 500);
    expect(others[1]!.ejected).toBe(true);
    expect(detection.ejected).toBe(2);
  });

  test('one that is removed counts no longer, and comes back with a clean record', () => {
    const { detection, endpoints, clock } = detectionOver(5, outlierConfig({ consecutive5xx }));
    endpoints[0]!.attempts(5, 500);
    detection.update(endpoints.slice(1));
    expect(detection.ejected).toBe(0);
    const again = new Judged('a', clock);
    detection.update([again, ...endpoints.slice(1)]);
    again.attempts(4, 500);
    expect(again.ejected).toBe(false);
  });

  test('attempts of an endpoint that is gone harm nobody', () => {
    const { detection, endpoints } = detectionOver(5, outlierConfig({ consecutive5xx }));
    const { monitor } = endpoints[0]!;
    detection.update(endpoints.slice(1));
    for (let i = 0; i < 5; i++) monitor?.finished('failure', 500, false, 2_000);
    expect(detection.ejected).toBe(0);
  });
});

describe('updates of the configuration', () => {
  const failurePercentage = { threshold: 0.5, enforcing: 1, minimumHosts: 1, requestVolume: 10 };

  test('the rhythm of intervals stays: what is left of the interval, or at once', async () => {
    const { detection, clock, endpoints, ejected } = detectionOver(5, outlierConfig({ failurePercentage }));
    await clock.advance(7_000);
    endpoints[0]!.attempts(10, 500);
    detection.configure(outlierConfig({ failurePercentage, intervalMs: 8_000 }));
    await clock.advance(999);
    expect(ejected()).toBe('');
    await clock.advance(1);
    expect(ejected()).toBe('a');
    await clock.advance(6_000);
    endpoints[1]!.attempts(10, 500);
    detection.configure(outlierConfig({ failurePercentage, intervalMs: 1_000 }));
    await clock.advance(0);
    expect(ejected()).toBe('ab');
  });

  test('without any kind there is no timer, no monitor and no gauge, and nothing is ejected any more', async () => {
    const { detection, clock, endpoints, ejected, gauges } = detectionOver(5, outlierConfig({ consecutive5xx }));
    endpoints[0]!.attempts(5, 500);
    detection.configure(outlierConfig());
    expect(ejected()).toBe('');
    expect(clock.pending).toBe(0);
    expect(gauges.size).toBe(0);
    expect(endpoints.every(({ monitor }) => monitor === undefined)).toBe(true);
    detection.configure(outlierConfig({ consecutive5xx }));
    endpoints[0]!.attempts(5, 500);
    expect(ejected()).toBe('a');
    // The multiplier began anew.
    await clock.advance(30_000);
    expect(ejected()).toBe('');
  });

  test('counts of metrics go on', () => {
    const { detection, endpoints, gauges } = detectionOver(5, outlierConfig({ consecutive5xx }));
    endpoints[0]!.attempts(5, 500);
    detection.configure(outlierConfig({ consecutive5xx, failurePercentage }));
    expect(gauges.read()['grpc.lb.outlier_detection.ejections_enforced reviews consecutive_5xx']).toBe(1);
  });
});

test('close leaves nothing behind: no timer, no gauge, no monitor, no ejection', () => {
  const { detection, clock, endpoints, ejected, gauges } = detectionOver(5, outlierConfig({ consecutive5xx }));
  endpoints[0]!.attempts(5, 500);
  detection.close();
  expect(clock.pending).toBe(0);
  expect(gauges.size).toBe(0);
  expect(ejected()).toBe('');
  expect(endpoints.every(({ monitor }) => monitor === undefined)).toBe(true);
});

test('two clusters of one name and different scopes have gauges of their own', () => {
  const gauges = recordingGauges();
  const env = {
    clock: new FakeClock(),
    random: seededRandom(1),
    logger: silentLogger,
    meter: { event() {}, gauge: gauges.gauge },
  };
  const config = outlierConfig({ consecutive5xx });
  const both = ['xds:///a', 'xds:///b'].map((scope) => new OutlierDetection(config, { name: 'reviews', scope }, env));
  expect(gauges.size).toBe(8);
  for (const detection of both) detection.close();
  expect(gauges.size).toBe(0);
});
