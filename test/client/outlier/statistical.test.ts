import { describe, expect, test } from 'vitest';
import { detectionOver, outlierConfig } from '../../support/outliers.js';

const successRate = { stdevFactor: 1.9, enforcing: 1, minimumHosts: 5, requestVolume: 100 };
const failurePercentage = { threshold: 0.85, enforcing: 1, minimumHosts: 5, requestVolume: 50 };

describe('success rate (A50)', () => {
  const set = (more = {}) => detectionOver(5, outlierConfig({ successRate, ...more }));

  test('ejects what is more than 1.9 deviations below the mean, at the interval', async () => {
    const { endpoints, clock, ejected, lines } = set();
    for (const [i, endpoint] of endpoints.entries()) {
      endpoint.attempts(i === 2 ? 51 : 100, 200);
      endpoint.attempts(i === 2 ? 49 : 0, 500);
    }
    await clock.advance(9_999);
    expect(ejected()).toBe('');
    await clock.advance(1);
    // Rates 51, 100, 100, 100, 100: mean 90.2, deviation 19.6, so what is below 52.96 is an outlier.
    expect(ejected()).toBe('c');
    expect(lines[0]?.fields['eject_success_rate_event']).toEqual({
      host_success_rate: 51,
      cluster_average_success_rate: 90,
      cluster_success_rate_ejection_threshold: 53,
    });
  });

  test('four endpoints are too few, and one without the volume is not counted', async () => {
    const { endpoints, clock, ejected } = set();
    for (const endpoint of endpoints.slice(0, 4)) endpoint.attempts(100, 200);
    endpoints[4]!.attempts(99, 500);
    await clock.advance(10_000);
    expect(ejected()).toBe('');
  });

  test('counts of one interval say nothing in the next', async () => {
    const { endpoints, clock, ejected } = set();
    for (const endpoint of endpoints) endpoint.attempts(60, endpoint.key === 'a' ? 500 : 200);
    await clock.advance(10_000);
    for (const endpoint of endpoints) endpoint.attempts(60, endpoint.key === 'a' ? 500 : 200);
    await clock.advance(10_000);
    expect(ejected()).toBe('');
  });

  test('an answer of 429 or 404 is a success, as in Envoy', async () => {
    const { endpoints, clock, ejected } = set();
    for (const endpoint of endpoints) endpoint.attempts(100, endpoint.key === 'a' ? 429 : 200);
    await clock.advance(10_000);
    expect(ejected()).toBe('');
  });
});

describe('failure percentage (A50)', () => {
  const set = (more = {}) => detectionOver(5, outlierConfig({ failurePercentage, ...more }));

  test.each([
    [84, ''],
    [85, 'b'],
    [100, 'b'],
  ])('with %i failures of 100 ejects "%s"', async (failures, expected) => {
    const { endpoints, clock, ejected } = set();
    for (const endpoint of endpoints) {
      endpoint.attempts(endpoint.key === 'b' ? failures : 0, 500);
      endpoint.attempts(endpoint.key === 'b' ? 100 - failures : 100, 200);
    }
    await clock.advance(10_000);
    expect(ejected()).toBe(expected);
  });

  test.each([0.01, 0.07, 0.1, 0.29, 0.55, 0.57, 0.85, 0.99, 1])(
    'a threshold of %d is reached exactly',
    async (threshold) => {
      const { endpoints, clock, ejected } = detectionOver(
        5,
        outlierConfig({ failurePercentage: { ...failurePercentage, threshold } }),
      );
      const failures = Math.round(threshold * 100);
      for (const endpoint of endpoints) {
        endpoint.attempts(endpoint.key === 'b' ? failures : 0, 500);
        endpoint.attempts(endpoint.key === 'b' ? 100 - failures : 100, 200);
      }
      await clock.advance(10_000);
      expect(ejected()).toBe('b');
    },
  );

  test('stops when the share is reached: the percentage before the ejection counts (A50)', async () => {
    const { endpoints, clock, ejected } = set({ maxEjection: 0.3, alwaysEjectOne: false });
    for (const endpoint of endpoints) endpoint.attempts(50, 500);
    await clock.advance(10_000);
    // 0 % and 20 % are less than 30 %, 40 % is not.
    expect(ejected()).toBe('ab');
  });

  test('a share of 0 ejects none', async () => {
    const { endpoints, clock, ejected } = set({ maxEjection: 0, alwaysEjectOne: false });
    for (const endpoint of endpoints) endpoint.attempts(50, 500);
    await clock.advance(10_000);
    expect(ejected()).toBe('');
  });

  test('no volume is no evidence, even where none is asked for', async () => {
    const { clock, ejected } = set({
      failurePercentage: { threshold: 0, enforcing: 1, minimumHosts: 0, requestVolume: 0 },
      successRate: { stdevFactor: 0, enforcing: 1, minimumHosts: 0, requestVolume: 0 },
    });
    await clock.advance(20_000);
    expect(ejected()).toBe('');
  });
});

test('success rate is judged before failure percentage, and an endpoint is ejected once', async () => {
  const {
    endpoints,
    clock,
    events,
    endpoints: [first],
  } = detectionOver(6, outlierConfig({ successRate, failurePercentage }));
  for (const endpoint of endpoints) endpoint.attempts(100, endpoint.key === 'a' ? 500 : 200);
  await clock.advance(10_000);
  expect(events).toEqual([{ kind: 'outlier:ejected', cluster: 'reviews', endpoint: 'a', reason: 'success_rate' }]);
  await clock.advance(29_999);
  expect(first?.ejected).toBe(true);
  await clock.advance(1);
  expect(first?.ejected).toBe(false);
});

test('with the split, connections are judged apart from answers', async () => {
  const config = {
    splitLocalOrigin: true,
    failurePercentage,
    localOriginFailurePercentage: failurePercentage,
  };
  const { endpoints, clock, events } = detectionOver(5, outlierConfig(config));
  for (const endpoint of endpoints) {
    endpoint.attempts(50, endpoint.key === 'a' ? 500 : 200);
    endpoint.attempts(endpoint.key === 'b' ? 300 : 0, 'refused');
  }
  await clock.advance(10_000);
  expect(events).toEqual([
    { kind: 'outlier:ejected', cluster: 'reviews', endpoint: 'a', reason: 'failure_percentage' },
    // 300 of 350 are 85.7 %.
    { kind: 'outlier:ejected', cluster: 'reviews', endpoint: 'b', reason: 'failure_percentage_local_origin' },
  ]);
});
