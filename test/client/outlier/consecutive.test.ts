import { describe, expect, test } from 'vitest';
import { detectionOver, outlierConfig } from '../../support/outliers.js';

const five = { count: 5, enforcing: 1 };
const anEndpointOf = (config: Parameters<typeof outlierConfig>[0], seed?: number) => {
  const set = detectionOver(10, outlierConfig(config), seed);
  return { ...set, first: set.endpoints[0]! };
};

describe('consecutive_5xx', () => {
  test('ejects at the fifth failure in a row, at once', () => {
    const { first, ejected } = anEndpointOf({ consecutive5xx: five });
    first.attempts(4, 500);
    expect(ejected()).toBe('');
    first.attempts(1, 503);
    expect(ejected()).toBe('a');
    expect(first.health.verdict).toBe('unusable');
  });

  test('a success between begins the row anew; a 4xx is one', () => {
    const { first, ejected } = anEndpointOf({ consecutive5xx: five });
    first.attempts(4, 500);
    first.attempts(1, 404);
    first.attempts(4, 500);
    expect(ejected()).toBe('');
    first.attempts(1, 500);
    expect(ejected()).toBe('a');
  });

  test('connections that fail count as 503 while there is no split', () => {
    const { first, ejected } = anEndpointOf({ consecutive5xx: five });
    first.attempts(3, 500);
    first.attempts(2, 'refused');
    expect(ejected()).toBe('a');
  });
});

describe('consecutive_gateway_failure', () => {
  test.each([502, 503, 504] as const)('counts %i', (status) => {
    const { first, ejected } = anEndpointOf({ consecutiveGatewayFailure: five });
    first.attempts(5, status);
    expect(ejected()).toBe('a');
  });

  test('another 5xx begins the row anew', () => {
    const { first, ejected } = anEndpointOf({ consecutiveGatewayFailure: five });
    first.attempts(4, 502);
    first.attempts(1, 500);
    first.attempts(4, 'refused');
    expect(ejected()).toBe('');
    first.attempts(1, 'refused');
    expect(ejected()).toBe('a');
  });
});

describe('split_external_local_origin_errors', () => {
  const split = { splitLocalOrigin: true, consecutiveLocalOriginFailure: five, consecutive5xx: five };

  test('failures to connect are a row of their own', () => {
    const { first, ejected, events } = anEndpointOf(split);
    first.attempts(4, 500);
    first.attempts(4, 'refused');
    expect(ejected()).toBe('');
    first.attempts(1, 'refused');
    expect(ejected()).toBe('a');
    expect(events).toEqual([
      { kind: 'outlier:ejected', cluster: 'reviews', endpoint: 'a', reason: 'consecutive_local_origin_failure' },
    ]);
  });

  test('an answer, whatever it says, ends that row and goes on with the other', () => {
    const { first, ejected } = anEndpointOf(split);
    first.attempts(4, 'refused');
    first.attempts(1, 500);
    first.attempts(4, 'refused');
    expect(ejected()).toBe('');
    first.attempts(4, 500);
    expect(ejected()).toBe('a');
  });

  test('without the split, settings of local origin do nothing', () => {
    const { first, ejected, gauges } = anEndpointOf({ consecutiveLocalOriginFailure: five });
    first.attempts(50, 'refused');
    expect(ejected()).toBe('');
    expect(first.monitor).toBeUndefined();
    expect(gauges.size).toBe(0);
  });
});

test('a share of enforcement ejects that share of those found', () => {
  let ejections = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const { first, ejected } = anEndpointOf({ consecutive5xx: { count: 5, enforcing: 0.25 } }, seed);
    first.attempts(5, 500);
    if (ejected() === 'a') ejections++;
  }
  // 100 of 400 in the mean, with a deviation of 8.7: five of them on either side.
  expect(ejections).toBeGreaterThan(56);
  expect(ejections).toBeLessThan(144);
});

test('one that was spared is judged again after another whole row', () => {
  const { first, lines, gauges } = anEndpointOf({ consecutive5xx: { count: 5, enforcing: 0 } });
  first.attempts(14, 500);
  expect(lines.map(({ level, fields }) => [level, fields['enforced']])).toEqual([
    ['debug', false],
    ['debug', false],
  ]);
  expect(
    gauges.read()['grpc.lb.outlier_detection.ejections_unenforced reviews consecutive_5xx enforcement_percentage'],
  ).toBe(2);
});

describe('how many may be ejected', () => {
  test('with one to come, no more than the share (Envoy)', () => {
    const { endpoints, ejected, gauges } = detectionOver(10, outlierConfig({ consecutive5xx: five, maxEjection: 0.2 }));
    for (const endpoint of endpoints) endpoint.attempts(5, 500);
    expect(ejected()).toBe('ab');
    expect(gauges.read()).toEqual({
      'mesh.cluster.ejections_active reviews': 2,
      'grpc.lb.outlier_detection.ejections_enforced reviews consecutive_5xx': 2,
      'grpc.lb.outlier_detection.ejections_unenforced reviews consecutive_5xx enforcement_percentage': 0,
      'grpc.lb.outlier_detection.ejections_unenforced reviews consecutive_5xx max_ejection_overflow': 8,
    });
  });

  test('one always may, where always_eject_one_host says so; else none when the share does not reach', () => {
    const config = { consecutive5xx: five, maxEjection: 0.1 };
    for (const alwaysEjectOne of [true, false]) {
      const { endpoints, ejected } = detectionOver(3, outlierConfig({ ...config, alwaysEjectOne }));
      for (const endpoint of endpoints) endpoint.attempts(5, 500);
      expect(ejected()).toBe(alwaysEjectOne ? 'a' : '');
    }
  });
});

test('an ejected endpoint is not ejected again by what is still under way', () => {
  const { first, events, detection } = anEndpointOf({ consecutive5xx: five, consecutiveGatewayFailure: five });
  first.attempts(50, 503);
  expect(events).toHaveLength(1);
  expect(detection.ejected).toBe(1);
});

test('log lines have the fields of Envoy’s OutlierDetectionEvent', async () => {
  const { first, lines, clock } = anEndpointOf({ consecutive5xx: five });
  first.attempts(5, 500);
  await clock.advance(30_000);
  first.attempts(5, 500);
  expect(lines).toEqual([
    {
      level: 'warn',
      message: 'endpoint ejected',
      fields: {
        cluster_name: 'reviews',
        upstream_url: 'a',
        num_ejections: 1,
        type: 'CONSECUTIVE_5XX',
        action: 'EJECT',
        enforced: true,
        eject_consecutive_event: {},
      },
    },
    {
      level: 'info',
      message: 'endpoint is no longer ejected',
      fields: {
        cluster_name: 'reviews',
        upstream_url: 'a',
        num_ejections: 1,
        action: 'UNEJECT',
        secs_since_last_action: 30,
      },
    },
    expect.objectContaining({ fields: expect.objectContaining({ num_ejections: 2, secs_since_last_action: 0 }) }),
  ]);
});
