import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any, toCluster } from '../../support/xds-resources.js';
import { NO_RETRIES } from './actions.js';
import { Both } from './both.js';
import { envoyBinary } from './envoy.js';
import { FAIL, GrpcBackend, GrpcCaller } from './grpc-peer.js';
import { staticCluster } from './our-side.js';

/*
 * gRPC over HTTP/2 through both: the same routes, the same statuses, whether a server says them or the proxy itself. Kept out:
 * - Metadata whose names end in -bin: no matcher of ours sees it (gRFC A28).
 * - RouteAction.timeout: ours looks at max_stream_duration for gRPC (gRFC A31), in a proxy too.
 * - %GRPC_STATUS% of a head without one: Envoy takes 200 for UNKNOWN, before the trailers have come.
 */

const HTTP2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any(
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      {
        explicit_http_config: { http2_protocol_options: {} },
      },
    ),
  },
};
const to = (match: Resource, action: Resource = {}, cluster = 'red'): Resource =>
  toCluster(cluster, match, { retry_policy: NO_RETRIES, ...action });
const direct = (status: number, text?: string): Resource => ({
  match: { prefix: '/' },
  direct_response: { status, ...(text === undefined ? {} : { body: { inline_string: text } }) },
});
const retrying = (retry_on: string, fields: Resource = {}): Resource[] => [
  to(
    { prefix: '/' },
    {
      retry_policy: {
        retry_on,
        num_retries: { value: 2 },
        retry_back_off: { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } },
        ...fields,
      },
    },
  ),
];
const header = (name: string, string_match: Resource): Resource => ({ name, string_match });
const mark = (key: string, value: string): Resource => ({ header: { key, value } });

type Ask = readonly [path: string, fields?: Readonly<Record<string, string>>];

