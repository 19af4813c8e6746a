import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClusterLoad, LocalityLoad } from '../../../src/core/load-reports.js';
import type { BackendMetrics } from '../../../src/core/orca.js';
import type { StreamHandlers } from '../../../src/xds/client/transport.js';
import type { ClusterStats, LoadStatsResponse } from '../../../src/xds/lrs/messages.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { settle } from '../../support/fake-clock.js';
import { type Harness, start } from './harness.js';

/*
 * Whatever happens to the stream, and in whatever order: what was counted for a cluster that the server wants is reported exactly once. The
 * server is one in memory, so that a run can stop a report half way; a request counts as received when it left, as LRS has it.
 */

const codec = await loadCodec();
const PACKAGE = 'envoy.service.load_stats.v3';
const CLUSTERS = ['always', 'also', 'sometimes'] as const;
const ZONES = ['a', 'b'].map((zone) => ({ region: 'eu', zone, subZone: '' }));
const KINDS = ['issued', 'succeeded', 'failed', 'dropped', 'metric', 'metricRequests'] as const;
type Kind = (typeof KINDS)[number];

/** Sums by cluster and kind. */
class Sums {
  readonly #sums = new Map<string, number>();
  add(cluster: string, kind: Kind, amount: number | undefined): void {
    this.#sums.set(`${cluster} ${kind}`, this.of(cluster, kind) + (amount ?? 0));
  }
  of(cluster: string, kind: Kind): number {
    return this.#sums.get(`${cluster} ${kind}`) ?? 0;
  }
  all(cluster: string): number[] {
    return KINDS.map((kind) => this.of(cluster, kind));
  }
}

/** The far end: takes what is written when it is told to. */
class Server {
  readonly received = new Sums();
  /** Reported, although it was not wanted when it was. */
  readonly unwanted: string[] = [];
  #handlers: StreamHandlers | undefined;
  #waiting: { readonly bytes: Uint8Array; readonly written: () => void } | undefined;
  #wanted: ReadonlySet<string> = new Set();

