import { beforeEach, expect, test } from 'vitest';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import { aReply } from '../../support/calls.js';
import { checkConfig, httpCheck } from '../../support/health.js';
import { failoverClient, leveled, once } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { outlierConfig } from '../../support/outliers.js';
import { aTarget } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const WATCH = '/grpc.health.v1.Health/Watch';

let client: ReturnType<typeof failoverClient>;
beforeEach(() => {
  client = failoverClient({ answer: (_endpoint, { path }) => (path === WATCH ? new Promise(() => {}) : aReply(503)) });
});

const use = async (kind: 'pick_first' | 'round_robin', more: Partial<ClusterConfig>): Promise<void> => {
  const balancer = kind === 'pick_first' ? ({ kind, shuffle: false } as const) : ({ kind } as const);
  const config = aTarget([once()], [leveled('reviews', [[A, B]], { ...more, balancer })]);
  const call = client.call();
  client.source.of('reviews').changed(config);
  await call;
  await settle();
};

const watched = (): string[] => client.sent.filter(({ call }) => call.path === WATCH).map(({ endpoint }) => endpoint);

/* gRFC A61: "we do not want either of these mechanisms to actually work when pick_first is used as an LB policy by itself". */

test('a health watch is there for every policy but pick_first (A17), and comes and goes with it', async () => {
  const healthWatch = { service: '' };
  await use('pick_first', { healthWatch });
  expect(watched()).toEqual([]);
  await use('round_robin', { healthWatch });
  expect(watched()).toEqual([A, B]);
  const streams = client.sent.filter(({ call }) => call.path === WATCH);
  await use('pick_first', { healthWatch });
  expect(streams.map(({ call }) => call.cancellation.cancelled)).toEqual([true, true]);
  expect(watched()).toHaveLength(2);
});

test('outlier detection ejects nobody under pick_first', async () => {
  const outlier = outlierConfig({ consecutive5xx: { count: 1, enforcing: 1 }, maxEjection: 1 });
  await use('pick_first', { outlier });
  for (let i = 0; i < 10; i++) await client.call();
  expect(new Set(client.took())).toEqual(new Set([A]));
  expect(client.events.filter(({ kind }) => kind === 'outlier:ejected')).toEqual([]);
  await use('round_robin', { outlier });
  for (let i = 0; i < 10; i++) await client.call();
  expect(client.events.filter(({ kind }) => kind === 'outlier:ejected').length).toBeGreaterThan(0);
});

test('an endpoint that falls ill after the first call is out after the interval and the threshold, not after no_traffic_interval', async () => {
  let ill = false;
  client = failoverClient({
    answer: (endpoint, { path }) => aReply(path === '/healthz' && ill && endpoint === B ? 503 : 200),
  });
  const check = checkConfig(httpCheck(), {
    intervalMs: 500,
    timeoutMs: 100,
    unhealthyThreshold: 2,
    noTrafficIntervalMs: 60_000,
  });
  const healthChecks = [{ ...check, check: httpCheck({ retriable: [{ start: 503, end: 504 }] }) }];
  await use('round_robin', { healthChecks });
  client.took();
  ill = true;
  await client.clock.advance(1_100);
  for (let i = 0; i < 4; i++) await client.call();
  expect(new Set(client.sent.filter(({ call }) => call.path !== '/healthz').map(({ endpoint }) => endpoint))).toEqual(
    new Set([A]),
  );
});
