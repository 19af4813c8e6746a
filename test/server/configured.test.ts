import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type PeerIdentity, setPeer } from '../../src/core/identity.js';
import { type Logger, silentLogger } from '../../src/core/log.js';
import { DEFAULT_LIMIT_REPLY, type LimitRule } from '../../src/core/model/limit.js';
import { INBOUND_PREFIX } from '../../src/core/resources.js';
import type { FilterChain } from '../../src/core/model/server.js';
import {
  NoServerConfigError,
  type ServerConfig,
  type ServerConfigWatcher,
  type WatchServer,
} from '../../src/core/server-config.js';
import { meshHandler } from '../../src/server/http.js';
import { Inbound } from '../../src/server/inbound.js';
import type { ServerParts } from '../../src/server/parts.js';
import type { InboundView } from '../../src/server/view.js';
import { type TestMesh, testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { listening } from '../support/inbound-servers.js';
import { chain, listener, route, table, until } from './xds/support.js';

/** What middleware sets up to know the policies of its service, and how it ends. */

let clock: FakeClock;
let mesh: TestMesh;
/** By service. */
let watched: Map<string, ServerConfigWatcher>;
let stopped: string[];
let servers: ServerParts;
let logged: string[];
const closing: (() => unknown)[] = [];
beforeEach(() => {
  clock = new FakeClock();
  mesh = testMesh({ services: {}, clock });
  watched = new Map();
  stopped = [];
  const watch: WatchServer = (server, watcher) => {
    const name = 'service' in server ? server.service : '';
    watched.set(name, watcher);
    return () => void stopped.push(name);
  };
  logged = [];
  const log =
    (level: string): Logger['warn'] =>
    (message, fields) =>
      void logged.push(`${level}: ${message} ${JSON.stringify(fields)}`);
  servers = { ...mesh.servers, watch, logger: { ...silentLogger, warn: log('warn'), info: log('info') } };
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await mesh.close();
  expect(clock.pending).toBe(0);
});

const inbound = (service: string): Inbound => new Inbound({ mesh: { meter: mesh.meter, servers }, service, clock });

const VIEW: InboundView = {
  protocol: 'http',
  scheme: 'http',
  method: 'GET',
  path: '/',
  host: 'a',
  headers: {},
  peer: undefined,
  raw: {},
};

const PEER: PeerIdentity = {
  spiffeId: 'spiffe://cluster.local/ns/default/sa/web',
  trustDomain: 'cluster.local',
  uriSans: [],
  dnsSans: [],
  subject: '',
  serialNumber: '01',
  fingerprint: '',
  notAfter: 0,
};

/** Two in an hour. */
const RULE: LimitRule = {
  name: 'two',
  key: [],
  limit: { algorithm: 'fixed_window', requests: 2, perMs: 3_600_000 },
  mode: 'enforce',
  store: { kind: 'local' },
  onStoreFailure: 'local',
};
const limited = (service: string, of = 'reviews') =>
  listener(
    { host: '0.0.0.0', port: 80 },
    {
      name: `${INBOUND_PREFIX}${service}`,
      defaultFilterChain: chain(
        'all',
        {},
        {
          routes: {
            kind: 'inline',
            config: table([{ ...route('/'), limits: { rules: [RULE], ...DEFAULT_LIMIT_REPLY } }], ['*'], of),
          },
        },
      ),
    },
  );
const told = (service: string, of?: string): void =>
  watched.get(service)?.changed({ listener: limited(service, of), routes: new Map() });

test('a mesh that is closed waits for no policies any more, and watches none', async () => {
  const waiting = inbound('reviews');
  inbound('ratings');
  await until(() => watched.size === 2);
  told('ratings');
  const request = waiting.refusal(waiting.context({}, 'http'), 'http');
  await mesh.close();
  expect(clock.pending).toBe(0);
  expect(stopped.sort()).toEqual(['ratings', 'reviews']);
  // Nobody knows any more whether the one who waited for them may come in.
  expect(await request).toMatchObject({ status: 503, grpcStatus: 14 });
});

test('a mesh that is closed before the policies are even watched watches none', async () => {
  inbound('reviews');
  await mesh.close();
  await import('../../src/server/service-policies.js');
  await new Promise((resolve) => setImmediate(resolve));
  expect(watched.size - stopped.length).toBe(0);
  inbound('ratings');
  await new Promise((resolve) => setImmediate(resolve));
  expect([clock.pending, watched.size - stopped.length]).toEqual([0, 0]);
});

test.each([
  ['names of one service', 'reviews', ['1', '0', null]],
  ['two services', 'ratings', ['0', null, null]],
])('a request that is held to the policies of %s in turn', async (_, of, remaining) => {
  const options = (service: string) => ({ mesh: { meter: mesh.meter, servers }, service, clock });
  const inner = meshHandler(
    (_request: IncomingMessage, response: ServerResponse) => response.end('ok'),
    options('reviews.default'),
  );
  const { port, close } = await listening(meshHandler(inner, options('reviews:80')));
  closing.push(close);
  await until(() => watched.size === 2);
  told('reviews:80');
  told('reviews.default', of);
  const left = [];
  for (let i = 0; i < 3; i++) {
    const reply = await fetch(`http://127.0.0.1:${port}/`);
    left.push(reply.status === 200 ? reply.headers.get('x-ratelimit-remaining') : null);
  }
  expect(left).toEqual(remaining);
});

test('middleware without a name waits for the policies of the mesh’s own service, too', async () => {
  servers = { ...servers, service: 'reviews' };
  const unnamed = new Inbound({ mesh: { meter: mesh.meter, servers }, clock });
  const passage = unnamed.refusal(
    unnamed.context({}, 'http', () => ({ ...VIEW, raw: {} })),
    'http',
  );
  expect(passage).toBeInstanceOf(Promise);
  await until(() => watched.size === 1);
  told('reviews');
  expect(await passage).toBeUndefined();
  const remaining = () => {
    const context = unnamed.context({}, 'http', () => ({ ...VIEW, raw: {} }));
    unnamed.refusal(context, 'http');
    return context.replyHeaders?.['x-ratelimit-remaining'];
  };
  // The first one was counted.
  expect(remaining()).toBe('0');
});

test('a request is refused where no policies came in time, as they might refuse it; that is told once, and when they come at last the log has nothing to add', async () => {
  const gate = inbound('reviews');
  const passage = gate.refusal(gate.context({}, 'http'), 'http');
  await until(() => watched.size === 1);
  expect(logged).toEqual([]);
  clock.advance(1_000);
  expect(await passage).toMatchObject({ status: 503, code: 'CONFIG_UNAVAILABLE' });
  expect(gate.refusal(gate.context({}, 'http'), 'http')).toMatchObject({ status: 503 });
  expect(logged).toEqual([
    'warn: requests are refused: nothing is known yet of the policies of their service {"service":"reviews","afterMs":1000}',
  ]);
  told('reviews');
  const context = gate.context({}, 'http', () => ({ ...VIEW, raw: {} }));
  expect(gate.refusal(context, 'http')).toBeUndefined();
  expect(context.replyHeaders?.['x-ratelimit-remaining']).toBe('1');
  expect(logged).toHaveLength(1);
});

describe('a service that is for mutual TLS only', () => {
  const tls = {
    identity: 'default',
    roots: { kind: 'provider', instance: 'default' },
    requireClientCertificate: true,
  } as const;
  const config = (more: readonly FilterChain[] = []): ServerConfig => ({
    listener: listener(
      { host: '0.0.0.0', port: 80 },
      {
        name: `${INBOUND_PREFIX}reviews`,
        filterChains: [chain('mtls', { tls: true }, { tls }), ...more],
        defaultFilterChain: undefined,
      },
    ),
    routes: new Map(),
  });
  const refusalOf = (gate: Inbound, connection: object | undefined) => {
    const context = gate.context({}, 'http', () => ({ ...VIEW, raw: {} }));
    context.connection = connection;
    return gate.refusal(context, 'http');
  };

  test('whom it does not let in counts for no limit of the application’s own', async () => {
    const limits = { requests: 1, perMs: 60_000 };
    const gate = new Inbound({ mesh: { meter: mesh.meter, servers }, service: 'reviews', clock, limits });
    await until(() => watched.size === 1);
    watched.get('reviews')?.changed(config());
    const known = {};
    setPeer(known, PEER);
    for (let i = 0; i < 3; i++) expect(await refusalOf(gate, {})).toMatchObject({ status: 403 });
    expect(await refusalOf(gate, known)).toBeUndefined();
    expect(await refusalOf(gate, known)).toMatchObject({ status: 429 });
  });

  test('middleware lets nobody in but who has shown a certificate, whatever server it is in', async () => {
    const gate = inbound('reviews');
    await until(() => watched.size === 1);
    watched.get('reviews')?.changed(config());
    const known = {};
    setPeer(known, PEER);
    expect(refusalOf(gate, known)).toBeUndefined();
    for (const connection of [undefined, {}, { encrypted: true }])
      expect(refusalOf(gate, connection)).toMatchObject({ status: 403, grpcStatus: 16, code: 'MTLS_REQUIRED' });
    watched.get('reviews')?.changed(config([chain('plain', { rawBuffer: true })]));
    expect(refusalOf(gate, {})).toBeUndefined();
  });

  test('nobody is let in by a mesh that is closed', async () => {
    const gate = inbound('reviews');
    await until(() => watched.size === 1);
    watched.get('reviews')?.changed(config());
    await mesh.close();
    expect(refusalOf(gate, {})).toMatchObject({ status: 503 });
  });
});

test('where anything is asked of requests, one with several Host fields is refused with 400 (RFC 9112 section 3.2)', async () => {
  const options = { mesh: { meter: mesh.meter, servers }, service: 'reviews', clock };
  const { port, close } = await listening(
    meshHandler((_: IncomingMessage, response: ServerResponse) => response.end('served'), options),
  );
  closing.push(close);
  const ask = (hosts: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET / HTTP/1.1\r\n${hosts}Connection: close\r\n\r\n`);
    return text(socket);
  };
  const twice = 'Host: reviews\r\nHost: admin\r\n';
  await until(() => watched.size === 1);
  told('reviews');
  expect(await ask(twice)).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":"BAD_REQUEST"/);
  expect(await ask('Host: reviews\r\n')).toMatch(/^HTTP\/1.1 200 /);
  watched.get('reviews')?.changed({
    listener: listener(
      { host: '0.0.0.0', port: 80 },
      { name: `${INBOUND_PREFIX}reviews`, defaultFilterChain: chain('all') },
    ),
    routes: new Map(),
  });
  expect(await ask(twice)).toMatch(/^HTTP\/1.1 200 /);
});

test('where nobody can configure servers, nothing is asked of requests', async () => {
  const gate = inbound('reviews');
  await until(() => watched.size === 1);
  watched.get('reviews')?.failed(new NoServerConfigError('nobody'));
  expect(
    gate.refusal(
      gate.context({}, 'http', () => ({ ...VIEW, raw: {} })),
      'http',
    ),
  ).toBeUndefined();
});

test.each([
  ['names', 'warn'],
  ['does not name', 'info'],
])('a service without policies of its own is told of, once: middleware that %s it', async (how, level) => {
  servers = { ...servers, service: 'reviews' };
  const options = { mesh: { meter: mesh.meter, servers }, clock };
  const gate = new Inbound(how === 'names' ? { ...options, service: 'reviews' } : options);
  const passage = gate.refusal(gate.context({}, 'http'), 'http');
  await until(() => watched.size === 1);
  const none = listener({ host: '0.0.0.0', port: 0 }, { name: `${INBOUND_PREFIX}reviews` });
  for (let i = 0; i < 2; i++) watched.get('reviews')?.changed({ listener: none, routes: new Map() });
  await passage;
  expect(logged).toEqual([
    `${level}: the configuration has no policies for servers of this service: is it called so? {"service":"reviews","listener":"inmesh.dev/inbound/reviews"}`,
  ]);
  // Those that come later, and go, nobody has to be told of.
  told('reviews');
  watched.get('reviews')?.changed({ listener: none, routes: new Map() });
  expect(logged).toHaveLength(1);
});
