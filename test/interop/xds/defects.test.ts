import { subscribe } from 'node:diagnostics_channel';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { csds } from '../../../src/grpc.js';
import { type Mesh, type MeshOptions, meshClient } from '../../../src/index.js';
import { silentLogger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { FakeClock } from '../../support/fake-clock.js';
import { OpenAds, type Resources } from '../../support/open-ads.js';
import {
  clusterResource,
  endpointResource,
  lbEndpoint,
  listenerResource,
  locality,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import { startBackend } from './differential/backends.js';
import { FAIL, PATHS, SLEEP } from './differential/calls.js';

/*
 * The fifteen faults of @grpc/grpc-js-xds 1.14.1 that were seen by running it (docs/xds.md), each as it was brought about, and what must happen instead. The client is
 * a whole mesh; the control plane checks nothing.
 */

const codec = await loadCodec();
const [GET, LIST] = PATHS;
const NODE = 'defects';
const UNAVAILABLE = 14;
const WAIT = { timeout: 10_000 };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Outcome = { readonly reply: string } | { readonly status: number; readonly details: string };

interface World {
  readonly mesh: Mesh;
  readonly ads: OpenAds;
  readonly port: number;
  call(path: string, headers?: Readonly<Record<string, string>>): Promise<Outcome>;
  /** What of ours was refused, in one text. */
  refusals(): string;
}

let calls = 0;

/** A backend at `port`, a control plane with `resources`, and a mesh under it. */
async function world(
  resources: (port: number) => Resources,
  options: Omit<MeshOptions, 'xds'> = {},
  {
    server_features = [],
    ...plane
  }: Parameters<typeof OpenAds.start>[1] & { server_features?: readonly string[] } = {},
): Promise<World> {
  const backend = await startBackend('north');
  closers.push(() => backend.close());
  const { ads: open, port } = await OpenAds.start(resources(backend.port), plane);
  closers.push(() => open.close());
  const xds = {
    xds_servers: [{ server_uri: `127.0.0.1:${port}`, channel_creds: [{ type: 'insecure' }], server_features }],
    node: { id: NODE },
  };
  const mesh = meshClient({ logger: silentLogger, ...options, xds });
  closers.push(() => mesh.close());
  const client = mesh.grpc(Client as never, 'shop') as unknown as Client;
  return {
    mesh,
    ads: open,
    port: backend.port,
    call: (path, headers = {}) =>
      new Promise((resolve) => {
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        metadata.set('x-call-id', `${++calls}`);
        const done = (error: ServiceError | null, reply?: string): void =>
          resolve(error === null ? { reply: String(reply) } : { status: error.code, details: error.details });
        client.makeUnaryRequest(path, (bytes: Buffer) => bytes, String, Buffer.alloc(0), metadata, done);
      }),
    refusals: () => [...(open.refusals.get(NODE) ?? [])].join('\n'),
  };
}

/** `shop` with these routes and one cluster, `backend`. */
const shop =
  (routes: readonly Resource[], more: { hcm?: Resource; cluster?: Resource; virtualHost?: Resource } = {}) =>
  (port: number): Resources => ({
    [LISTENER]: [listenerResource('shop', 'routes', more.hcm)],
    [ROUTE]: [routeResource('routes', routes, more.virtualHost)],
    [CLUSTER]: [clusterResource('backend', more.cluster)],
    [ENDPOINT]: [endpointResource('backend', port)],
  });

const toBackend = (match: Resource = { prefix: '' }, action: Resource = {}): Resource =>
  toCluster('backend', match, action);
const answered: Outcome = { reply: 'north attempt 1' };
const unavailable = expect.objectContaining({ status: UNAVAILABLE });

describe('what kills or misleads grpc-js-xds', () => {
  test('1: a route with non_forwarding_action fails the calls that it matches and no others', async () => {
    const { call } = await world(shop([{ match: { path: LIST }, non_forwarding_action: {} }, toBackend()]));
    expect(await call(GET)).toEqual(answered);
    expect(await call(LIST)).toEqual(unavailable);
  });

  test('2: a safe_regex that does not compile is refused, and nothing throws', async () => {
    const { call, refusals } = await world(shop([toBackend({ safe_regex: { regex: '(' } }), toBackend()]));
    expect(await call(GET)).toEqual(unavailable);
    await vi.waitFor(() => expect(refusals()).toMatch(/"routes".*safe_regex/), WAIT);
  });

  test('3: a route with query_parameters is ignored', async () => {
    const absent = { prefix: '', query_parameters: [{ name: 'q', present_match: false }] };
    const { call } = await world(shop([{ match: absent, non_forwarding_action: {} }, toBackend()]));
    expect(await call(GET)).toEqual(answered);
  });

  test('4: present_match false matches where the header is absent, and nowhere else', async () => {
    const headers = [{ name: 'x-a', present_match: false }];
    const { call } = await world(shop([toBackend({ prefix: '', headers })]));
    expect(await call(GET)).toEqual(answered);
    expect(await call(GET, { 'x-a': 'here' })).toEqual(unavailable);
  });

  test('5: invert_match of a value does not match where the header is absent', async () => {
    const headers = [{ name: 'x-a', exact_match: 'blue', invert_match: true }];
    const { call } = await world(shop([toBackend({ prefix: '', headers })]));
    expect(await call(GET)).toEqual(unavailable);
    expect(await call(GET, { 'x-a': 'blue' })).toEqual(unavailable);
    expect(await call(GET, { 'x-a': 'green' })).toEqual(answered);
  });

  test('6: the listener’s max_stream_duration limits a call, and its idle_timeout does not', async () => {
    const options = (limit: Resource): { hcm: Resource } => ({ hcm: { common_http_protocol_options: limit } });
    const idle = await world(shop([toBackend()], options({ idle_timeout: { nanos: 1 } })));
    expect(await idle.call(GET, { [SLEEP]: '20' })).toEqual(answered);
    const limited = await world(shop([toBackend()], options({ max_stream_duration: { nanos: 50_000_000 } })));
    expect(await limited.call(GET, { [SLEEP]: '60000' })).toMatchObject({ status: 4 });
  });

  test('7: a back-off of 1 s waits no longer than 1.2 s', async () => {
    const clock = new FakeClock();
    const retry_policy = { retry_on: 'unavailable', retry_back_off: { base_interval: { seconds: 1 } } };
    const { call } = await world(shop([toBackend({ prefix: '' }, { retry_policy })]), {
      clock,
      // The longest wait that the policy allows.
      random: { next: () => 0.999_999, int: () => 0 },
    });
    expect(await call(GET)).toEqual(answered);
    const retrying = new Promise<unknown>((resolve) => subscribe('mesh:retry', resolve));
    const outcome = call(GET, { [FAIL]: `1;${UNAVAILABLE}` });
    await retrying;
    await clock.advance(1_200);
    expect(await outcome).toEqual({ reply: 'north attempt 2' });
  });

  test('8: retry_on is read without its spaces and in any case', async () => {
    const { call } = await world(
      shop([toBackend({ prefix: '' }, { retry_policy: { retry_on: 'cancelled, UNAVAILABLE' } })]),
    );
    expect(await call(GET, { [FAIL]: `1;${UNAVAILABLE}` })).toEqual({ reply: 'north attempt 2' });
  });

  test('9: every cluster that a load report server lists is reported, the first one too', async () => {
    const reports: Resource[] = [];
    const answer = { clusters: ['backend', 'other'], load_reporting_interval: { seconds: 1 } };
    const clock = new FakeClock();
    const [first, second] = ['/shop.Reviews/Get', '/shop.Reviews/List'];
    const { call } = await world(
      (port) => ({
        ...shop([toBackend({ path: first }), toCluster('other', { path: second })])(port),
        [CLUSTER]: ['backend', 'other'].map((name) => clusterResource(name, { lrs_server: { self: {} } })),
        [ENDPOINT]: ['backend', 'other'].map((name) => endpointResource(name, port)),
      }),
      { clock },
      { services: [loadReports(answer, reports)] },
    );
    expect(await Promise.all([call(first), call(second)])).toEqual([answered, answered]);
    const reported = (): unknown[] =>
      reports
        .flatMap((report) => (report['cluster_stats'] as readonly Resource[] | undefined) ?? [])
        .map((stats) => stats['cluster_name']);
    await vi.waitFor(async () => {
      await clock.advance(1_000);
      expect(new Set(reported())).toEqual(new Set(['backend', 'other']));
    }, WAIT);
  });

  test('10: a cluster that was deleted and comes back with the same bytes serves again', async () => {
    // Without the feature a deletion changes nothing (A88).
    const { call, ads: plane } = await world(shop([toBackend()]), {}, { server_features: ['fail_on_data_errors'] });
    expect(await call(GET)).toEqual(answered);
    plane.drop(CLUSTER, 'backend');
    await vi.waitFor(async () => expect(await call(GET)).toEqual(unavailable), WAIT);
    plane.put(CLUSTER, clusterResource('backend'));
    await vi.waitFor(async () => expect(await call(GET)).toEqual(answered), WAIT);
  });

  test('11: a control plane that ends its stream seven times after answering is asked again at once, and no call fails', async () => {
    const clock = new FakeClock();
    const { call, ads: plane } = await world(shop([toBackend()]), { clock });
    expect(await call(GET)).toEqual(answered);
    for (let streams = 2; streams <= 8; streams++) {
      plane.endStreams();
      // Each time the same second, whereas a back-off would have grown to 24 s.
      await vi.waitFor(async () => {
        await clock.advance(100);
        expect(plane.streams).toBe(streams);
      }, WAIT);
      expect(await call(GET)).toEqual(answered);
    }
    expect(clock.now()).toBeLessThan(30_000);
  });

  test('12: of 20 calls in one turn against max_requests 3, three get through', async () => {
    const { call } = await world(
      shop([toBackend()], { cluster: { circuit_breakers: { thresholds: [{ max_requests: { value: 3 } }] } } }),
    );
    expect(await call(GET)).toEqual(answered);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => call(GET, { [SLEEP]: '50' })));
    expect(outcomes.filter((outcome) => 'reply' in outcome)).toHaveLength(3);
    expect(outcomes.filter((outcome) => 'status' in outcome && outcome.status === UNAVAILABLE)).toHaveLength(17);
  });

  test.each<[string, Partial<Resources>, RegExp]>([
    [
      'http_filters that are empty',
      { [LISTENER]: [listenerResource('shop', 'routes', { http_filters: [] })] },
      /http_filters/,
    ],
    [
      'a filter without a name',
      { [LISTENER]: [listenerResource('shop', 'routes', { http_filters: [{ typed_config: router() }] })] },
      /http_filters\[0\]\.name/,
    ],
    [
      'filters of one name',
      {
        [LISTENER]: [
          listenerResource('shop', 'routes', {
            http_filters: [
              { name: 'a', typed_config: fault() },
              { name: 'a', typed_config: router() },
            ],
          }),
        ],
      },
      /name: must not be repeated in http_filters, got "a"/,
    ],
    [
      'an endpoint of weight 0',
      {
        [ENDPOINT]: [
          {
            cluster_name: 'backend',
            endpoints: [locality([lbEndpoint('127.0.0.1', 1, { load_balancing_weight: { value: 0 } })])],
          },
        ],
      },
      /load_balancing_weight/,
    ],
  ])('13: %s: refused', async (_, spoiled, detail) => {
    const { call, refusals } = await world((port) => ({ ...shop([toBackend()])(port), ...spoiled }));
    expect(await call(GET)).toEqual(unavailable);
    await vi.waitFor(() => expect(refusals()).toMatch(detail), WAIT);
  });

  test('14: CSDS names types in full, says its scope, and shows of a refused update what was refused', async () => {
    const { mesh, call, ads: plane, refusals } = await world(shop([toBackend()]));
    expect(await call(GET)).toEqual(answered);
    plane.put(ROUTE, routeResource('routes', [toBackend({ safe_regex: { regex: '(' } })]));
    await vi.waitFor(() => expect(refusals()).not.toBe(''), WAIT);
    const server = new Server();
    server.addService(...csds(mesh));
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    closers.push(() => server.forceShutdown());
    const status = await clientStatus(port);
    const [config] = status['config'] as readonly Resource[];
    expect(config).toMatchObject({ node: { id: NODE }, client_scope: expect.stringMatching(/./) });
    const entries = config?.['generic_xds_configs'] as readonly Resource[];
    expect(entries.map((entry) => entry['type_url']).sort()).toEqual([CLUSTER, ENDPOINT, LISTENER, ROUTE].sort());
    const route = entries.find((entry) => entry['type_url'] === ROUTE);
    expect(route).toMatchObject({
      client_status: 'NACKED',
      xds_config: { virtual_hosts: [{ routes: [{ match: { prefix: '' } }] }] },
    });
    expect(route?.['error_state']).toMatchObject({
      failed_configuration: { virtual_hosts: [{ routes: [{ match: { safe_regex: { regex: '(' } } }] }] },
      details: expect.stringContaining('safe_regex'),
    });
  });

  test('15: resources in a Resource wrapper and a LEAST_REQUEST cluster are accepted', async () => {
    const { call, refusals } = await world(
      shop([toBackend()], { cluster: { lb_policy: 'LEAST_REQUEST' } }),
      {},
      { wrap: true },
    );
    expect(await call(GET)).toEqual(answered);
    expect(refusals()).toBe('');
  });
});

