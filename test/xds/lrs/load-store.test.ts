import { expect, test } from 'vitest';
import type { Locality } from '../../../src/core/model/endpoint.js';
import { LoadStore } from '../../../src/xds/lrs/load-store.js';
import { loadStatsRequest } from '../../../src/xds/lrs/report.js';
import { MAX_UNHELD, type ServerLoads, UNHELD_KEPT_MS } from '../../../src/xds/lrs/server-loads.js';
import { MAX_DROP_CATEGORIES } from '../../../src/xds/lrs/cluster-account.js';
import { FakeClock } from '../../support/fake-clock.js';

const ZONE_A: Locality = { region: 'eu', zone: 'a', subZone: '' };
const ZONE_B: Locality = { region: 'eu', zone: 'b', subZone: '1' };
const TO_S1 = { server: 's1', metrics: [] };

function open(): { store: LoadStore; s1: ServerLoads; clock: FakeClock; told: boolean[] } {
  const clock = new FakeClock();
  const told: boolean[] = [];
  const store = new LoadStore(clock, (loads) => told.push(loads.needed));
  return { store, s1: store.loads('s1'), clock, told };
}

const all = (): boolean => true;
const report = (loads: ServerLoads): unknown => loadStatsRequest(loads.take(all)).cluster_stats;

test('counts by cluster, EDS service and locality, and says how long the interval was', async () => {
  const { store, s1, clock } = open();
  const cluster = store.cluster('shop', 'shop-eds', TO_S1);
  const a = cluster.locality(ZONE_A);
  const b = cluster.locality(ZONE_B);
  for (let i = 0; i < 3; i++) a.started();
  a.finished(true, undefined);
  a.finished(false, undefined);
  b.started();
  cluster.dropped('overload');
  cluster.dropped('overload');
  cluster.dropped(undefined);
  await clock.advance(1_500);
  expect(report(s1)).toEqual([
    {
      cluster_name: 'shop',
      cluster_service_name: 'shop-eds',
      upstream_locality_stats: [
        {
          locality: { region: 'eu', zone: 'a' },
          total_issued_requests: 3,
          total_successful_requests: 1,
          total_error_requests: 1,
          total_requests_in_progress: 1,
          load_metric_stats: [],
        },
        {
          locality: { region: 'eu', zone: 'b', sub_zone: '1' },
          total_issued_requests: 1,
          total_successful_requests: 0,
          total_error_requests: 0,
          total_requests_in_progress: 1,
          load_metric_stats: [],
        },
      ],
      total_dropped_requests: 3,
      dropped_requests: [{ category: 'overload', dropped_count: 2 }],
      load_report_interval: { seconds: 1, nanos: 500_000_000 },
    },
  ]);
});

test('a report has what happened since the one before, and calls under way until they end', async () => {
  const { store, s1, clock } = open();
  const a = store.cluster('shop', undefined, TO_S1).locality(ZONE_A);
  a.started();
  report(s1);
  await clock.advance(1_000);
  expect(report(s1)).toMatchObject([
    { upstream_locality_stats: [{ total_issued_requests: 0, total_requests_in_progress: 1 }] },
  ]);
  a.finished(true, undefined);
  expect(report(s1)).toMatchObject([
    { upstream_locality_stats: [{ total_successful_requests: 1, total_requests_in_progress: 0 }] },
  ]);
});

test('what was started and never left is not counted, neither as issued nor as under way', () => {
  const { store, s1 } = open();
  const a = store.cluster('shop', undefined, TO_S1).locality(ZONE_A);
  a.started();
  a.started();
  a.unsent();
  a.finished(true, undefined);
  const counts = { total_issued_requests: 1, total_successful_requests: 1, total_requests_in_progress: 0 };
  expect(report(s1)).toMatchObject([{ upstream_locality_stats: [counts] }]);
});

test('a cluster that did nothing is reported as such, without localities', () => {
  const { store, s1 } = open();
  store.cluster('shop', undefined, TO_S1).locality(ZONE_A);
  expect(report(s1)).toMatchObject([{ cluster_name: 'shop', upstream_locality_stats: [], total_dropped_requests: 0 }]);
});

test('the same cluster, service and server have one account; another of them has another', () => {
  const { store, s1 } = open();
  const first = store.cluster('shop', 'eds', TO_S1);
  expect(store.cluster('shop', 'eds', TO_S1)).toBe(first);
  expect(store.cluster('shop', 'other', TO_S1)).not.toBe(first);
  expect(store.cluster('shop', 'eds', { ...TO_S1, server: 's2' })).not.toBe(first);
  expect(s1.size).toBe(2);
  expect(store.loads('s2').size).toBe(1);
});

test('A85: handles that differ in the metrics they report share one account', () => {
  const { store, s1 } = open();
  const cpu = store.cluster('shop', undefined, { server: 's1', metrics: ['cpu_utilization'] }).locality(ZONE_A);
  const none = store.cluster('shop', undefined, TO_S1).locality(ZONE_A);
  expect([cpu.wantsMetrics, none.wantsMetrics]).toEqual([true, false]);
  const metrics = {
    cpuUtilization: 0.5,
    memUtilization: 0,
    applicationUtilization: 0,
    rps: 0,
    eps: 0,
    utilization: {},
    requestCost: {},
    namedMetrics: { a: 1 },
  };
  for (const locality of [cpu, none]) {
    locality.started();
    locality.finished(false, metrics);
  }
  expect(report(s1)).toMatchObject([
    {
      upstream_locality_stats: [
        {
          total_error_requests: 2,
          cpu_utilization: { num_requests_finished_with_metric: 1, total_metric_value: 0.5 },
          load_metric_stats: [],
        },
      ],
    },
  ]);
});

