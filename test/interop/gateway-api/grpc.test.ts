import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CARRIERS, type Carrier, openCarrier } from '../../e2e/support/carriers.js';
import { changeRequest, filters, header } from './case.js';

/* What the conformance suite of Gateway API expects of GRPCRoute, in documents of our own. */

const BACKENDS = ['v1', 'v2'] as const;
/** No rule takes the call: to a gRPC client of a mesh that is UNAVAILABLE (gRFC A28), where a gateway in front says UNIMPLEMENTED. */
const NO_ROUTE = 14;

type Ask = readonly [path: string, expected: string | number, metadata?: Readonly<Record<string, string>>];
const CHANGES = changeRequest({
  set: [{ name: 'X-Set', value: 'set' }],
  add: [
    { name: 'X-Add', value: 'added' },
    { name: 'X-Append', value: 'last' },
  ],
  remove: ['X-Remove'],
});

interface Case {
  readonly about: string;
  readonly rules: readonly object[];
  readonly asks: readonly Ask[];
}

const rule = (backend: string, matches?: readonly object[]): object => ({
  ...(matches === undefined ? {} : { matches }),
  backendRefs: [{ name: backend, port: 80 }],
});
const elsewhere = (namespace: string, matches: readonly object[]): object => ({
  matches,
  backendRefs: [{ name: 'v1', namespace, port: 80 }],
});
const method = (service?: string, name?: string, type = 'Exact'): object => ({
  method: { type, ...(service === undefined ? {} : { service }), ...(name === undefined ? {} : { method: name }) },
});

const CASES: readonly Case[] = [
  {
    about: 'a method is found by its exact name',
    rules: [rule('v1', [method('shop.Carts', 'Get')]), rule('v2', [method('shop.Carts', 'List')])],
    asks: [
      ['/shop.Carts/Get', 'v1'],
      ['/shop.Carts/List', 'v2'],
      ['/shop.Carts/Put', NO_ROUTE],
      ['/shop.Carts/get', NO_ROUTE],
      ['/shop.Other/Get', NO_ROUTE],
    ],
  },
  {
    about: 'a whole service is, a method of any service, and an expression',
    rules: [
      rule('v1', [method('shop.Carts')]),
      rule('v2', [method(undefined, 'Ping')]),
      rule('v2', [method('shop\\.O.*', 'G[a-z]+', 'RegularExpression')]),
    ],
    asks: [
      ['/shop.Carts/Get', 'v1'],
      ['/shop.CartsTwo/Get', NO_ROUTE],
      ['/any.Service/Ping', 'v2'],
      ['/shop.Orders/Get', 'v2'],
      ['/shop.Orders/Put', NO_ROUTE],
    ],
  },
  {
    about: 'more of a name goes first, then more headers',
    rules: [
      rule('v1'),
      rule('v2', [method('shop.Carts', 'Get')]),
      rule('v1', [method('shop.Carts')]),
      rule('v2', [{ ...method('shop.Carts'), ...header({ stage: 'two' }) }]),
    ],
    asks: [
      ['/other.Service/Get', 'v1'],
      ['/shop.Carts/Get', 'v2'],
      ['/shop.Carts/List', 'v1'],
      ['/shop.Carts/List', 'v2', { stage: 'two' }],
    ],
  },
  {
    about: 'all headers of a match count, and any of several matches',
    rules: [
      rule('v1', [header({ stage: 'one' })]),
      rule('v2', [header({ stage: 'two' })]),
      rule('v1', [header({ stage: 'two', colour: 'red' })]),
      rule('v1', [header({ colour: 'blue' }), header({ colour: 'green' })]),
    ],
    asks: [
      ['/a.B/C', 'v1', { Stage: 'one' }],
      ['/a.B/C', 'v2', { stage: 'two' }],
      ['/a.B/C', 'v1', { stage: 'two', colour: 'red' }],
      ['/a.B/C', 'v2', { stage: 'two', colour: 'blue' }],
      ['/a.B/C', 'v1', { colour: 'blue' }],
      ['/a.B/C', 'v1', { Colour: 'green' }],
      ['/a.B/C', NO_ROUTE, { colour: 'red' }],
      ['/a.B/C', NO_ROUTE],
    ],
  },
  {
    about: 'rules with names serve like those without',
    rules: [
      { ...rule('v1', [method('shop.Carts', 'Get')]), name: 'named-rule' },
      rule('v2', [method('shop.Carts', 'Put')]),
    ],
    asks: [
      ['/shop.Carts/Get', 'v1'],
      ['/shop.Carts/Put', 'v2'],
    ],
  },
  {
    about: 'a backend of another namespace is called with a grant for GRPCRoutes, and UNAVAILABLE without',
    rules: [elsewhere('permitted', [method('shop.Carts')]), elsewhere('closed', [method('shop.Orders')]), rule('v2')],
    asks: [
      ['/shop.Carts/Get', 'v1'],
      ['/shop.Orders/Get', 14],
      ['/a.B/C', 'v2'],
    ],
  },
  {
    about: 'metadata is set, added and removed',
    rules: [
      { ...rule('v1'), ...filters(CHANGES) },
      { ...rule('v2', [method('shop.Carts')]), ...filters(CHANGES) },
    ],
    asks: ['/a.B/C', '/shop.Carts/Get'].map((path, i) => [
      path,
      `v${i + 1} x-set=set x-add=added x-append=first,last x-kept=kept`,
      {
        'x-show': 'x-set x-add x-append x-kept x-remove',
        'x-set': 'before',
        'x-append': 'first',
        'x-remove': 'gone',
        'x-kept': 'kept',
      },
    ]),
  },
];