  readonly transport = async () => (_: string, handlers: StreamHandlers) => {
    this.#handlers = handlers;
    this.#waiting = undefined;
    queueMicrotask(() => handlers.connected());
    return {
      send: (bytes: Uint8Array, written: () => void): void => {
        this.#waiting = { bytes, written };
      },
      read() {},
      close: (): void => {
        if (this.#handlers === handlers) this.#handlers = undefined;
      },
    };
  };

  get open(): boolean {
    return this.#handlers !== undefined;
  }

  /** The request that waits leaves, and arrives. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    const request = codec.decodeMessage(`${PACKAGE}.LoadStatsRequest`, waiting.bytes) as {
      cluster_stats?: readonly ClusterStats[];
    };
    for (const stats of request.cluster_stats ?? []) this.#receive(stats);
    waiting.written();
  }

  answer(wanted: readonly string[], all: boolean, seconds: number): void {
    // What waits was made for the answer before: it leaves first, as it would on a stream.
    this.flush();
    this.#wanted = new Set(wanted);
    const response: LoadStatsResponse = {
      ...(all ? { send_all_clusters: true } : { clusters: wanted }),
      load_reporting_interval: { seconds, nanos: 0 },
    };
    this.#handlers?.message(codec.encodeMessage(`${PACKAGE}.LoadStatsResponse`, response));
  }

  end(code: number): void {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    this.#waiting = undefined;
    handlers?.ended({ code, details: '' });
  }

  #receive(stats: ClusterStats): void {
    const { cluster_name: name } = stats;
    if (!this.#wanted.has(name)) this.unwanted.push(name);
    this.received.add(name, 'dropped', stats.total_dropped_requests);
    for (const locality of stats.upstream_locality_stats ?? []) {
      this.received.add(name, 'issued', locality.total_issued_requests);
      this.received.add(name, 'succeeded', locality.total_successful_requests);
      this.received.add(name, 'failed', locality.total_error_requests);
      for (const metric of locality.load_metric_stats ?? []) {
        this.received.add(name, 'metric', metric.total_metric_value);
        this.received.add(name, 'metricRequests', metric.num_requests_finished_with_metric);
      }
    }
  }
}

const metricsOf = (a: number): BackendMetrics => ({
  cpuUtilization: 0,
  memUtilization: 0,
  applicationUtilization: 0,
  rps: 0,
  eps: 0,
  utilization: {},
  requestCost: {},
  namedMetrics: { a },
});

/** The near end: counts, and writes down what it counted. */
class Workload {
  readonly recorded = new Sums();
  readonly #held = new Map<string, ClusterLoad>();
  readonly #calls: { readonly cluster: string; readonly locality: LocalityLoad }[] = [];

  constructor(private readonly harness: Harness) {}

  start(cluster: string, zone: number): void {
    const locality = this.#cluster(cluster).locality(ZONES[zone] as (typeof ZONES)[number]);
    locality.started();
    this.recorded.add(cluster, 'issued', 1);
    this.#calls.push({ cluster, locality });
  }

  finish(index: number, succeeded: boolean, metric: number | undefined): void {
    const [call] = this.#calls.splice(index % Math.max(1, this.#calls.length), 1);
    if (call === undefined) return;
    call.locality.finished(succeeded, metric === undefined ? undefined : metricsOf(metric));
    this.recorded.add(call.cluster, succeeded ? 'succeeded' : 'failed', 1);
    if (metric !== undefined) this.recorded.add(call.cluster, 'metric', metric);
    if (metric !== undefined) this.recorded.add(call.cluster, 'metricRequests', 1);
  }

  drop(cluster: string, category: string | undefined): void {
    this.#cluster(cluster).dropped(category);
    this.recorded.add(cluster, 'dropped', 1);
  }

  release(cluster: string): void {
    this.#held.get(cluster)?.release();
    this.#held.delete(cluster);
  }

  end(): void {
    while (this.#calls.length > 0) this.finish(0, true, undefined);
    for (const cluster of CLUSTERS) this.release(cluster);
  }

  #cluster(name: string): ClusterLoad {
    let cluster = this.#held.get(name);
    if (cluster === undefined) {
      const { reporter, config } = this.harness;
      cluster = reporter.recorder.cluster(name, undefined, { ...config, metrics: ['named_metrics.*'] });
      this.#held.set(name, cluster);
    }
    return cluster;
  }
}

type Step = (workload: Workload, server: Server, harness: Harness) => void | Promise<void>;

const cluster = fc.constantFrom(...CLUSTERS);
const wantedFor = (sometimes: boolean): readonly string[] => (sometimes ? CLUSTERS : CLUSTERS.slice(0, 2));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(cluster, fc.nat(1)).map(
      ([name, zone]): Step =>
        (w) =>
          w.start(name, zone),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(), fc.boolean(), fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined })).map(
      ([index, succeeded, metric]): Step =>
        (w) =>
          w.finish(index, succeeded, metric),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(cluster, fc.constantFrom('x', 'y', undefined)).map(
      ([name, category]): Step =>
        (w) =>
          w.drop(name, category),
    ),
  },
  {
    weight: 2,
    arbitrary: cluster.map(
      (name): Step =>
        (w) =>
          w.release(name),
    ),
  },
  {
    weight: 5,
    arbitrary: fc.integer({ min: 1, max: 5_000 }).map(
      (ms): Step =>
        (_, __, h) =>
          h.clock.advance(ms),
    ),
  },
  { weight: 5, arbitrary: fc.constant<Step>((_, server) => server.flush()) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.boolean(), fc.boolean(), fc.integer({ min: 0, max: 2 })).map(
      ([sometimes, all, seconds]): Step =>
        (_, server) =>
          server.answer(wantedFor(sometimes || all), all, seconds),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(0, 2, 14).map(
      (code): Step =>
        (_, server) =>
          server.end(code),
    ),
  },
);

/** Lets the reporter go on until it has nothing left to say. */
async function drain(server: Server, harness: Harness): Promise<void> {
  for (let quiet = 0; quiet < 3; ) {
    await settle();
    if (!server.open && harness.clock.pending === 0) quiet++;
    else quiet = 0;
    if (server.open) server.answer(CLUSTERS, true, 1);
    server.flush();
    await harness.clock.advance(1_000);
  }
}

test('what is recorded for a cluster that is wanted is reported once, whatever happens on the way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
      const server = new Server();
      const harness = start('127.0.0.1:1', server.transport);
      const workload = new Workload(harness);
      // A stream that is up: what follows may break it, and mend it, and break it again.
      workload.start('always', 0);
      await settle();
      server.answer(CLUSTERS, true, 1);
      for (const run of steps) {
        await run(workload, server, harness);
        await settle();
      }
      workload.end();
      await drain(server, harness);
      for (const name of ['always', 'also']) expect(server.received.all(name)).toEqual(workload.recorded.all(name));
      for (const kind of KINDS) {
        expect(server.received.of('sometimes', kind)).toBeLessThanOrEqual(workload.recorded.of('sometimes', kind));
      }
      expect(server.unwanted).toEqual([]);
      await harness.reporter.close();
      expect(harness.clock.pending).toBe(0);
    }),
    { numRuns: 300 },
  );
});