const CASES: Readonly<Record<string, readonly [readonly Resource[], readonly Ask[]]>> = {
  'by method, service, expression and for gRPC alone': [
    [
      { ...to({ path: '/shop.Carts/Get' }, { prefix_rewrite: '/shop.Carts/Fetch' }), name: 'method' },
      { ...to({ prefix: '/shop.Carts/' }), request_headers_to_add: [mark('x-route', 'service')] },
      {
        ...to({ safe_regex: { regex: '/shop\\.[A-Z][a-z]+/List' } }),
        request_headers_to_add: [mark('x-route', '%PATH(NQ)%')],
      },
      { ...to({ prefix: '/', grpc: {} }), request_headers_to_add: [mark('x-route', 'any')] },
    ],
    [['/shop.Carts/Get'], ['/shop.Carts/Put'], ['/shop.Orders/List'], ['/other.Service/Call'], ['/shop.carts/List']],
  ],
  'by metadata': [
    [
      to({ prefix: '/', headers: [header('x-stage', { exact: 'one' })] }, { host_rewrite_literal: 'one.example' }),
      to({
        prefix: '/',
        headers: [header('x-stage', { prefix: 'tw' }), header('content-type', { exact: 'application/grpc' })],
      }),
    ],
    [
      ['/a.B/C', { 'x-stage': 'one' }],
      ['/a.B/C', { 'x-stage': 'two' }],
      ['/a.B/C', { 'x-stage': 'three' }],
      ['/a.B/C'],
    ],
  ],
  'with headers changed': [
    [
      {
        ...to({ prefix: '/' }),
        request_headers_to_add: [mark('x-method', '%REQ(:path)%'), mark('x-protocol', '%PROTOCOL%')],
        response_headers_to_add: [mark('x-reply', 'second'), mark('x-path', '%REQ(:path)%')],
      },
    ],
    [['/a.B/C'], ['/a.B/C', { [FAIL]: '1;14' }], ['/a.B/C', { [FAIL]: '1;5' }]],
  ],
  ...Object.fromEntries(
    [200, 204, 302, 400, 401, 403, 404, 418, 429, 500, 502, 503, 504].map((status) => [
      `answered by the route with ${status}`,
      [
        [
          {
            ...direct(status, status === 204 ? undefined : 'said so'),
            response_headers_to_add: [mark('x-own', 'yes')],
          },
        ],
        [['/a.B/C']],
      ],
    ]),
  ),
  'sent elsewhere by the route': [
    [{ match: { prefix: '/' }, redirect: { host_redirect: 'other.example', path_redirect: '/x' } }],
    [['/a.B/C']],
  ],
  'that no route takes': [[to({ prefix: '/never' })], [['/a.B/C']]],
  'to a cluster that is not there': [
    [{ ...to({ prefix: '/' }, {}, 'nowhere'), response_headers_to_add: [mark('x-own', 'yes')] }],
    [['/a.B/C']],
  ],
  'to a cluster without endpoints': [[to({ prefix: '/' }, {}, 'empty')], [['/a.B/C']]],
  'to an endpoint that is not there': [[to({ prefix: '/' }, {}, 'dead')], [['/a.B/C']]],
  'that takes longer than it may': [
    [to({ prefix: '/' }, { timeout: {}, max_stream_duration: { grpc_timeout_header_max: {} } })],
    [['/a.B/C', { [FAIL]: '1;hang', 'grpc-timeout': '300m' }]],
  ],
  'tried again when unavailable': [
    retrying('unavailable'),
    [
      ['/a.B/C', { [FAIL]: '1;14' }],
      ['/a.B/C', { [FAIL]: '2;14' }],
      ['/a.B/C', { [FAIL]: '9;14' }],
      ['/a.B/C', { [FAIL]: '1;13' }],
    ],
  ],
  'tried again when cancelled, too late, full or broken': [
    retrying('cancelled,deadline-exceeded,resource-exhausted,internal'),
    ['1', '4', '8', '13', '14', '2'].map((status) => ['/a.B/C', { [FAIL]: `1;${status}` }] as const),
  ],
  'tried again for 5xx': [
    retrying('5xx'),
    ['14', '13', '2', '4'].map((status) => ['/a.B/C', { [FAIL]: `1;${status}` }] as const),
  ],
};

describe.skipIf(envoyBinary === undefined)('beside Envoy, a gRPC call is the same', () => {
  const names = Object.keys(CASES);
  let backend: GrpcBackend;
  let both: Both;
  let callers: readonly GrpcCaller[][];

  beforeAll(async () => {
    backend = await GrpcBackend.start();
    both = await Both.start({
      tables: Object.fromEntries(names.map((name, i) => [`t${i}`, (CASES[name] as (typeof CASES)[string])[0]])),
      backends: 1,
      clusters: ([free]) => [
        staticCluster('red', [backend.port], HTTP2),
        staticCluster('empty', [], HTTP2),
        // Nobody listens on port 1.
        staticCluster('dead', [1], { ...HTTP2, connect_timeout: { seconds: 5 } }),
        staticCluster('unused', [free as number]),
      ],
    });
    callers = both.sides.map((side) => names.map((_, i) => new GrpcCaller(side.port(`t${i}`))));
  });
  afterAll(async () => {
    for (const caller of callers?.flat() ?? []) caller.close();
    await both?.close();
    await backend?.close();
  });

  test.each(names.map((name, i) => [name, i] as const))('%s', async (name, i) => {
    const [, asks] = CASES[name] as (typeof CASES)[string];
    const outcomes = callers.map((side, at) =>
      Promise.all(
        asks.map(async ([path, fields], ask) => {
          const id = `${at}-${i}-${ask}`;
          return { ask, ...(await (side[i] as GrpcCaller).call(`t${i}`, path, { 'x-call-id': id, ...fields })) };
        }),
      ),
    );
    const [theirs, ours] = await Promise.all(outcomes);
    expect(ours).toEqual(theirs);
  });
});
