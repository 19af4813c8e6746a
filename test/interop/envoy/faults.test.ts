import http from 'node:http';
import http2 from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any, toCluster } from '../../support/xds-resources.js';
import { Both, type Side } from './both.js';
import { envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/* The same HTTPFault, asked for by the same requests: status, type and presence of a body, what reaches the service. All of it is certain, by shares of all or nothing. */

const FAULT = 'envoy.filters.http.fault';
const ALL = { percentage: { numerator: 100 } };
const NONE = { percentage: { numerator: 0 } };
const fault = (fields: Resource): Resource => any('envoy.extensions.filters.http.fault.v3.HTTPFault', fields);
const route = (fields: Resource, more: Resource = {}): Resource[] => [
  { ...toCluster('service'), typed_per_filter_config: { [FAULT]: fault(fields) }, ...more },
];
const abort = (fields: Resource): Resource => ({ abort: { ...fields, ...ALL } });
const exactly = (name: string, exact: string): Resource => ({ name, string_match: { exact } });
const header = (key: string, value: string): Resource => ({ header: { key, value } });

const TABLES: Readonly<Record<string, Resource[]>> = {
  nothing: route({}),
  headers: route({
    abort: { header_abort: {}, ...ALL },
    delay: { header_delay: {}, ...ALL },
    response_rate_limit: { header_limit: {}, ...ALL },
  }),
  'headers-none': route({ abort: { header_abort: {}, ...NONE } }),
  'headers-million': route({
    abort: { header_abort: {}, percentage: { numerator: 1_000_000, denominator: 'MILLION' } },
  }),
  'headers-over': route({ abort: { header_abort: {}, percentage: { numerator: 250 } } }),
  unsaid: route({ abort: { http_status: 503 } }),
  'http-503': route(abort({ http_status: 503 })),
  'http-200': route(abort({ http_status: 200 })),
  'http-404': route(abort({ http_status: 404 })),
  'grpc-5': route(abort({ grpc_status: 5 })),
  'grpc-0': route(abort({ grpc_status: 0 })),
  'grpc-14': route(abort({ grpc_status: 14 })),
  matched: route({ ...abort({ http_status: 503 }), headers: [exactly('x-user', 'tester'), exactly(':method', 'GET')] }),
  nodes: route({ ...abort({ http_status: 503 }), downstream_nodes: ['node-1', 'node-2'] }),
  'its-cluster': route({ ...abort({ http_status: 503 }), upstream_cluster: 'service' }),
  'no-cluster': route({ ...abort({ http_status: 503 }), upstream_cluster: 'other' }),
  full: route({ ...abort({ http_status: 503 }), max_active_faults: { value: 0 } }),
  room: route({ ...abort({ http_status: 503 }), max_active_faults: { value: 1 } }),
  delayed: route({ delay: { fixed_delay: { nanos: 1_000_000 }, ...ALL }, ...abort({ http_status: 429 }) }),
  // What the route makes of a request comes after.
  changed: route(
    { ...abort({ http_status: 503 }), headers: [exactly('x-user', 'tester')] },
    { request_headers_to_add: [header('x-user', 'tester')], response_headers_to_add: [header('x-route', 'changed')] },
  ),
  rewritten: [
    {
      ...toCluster('service', { prefix: '/' }, { prefix_rewrite: '/new/' }),
      typed_per_filter_config: {
        [FAULT]: fault({ ...abort({ http_status: 503 }), headers: [exactly(':path', '/old')] }),
      },
    },
  ],
  direct: [
    {
      match: { prefix: '/' },
      direct_response: { status: 201, body: { inline_string: 'direct' } },
      typed_per_filter_config: { [FAULT]: fault(abort({ http_status: 503 })) },
    },
  ],
  redirected: [
    {
      match: { prefix: '/' },
      redirect: { path_redirect: '/new' },
      typed_per_filter_config: { [FAULT]: fault(abort({ http_status: 503 })) },
    },
  ],
};

const ABORT = 'x-envoy-fault-abort-request';
const GRPC = 'x-envoy-fault-abort-grpc-request';
const PERCENTAGE = 'x-envoy-fault-abort-request-percentage';
const DELAY = 'x-envoy-fault-delay-request';
const THROUGHPUT = 'x-envoy-fault-throughput-response';

type Asked = readonly [table: string, headers: Readonly<Record<string, string>>];

/** Asked over HTTP/1.1. */
const HTTP: readonly Asked[] = [
  ['nothing', { [ABORT]: '503' }],
  ['headers', {}],
  ...[
    '503',
    '418',
    '200',
    '599',
    '199',
    '600',
    '0',
    '-1',
    '',
    'x',
    '5e2',
    '503.0',
    '+503',
    ' 503 ',
    '00503',
    '5 03',
  ].map((status): Asked => ['headers', { [ABORT]: status }]),
  ...['0', '100', '101', '-1', 'x', '', '0.5', '5000000000', '+0', '-0', '00'].flatMap((percentage): Asked[] => [
    ['headers', { [ABORT]: '503', [PERCENTAGE]: percentage }],
    ['headers-none', { [ABORT]: '503', [PERCENTAGE]: percentage }],
  ]),
  ['headers-million', { [ABORT]: '503', [PERCENTAGE]: '1000000' }],
  ['headers-million', { [ABORT]: '503', [PERCENTAGE]: '0' }],
  ['headers-over', { [ABORT]: '503' }],
  ['headers', { [PERCENTAGE]: '100' }],
  ['headers', { [DELAY]: '1' }],
  ...['0', 'x', '', '-1'].map((ms): Asked => ['headers', { [DELAY]: ms }]),
  ['headers', { [DELAY]: '1', [ABORT]: '429' }],
  ['headers', { [DELAY]: '1', [ABORT]: '429', [PERCENTAGE]: '0' }],
  ...['1', '1000', '0', 'x', '-1'].map((speed): Asked => ['headers', { [THROUGHPUT]: speed }]),
  ['unsaid', {}],
  ['http-503', {}],
  ['http-200', {}],
  ['http-404', {}],
  ['matched', {}],
  ['matched', { 'x-user': 'tester' }],
  ['matched', { 'x-user': 'somebody' }],
  ['nodes', {}],
  ['nodes', { 'x-envoy-downstream-service-node': 'node-2' }],
  ['nodes', { 'x-envoy-downstream-service-node': 'node-3' }],
  ['its-cluster', {}],
  ['no-cluster', {}],
  ['full', {}],
  ['room', {}],
  ['delayed', {}],
  ['changed', {}],
  ['changed', { 'x-user': 'tester' }],
  ['rewritten', {}],
  ['direct', {}],
  ['redirected', {}],
];

/** Asked by gRPC clients; all of these are aborted. */
const RPC: readonly Asked[] = [
  ['http-503', {}],
  ['http-200', {}],
  ['http-404', {}],
  ['grpc-5', {}],
  ['grpc-0', {}],
  ['grpc-14', {}],
  ['headers', { [ABORT]: '429' }],
  ['headers', { [GRPC]: '7' }],
  ['headers', { [ABORT]: '429', [GRPC]: '7' }],
  ['headers', { [ABORT]: '99', [GRPC]: '7' }],
  ['changed', { 'x-user': 'tester' }],
  ['delayed', {}],
];

interface Answer {
  readonly status: unknown;
  readonly type: unknown;
  readonly served: boolean;
  readonly body: 'none' | 'some';
  readonly route: unknown;
  readonly location: unknown;
}

function overHttp(
  port: number,
  host: string,
  headers: Readonly<Record<string, string>>,
  path = '/old',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.get(
      { host: '127.0.0.1', port, path, headers: { host, ...headers }, agent: false },
      async (reply) => {
        let body = '';
        for await (const chunk of reply) body += String(chunk);
        const { 'content-type': type, 'x-route': way, location } = reply.headers;
        const served = body === 'served';
        // What says why says it in its own words.
        const at = location?.replace(/^http:\/\/[^/]*/, '');
        resolve({
          status: reply.statusCode,
          type,
          served,
          body: body === '' ? 'none' : 'some',
          route: way,
          location: at,
        });
      },
    );
    request.on('error', reject);
  });
}

