import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { meshClient } from '../../../src/index.js';
import type { ResourceType } from '../../../src/core/resources.js';
import { adsService, type DiscoveryRequest, type DiscoveryResponse, loadCodec } from '../../../src/xds/wire/index.js';
import type { LoadMetricStats } from '../../../src/xds/lrs/messages.js';
import { type LrsStream, ScriptedLrs } from '../../support/scripted-lrs.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  resourceSet,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** Sums of the reports until so many calls are over: how many intervals they fall into is the machine's affair. */
async function reported(stream: LrsStream, calls: number): Promise<object> {
  const sums = {
    issued: 0,
    succeeded: 0,
    failed: 0,
    cpu: [0, 0] as [number, number],
    queue: [0, 0] as [number, number],
  };
  const add = (to: [number, number], metric: LoadMetricStats | undefined): void => {
    to[0] += metric?.num_requests_finished_with_metric ?? 0;
    to[1] += metric?.total_metric_value ?? 0;
  };
  while (sums.succeeded + sums.failed < calls) {
    const { cluster_stats = [] } = await stream.next();
    for (const cluster of cluster_stats) {
      expect(cluster.cluster_name).toBe('backend');
      for (const locality of cluster.upstream_locality_stats ?? []) {
        expect(locality.locality).toEqual({ region: 'r', zone: 'z' });
        sums.issued += locality.total_issued_requests;
        sums.succeeded += locality.total_successful_requests;
        sums.failed += locality.total_error_requests;
        add(sums.cpu, locality.cpu_utilization);
        const queue = locality.load_metric_stats?.find(({ metric_name: name }) => name === 'named_metrics.queue');
        add(sums.queue, queue);
      }
    }
  }
  return sums;
}

test('calls through a mesh are reported to the control plane that sent the cluster, with what their backend said of itself', async () => {
  const backend = createServer((request, response) => {
    response.statusCode = request.url === '/bad' ? 500 : 200;
    response.setHeader('endpoint-load-metrics', 'TEXT cpu_utilization:0.5,named_metrics.queue:2');
    response.end();
  }).listen(0, '127.0.0.1');
  await once(backend, 'listening');
  opened.push(() => {
    backend.closeAllConnections();
    backend.close();
  });
  const set = resourceSet({
    lds: [listenerResource('shop', 'routes')],
    rds: [routeResource('routes', [toCluster('backend')])],
    cds: [
      clusterResource('backend', {
        lrs_server: { self: {} },
        lrs_report_endpoint_metrics: ['cpu_utilization', 'named_metrics.*'],
      }),
    ],
    eds: [endpointResource('backend', (backend.address() as AddressInfo).port)],
  });
  const codec = await loadCodec();
  const server = await ScriptedLrs.start(0, (grpcServer) => {
    const { StreamAggregatedResources } = adsService(codec);
    grpcServer.addService(
      { StreamAggregatedResources },
      {
        StreamAggregatedResources: (call: grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) => {
          call.on('error', () => {});
          call.on('data', ({ type_url: type = '', response_nonce, resource_names: names = [] }: DiscoveryRequest) => {
            if (response_nonce !== undefined) return;
            const held = set[type as ResourceType];
            const resources = names.map((name) => held.get(name)).filter((each) => each !== undefined);
            const packed = resources.map((each) => ({ type_url: type, value: codec.encodeResource(type, each) }));
            call.write({ type_url: type, version_info: '1', nonce: 'n', resources: packed });
          });
        },
      },
    );
  });
  opened.push(() => server.close());
  const mesh = meshClient({ service: 'e2e', xds: server.uri, logger: silentLogger });
  opened.push(() => mesh.close());
  const ended = async (path: string): Promise<void> => void (await (await mesh.fetch(`http://shop${path}`)).text());
  await ended('/');
  const stream = await server.nextStream();
  expect((await stream.next()).node?.['client_features']).toContain('envoy.lrs.supports_send_all_clusters');
  stream.send({ send_all_clusters: true, load_reporting_interval: { seconds: 1, nanos: 0 } });
  await ended('/');
  await ended('/bad');
  expect(await reported(stream, 3)).toEqual({ issued: 3, succeeded: 2, failed: 1, cpu: [3, 1.5], queue: [3, 6] });
  await ended('/');
  await mesh.close();
  // What was not reported yet goes with the farewell.
  expect(await reported(stream, 1)).toMatchObject({ issued: 1, succeeded: 1 });
  await stream.ended;
});