function router(): Resource {
  return { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' };
}

/** One that injects nothing. */
function fault(): Resource {
  return { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault' };
}

/** A load reporting service that gives one answer and keeps what it is told. */
function loadReports(answer: Resource, reports: Resource[]): [ServiceDefinition, UntypedServiceImplementation] {
  const method = {
    path: '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats',
    requestStream: true,
    responseStream: true,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => codec.decodeMessage('envoy.service.load_stats.v3.LoadStatsRequest', bytes),
    responseSerialize: (message: Resource) =>
      Buffer.from(codec.encodeMessage('envoy.service.load_stats.v3.LoadStatsResponse', message)),
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  return [
    { StreamLoadStats: method },
    {
      StreamLoadStats(call: ServerDuplexStream<Resource, Resource>) {
        call.on('error', () => {});
        call.on('end', () => call.end());
        call.on('data', (request: Resource) => {
          if (request['node'] !== undefined) call.write(answer);
          reports.push(request);
        });
      },
    },
  ];
}

async function clientStatus(port: number): Promise<Resource> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    return await new Promise<Resource>((resolve, reject) => {
      client.makeUnaryRequest(
        '/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => codec.decodeMessage('envoy.service.status.v3.ClientStatusResponse', bytes) as Resource,
        Buffer.alloc(0),
        (error, reply) => (error === null ? resolve(reply as Resource) : reject(error)),
      );
    });
  } finally {
    client.close();
  }
}