interface RpcAnswer {
  readonly status: unknown;
  readonly type: unknown;
  readonly grpcStatus: unknown;
  readonly message: boolean;
  readonly route: unknown;
}

function overGrpc(port: number, host: string, headers: Readonly<Record<string, string>>): Promise<RpcAnswer> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Echo/Get',
      ':authority': host,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', reject);
    stream.on('response', (head) => {
      session.destroy();
      resolve({
        status: head[':status'],
        type: head['content-type'],
        grpcStatus: head['grpc-status'],
        message: head['grpc-message'] !== undefined,
        route: head['x-route'],
      });
    });
    stream.end();
  });
}

describe.skipIf(envoyBinary === undefined)('beside Envoy, a fault', () => {
  let both: Both;

  beforeAll(async () => {
    both = await Both.start({
      tables: TABLES,
      backends: 1,
      clusters: (ports) => [staticCluster('service', ports), staticCluster('other', ports)],
      filters: [{ name: FAULT, typed_config: fault({}) }],
    });
  });
  afterAll(() => both?.close());

  const http1 = (table: string, headers: Readonly<Record<string, string>>) =>
    both.each((side: Side) => overHttp(side.port(table), table, headers));

  test.each(HTTP)('%s, asked with %j', async (table, headers) => {
    const [theirs, ours] = await http1(table, headers);
    expect(ours).toEqual(theirs);
  });

  test.each(RPC)('%s, asked by gRPC with %j', async (table, headers) => {
    const [theirs, ours] = await both.each((side) => overGrpc(side.port(table), table, headers));
    expect(ours).toEqual(theirs);
  });

  test.each([
    ['grpc-5', 404],
    ['grpc-14', 503],
  ])('%s over HTTP is what the status means there, where Envoy says 200', async (table, status) => {
    const [theirs, ours] = await http1(table, {});
    expect([theirs.status, ours.status]).toEqual([200, status]);
    expect({ ...ours, status: 200 }).toEqual(theirs);
  });
});