test('an account stays until its last holder has given it back and everything was reported', () => {
  const { store, s1, told } = open();
  const first = store.cluster('shop', undefined, TO_S1);
  const second = store.cluster('shop', undefined, TO_S1);
  const a = first.locality(ZONE_A);
  a.started();
  first.release();
  report(s1);
  expect(s1.needed).toBe(true);
  second.release();
  expect(s1.needed).toBe(true);
  a.finished(true, undefined);
  expect(report(s1)).toMatchObject([{ upstream_locality_stats: [{ total_successful_requests: 1 }] }]);
  expect(s1.needed).toBe(false);
  expect(told).toEqual([true, false]);
});

test('an account in which nothing was counted goes when it is given back, and giving it back twice is harmless', () => {
  const { store, s1 } = open();
  const cluster = store.cluster('shop', undefined, TO_S1);
  cluster.release();
  expect(s1.size).toBe(0);
  const other = store.cluster('shop', undefined, TO_S1);
  cluster.release();
  expect(s1.size).toBe(1);
  other.release();
  expect(s1.size).toBe(0);
});

test('a call that begins after its cluster was given back and reported is counted all the same', () => {
  const { store, s1 } = open();
  const cluster = store.cluster('shop', undefined, TO_S1);
  const a = cluster.locality(ZONE_A);
  cluster.release();
  a.started();
  expect(report(s1)).toMatchObject([{ upstream_locality_stats: [{ total_requests_in_progress: 1 }] }]);
  a.finished(true, undefined);
  expect(report(s1)).toMatchObject([{ upstream_locality_stats: [{ total_successful_requests: 1 }] }]);
  expect(s1.size).toBe(0);
});

test('a locality that was idle for an interval is counted when it wakes, by whoever has a handle', () => {
  const { store, s1 } = open();
  const cluster = store.cluster('shop', undefined, TO_S1);
  const old = cluster.locality(ZONE_A);
  old.started();
  old.finished(true, undefined);
  report(s1);
  report(s1);
  cluster.locality(ZONE_A).started();
  old.started();
  expect(report(s1)).toMatchObject([
    { upstream_locality_stats: [{ total_issued_requests: 2, total_requests_in_progress: 2 }] },
  ]);
});

test('what could not be sent is in the next report, with the interval in which it happened', async () => {
  const { store, s1, clock } = open();
  const cluster = store.cluster('shop', undefined, TO_S1);
  const a = cluster.locality(ZONE_A);
  a.started();
  cluster.dropped('x');
  cluster.release();
  await clock.advance(1_000);
  const taken = s1.take(all);
  a.finished(true, undefined);
  s1.putBack(taken);
  await clock.advance(1_000);
  expect(report(s1)).toMatchObject([
    {
      upstream_locality_stats: [{ total_issued_requests: 1, total_successful_requests: 1 }],
      dropped_requests: [{ category: 'x', dropped_count: 1 }],
      load_report_interval: { seconds: 2, nanos: 0 },
    },
  ]);
  expect(s1.size).toBe(0);
});

test('a cluster that the server did not want starts from nothing when it does', async () => {
  const { store, s1, clock } = open();
  const a = store.cluster('shop', undefined, TO_S1).locality(ZONE_A);
  a.started();
  await clock.advance(5_000);
  expect(s1.take(() => false)).toEqual([]);
  a.finished(true, undefined);
  await clock.advance(1_000);
  expect(report(s1)).toMatchObject([
    {
      upstream_locality_stats: [{ total_issued_requests: 0, total_successful_requests: 1 }],
      load_report_interval: { seconds: 1 },
    },
  ]);
});

test('accounts that nobody holds and nobody fetches have a limit, and an age', async () => {
  const { store, s1, clock } = open();
  for (let i = 0; i < MAX_UNHELD + 10; i++) {
    const cluster = store.cluster(`c${i}`, undefined, TO_S1);
    cluster.dropped('x');
    cluster.release();
  }
  expect(s1.size).toBe(MAX_UNHELD);
  expect((report(s1) as { cluster_name: string }[])[0]?.cluster_name).toBe('c10');
  const cluster = store.cluster('late', undefined, TO_S1);
  const a = cluster.locality(ZONE_A);
  a.started();
  cluster.release();
  await clock.advance(UNHELD_KEPT_MS);
  s1.expire();
  expect(s1.size).toBe(1);
  a.finished(true, undefined);
  s1.expire();
  expect(s1.size).toBe(0);
});

test('accounts that somebody holds are not limited by those that nobody does', () => {
  const { store, s1 } = open();
  const held = store.cluster('held', undefined, TO_S1);
  for (let i = 0; i < MAX_UNHELD + 10; i++) {
    const cluster = store.cluster(`c${i}`, undefined, TO_S1);
    cluster.dropped('x');
    cluster.release();
  }
  held.dropped(undefined);
  expect(report(s1)).toContainEqual(expect.objectContaining({ cluster_name: 'held', total_dropped_requests: 1 }));
});

test('categories of drops have a limit; drops beyond it are in the total', () => {
  const { store, s1 } = open();
  const cluster = store.cluster('shop', undefined, TO_S1);
  for (let i = 0; i < MAX_DROP_CATEGORIES + 5; i++) cluster.dropped(`c${i}`);
  const [stats] = report(s1) as { dropped_requests: unknown[]; total_dropped_requests: number }[];
  expect(stats?.dropped_requests.length).toBe(MAX_DROP_CATEGORIES);
  expect(stats?.total_dropped_requests).toBe(MAX_DROP_CATEGORIES + 5);
});