const WEIGHTED = 'weighted';
const CALLS = 200;

describe.each(CARRIERS)('Gateway API, gRPC, %s', (carrierName) => {
  const servers: Http2Server[] = [];
  const sessions = new Set<ServerHttp2Session>();
  let carrier: Carrier;

  beforeAll(async () => {
    for (const name of BACKENDS) servers.push(await named(name, sessions));
    const ports = servers.map((server) => (server.address() as AddressInfo).port);
    carrier = await openCarrier(carrierName, documents(ports));
  });

  afterAll(async () => {
    await carrier?.close();
    for (const session of sessions) session.destroy();
    for (const server of servers) await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test.each(CASES.map(({ about, asks }, i) => [about, asks, i] as const))('%s', async (_, asks, i) => {
    const authority = `case-${i}`;
    const client = new Client(authority, credentials.createInsecure(), {
      channelOverride: carrier.mesh.channel(authority),
    });
    const outcomes = await Promise.all(asks.map(([path, , metadata]) => call(client, path, metadata)));
    expect(outcomes.map((outcome, at) => [asks[at]?.[0], outcome])).toEqual(
      asks.map(([path, expected]) => [path, expected]),
    );
    client.close();
  });

  test('backends share the calls by weight', async () => {
    const client = new Client(WEIGHTED, credentials.createInsecure(), {
      channelOverride: carrier.mesh.channel(WEIGHTED),
    });
    const names = await Promise.all(Array.from({ length: CALLS }, () => call(client, '/a.B/C')));
    client.close();
    const count = names.filter((name) => name === 'v1').length;
    expect(count + names.filter((name) => name === 'v2').length).toBe(CALLS);
    // Five standard deviations of a binomial distribution.
    expect(Math.abs(count - CALLS * 0.7)).toBeLessThan(5 * Math.sqrt(CALLS * 0.7 * 0.3));
  });
});

/** The name of the backend that answered, or the status. */
function call(client: Client, path: string, fields: Readonly<Record<string, string>> = {}): Promise<string | number> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  const bytes = (message: Buffer): Buffer => message;
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      bytes,
      String,
      Buffer.alloc(0),
      metadata,
      (error: ServiceError | null, reply?: string) => resolve(error === null ? String(reply) : error.code),
    );
  });
}

/** A server that answers every call, whatever its method, with its name, and with the metadata that `x-show` names. */
async function named(name: string, sessions: Set<ServerHttp2Session>): Promise<Http2Server> {
  const server = createServer();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const shown = String(headers['x-show'] ?? '')
      .split(' ')
      .filter((field) => headers[field] !== undefined)
      .map((field) => ` ${field}=${String(headers[field]).replaceAll(', ', ',')}`);
    const message = Buffer.from(name + shown.join(''));
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([frame, message]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function documents(ports: readonly number[]): string {
  const service = (name: string, port: number, namespace = 'default'): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { endpoints: [`127.0.0.1:${port}`] },
  });
  const route = (name: string, rules: readonly object[]): object => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name },
    spec: { parentRefs: [{ group: '', kind: 'Service', name }], rules },
  });
  const grant = (namespace: string, kind: string): object => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'ReferenceGrant',
    metadata: { name: 'from-default', namespace },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind, namespace: 'default' }],
      to: [{ group: '', kind: 'Service' }],
    },
  });
  const all = [
    ...['permitted', 'closed'].map((namespace) => service('v1', ports[0] as number, namespace)),
    grant('permitted', 'GRPCRoute'),
    grant('closed', 'HTTPRoute'),
    ...BACKENDS.map((name, i) => service(name, ports[i] as number)),
    ...CASES.flatMap(({ rules }, i) => [service(`case-${i}`, ports[0] as number), route(`case-${i}`, rules)]),
    service(WEIGHTED, ports[0] as number),
    route(WEIGHTED, [
      {
        backendRefs: [
          { name: 'v1', port: 80, weight: 70 },
          { name: 'v2', port: 80, weight: 30 },
        ],
      },
    ]),
  ];
  return all.map((document) => `---\n${JSON.stringify(document)}\n`).join('');
}
