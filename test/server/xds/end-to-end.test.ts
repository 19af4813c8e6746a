import { tlsFactory } from '../../../src/identity/tls/factory.js';
import { createServer as createHttpServer } from 'node:http';
import { Client, credentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { silentLogger } from '../../../src/core/log.js';
import { noMeter } from '../../../src/core/meter.js';
import { type Address, addressKey } from '../../../src/core/model/endpoint.js';
import { seededRandom } from '../../../src/core/random.js';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { type ServableServer, type Serving, serveXds } from '../../../src/server/xds/index.js';
import { bootstrapFor, serverListenerName } from '../../../src/xds/bootstrap/index.js';
import { XdsClient } from '../../../src/xds/client/index.js';
import { decodersFor } from '../../../src/xds/resources/decoders.js';
import { watchServers } from '../../../src/xds/servers/index.js';
import { HeldAds } from '../../support/held-ads.js';
import { chain, httpFilter, listenerOf, socketAddress } from '../../support/server-resources.js';
import { ads, routeResource } from '../../support/xds-resources.js';
import { freeAddress, until } from './support.js';

/**
 * Servers under a control plane, over real sockets: bytes from an ADS server, XdsClient, decoder, tracker, server, client.
 *
 * 1. The server starts before there is any configuration, and does not listen.
 * 2. Listener and routes come: it serves. An update of the routes applies to open connections.
 * 3. The listener goes: it does not serve. It comes back: it does.
 * 4. The control plane goes: nothing changes.
 */
const TEMPLATE = 'grpc/server?xds.resource.listening_address=%s';

let plane: HeldAds;
let client: XdsClient;
let address: Address;
let serving: Serving | undefined;
let deadlines: Deadlines;
const modes: string[] = [];

beforeEach(async () => {
  plane = await HeldAds.start();
  address = await freeAddress();
  deadlines = new Deadlines(systemClock);
  modes.length = 0;
});

afterEach(async () => {
  await serving?.close({ graceMs: 0 });
  deadlines.close();
  await client.close();
  plane.close();
});

function start(server: ServableServer, failOnDataErrors = true): Serving {
  const env = { clock: systemClock, random: seededRandom(1), logger: silentLogger };
  const made = bootstrapFor(plane.uri, { service: 'shop', nodeId: 'server-1', random: env.random });
  const [first] = made.servers;
  const bootstrap = {
    ...made,
    servers: [{ ...first, features: { ...first.features, failOnDataErrors } }] as const,
    serverListenerTemplate: TEMPLATE,
  };
  client = new XdsClient({
    ...env,
    bootstrap,
    decoders: decodersFor({ certificateProviders: new Set() }),
    scope: '#server',
    meter: noMeter,
  });
  const watch = watchServers({
    cache: client,
    listenerName: (at) => serverListenerName(bootstrap, at),
    logger: env.logger,
  });
  serving = serveXds(
    server,
    { address: addressKey(address), onServingMode: (mode) => modes.push(mode) },
    { ...env, watch, deadlines, meter: noMeter, tls: tlsFactory(env) },
  );
  return serving;
}

const name = (): string => TEMPLATE.replace('%s', addressKey(address));
const listener = (routes: string, fields: Resource = {}): Resource => ({
  ...listenerOf(name(), [
    chain(
      { source_type: 'SAME_IP_OR_LOOPBACK' },
      { filters: [httpFilter({ rds: { config_source: ads, route_config_name: routes } })] },
    ),
  ]),
  address: socketAddress(address.host, address.port),
  ...fields,
});
const routes = (of: string, prefix: string): Resource =>
  routeResource(of, [{ name: prefix, match: { prefix }, non_forwarding_action: {} }]);

interface Subject {
  readonly server: () => ServableServer;
  /** `ok`, `no route`, `no configuration` or `no server`. */
  readonly call: (service: string) => Promise<string>;
  readonly close: () => void;
}

/** A new connection for each call. */
const http: Subject = {
  server: () => createHttpServer((_, response) => response.end('ok')),
  call: async (service) => {
    try {
      const response = await fetch(`http://${addressKey(address)}/${service}`, { headers: { connection: 'close' } });
      const body = await response.text();
      return response.status === 404 ? 'no route' : response.status === 503 ? 'no configuration' : body;
    } catch {
      return 'no server';
    }
  },
  close: () => {},
};

const bytes = (value: Buffer): Buffer => value;
const definition = (path: string) => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const clients: Client[] = [];

const grpc: Subject = {
  server: () => {
    const server = new XdsServer();
    const reply = (_: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void =>
      done(null, Buffer.from('ok'));
    for (const service of ['a', 'b']) server.addService({ Get: definition(`/${service}/Get`) }, { Get: reply });
    return server;
  },
  call: (service) => {
    const from = new Client(addressKey(address), credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    clients.push(from);
    return new Promise((resolve) => {
      from.makeUnaryRequest(`/${service}/Get`, bytes, String, Buffer.alloc(0), (error, value) => {
        if (error === null) resolve(value ?? '');
        else if (error.details.startsWith('no route')) resolve('no route');
        else resolve(error.details.startsWith('the route configuration') ? 'no configuration' : 'no server');
      });
    });
  },
  close: () => {
    for (const one of clients.splice(0)) one.close();
  },
};

describe.each([
  ['node:http', http],
  ['grpc-js', grpc],
])('%s under a control plane', (_, { server, call, close }) => {
  afterEach(close);

  it('starts, is updated, loses its listener and has it again', async () => {
    const served = start(server());
    await until(() => plane.subscribed(LISTENER).length > 0);
    expect(plane.subscribed(LISTENER)).toEqual([name()]);
    expect(await call('a')).toBe('no server');

    plane.put(LISTENER, listener('main'));
    await until(() => plane.subscribed(ROUTE).includes('main'));
    expect(served.mode).toBe('NOT_SERVING');
    plane.put(ROUTE, routes('main', '/a'));
    await served.ready();
    expect([await call('a'), await call('b')]).toEqual(['ok', 'no route']);
    plane.put(ROUTE, routes('main', '/b'));
    while ((await call('a')) !== 'no route');
    expect(await call('b')).toBe('ok');

    plane.remove(LISTENER, name());
    await until(() => served.mode === 'NOT_SERVING');
    expect(await call('b')).toBe('no server');
    plane.put(LISTENER, listener('main'));
    await served.ready();
    expect(await call('b')).toBe('ok');
    expect(modes).toEqual(['SERVING', 'NOT_SERVING', 'SERVING']);

    plane.close();
    expect(await call('b')).toBe('ok');
    expect(modes).toHaveLength(3);
  });

  it('a listener that is refused, or deleted, changes nothing by default (A88)', async () => {
    const served = start(server(), false);
    plane.put(ROUTE, routes('main', '/'));
    plane.put(LISTENER, listener('main'));
    await served.ready();
    // "must NACK the Listener resource if Listener.listener_filters is non-empty" - A36
    plane.put(LISTENER, listener('main', { listener_filters: [{ name: 'x' }] }));
    await until(() => plane.nacks.length === 1);
    expect(plane.nacks[0]).toContain('listener_filters');
    expect(await call('a')).toBe('ok');
    plane.remove(LISTENER, name());
    plane.put(ROUTE, routes('main', '/b'));
    while ((await call('a')) !== 'no route');
    expect(await call('b')).toBe('ok');
    expect(modes).toEqual(['SERVING']);
  });

  it('routes that are refused fail the calls of their chain, not the server', async () => {
    const served = start(server());
    plane.put(ROUTE, routeResource('main', [{ match: {}, non_forwarding_action: {} }]));
    plane.put(LISTENER, listener('main'));
    await served.ready();
    expect(await call('a')).toBe('no configuration');
    plane.put(ROUTE, routes('main', '/'));
    while ((await call('a')) !== 'ok');
    expect(modes).toEqual(['SERVING']);
  });

  it('is not serving while the address of its listener is another', async () => {
    const served = start(server());
    plane.put(ROUTE, routes('main', '/'));
    plane.put(LISTENER, listener('main', { address: socketAddress('0.0.0.0', address.port) }));
    await until(() => served.error !== undefined);
    expect(served.error?.message).toContain(
      `its address 0.0.0.0:${address.port} is not the one that the server listens on`,
    );
    expect(plane.nacks).toEqual([]);
    expect(await call('a')).toBe('no server');
    plane.put(LISTENER, listener('main'));
    await served.ready();
    expect(await call('a')).toBe('ok');
  });

  it('takes no connection when no chain matches, and the default chain takes what others do not', async () => {
    const served = start(server());
    const external = chain({ source_type: 'EXTERNAL' });
    plane.put(ROUTE, routes('routes', '/a'));
    plane.put(LISTENER, listener('routes', { filter_chains: [external] }));
    await served.ready();
    expect(await call('a')).toBe('no server');
    plane.put(LISTENER, listener('routes', { filter_chains: [external], default_filter_chain: chain(undefined) }));
    while ((await call('a')) !== 'ok');
    expect(modes).toEqual(['SERVING']);
  });
});
