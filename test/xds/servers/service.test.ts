import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MeshError } from '../../../src/core/errors.js';
import { type Logger, silentLogger } from '../../../src/core/log.js';
import { INBOUND_PREFIX, LISTENER, MESH_INBOUND, type Resource, ROUTE } from '../../../src/core/resources.js';
import type { ServerConfig } from '../../../src/core/server-config.js';
import { watchServers } from '../../../src/xds/servers/index.js';
import { settle } from '../../support/fake-clock.js';
import { ScriptedCache } from '../../support/scripted-cache.js';
import { serverResource, socketAddress } from '../../support/server-resources.js';
import { listenerResource, routeResource } from '../../support/xds-resources.js';

/** Servers that are watched by the name of the service that they are (ServerKey): the Listener is for any address, and there may be none. */

const NAME = `${INBOUND_PREFIX}reviews`;
const WATCHED = [`Listener/${MESH_INBOUND}`, `Listener/${NAME}`];
const inline = (route: string, name = NAME): Resource =>
  serverResource(name, {
    rds: undefined,
    route_config: routeResource('inline', [{ name: route, match: { prefix: '/' }, non_forwarding_action: {} }]),
  });

let cache: ScriptedCache;
let told: string[];
let last: ServerConfig | undefined;
let logged: string[];
let stop: () => void;
beforeEach(() => {
  cache = new ScriptedCache();
  told = [];
  logged = [];
  last = undefined;
});
afterEach(() => {
  stop();
  expect(cache.watched).toEqual([]);
});

/** The routes of the last configuration's only chain, by their names. */
function routes(): string[] | undefined {
  const source = last?.listener.defaultFilterChain?.routes ?? last?.listener.filterChains[0]?.routes;
  return source?.kind === 'inline' ? source.config.virtualHosts[0]?.routes.map(({ name }) => name) : undefined;
}

function watch(): void {
  // Without a template: that one is for addresses.
  const warn: Logger['warn'] = (message, fields) => void logged.push(`${message}, ${fields?.['itsServers']}`);
  const watchServer = watchServers({ cache, listenerName: () => undefined, logger: { ...silentLogger, warn } });
  const failed = (kind: string) => (error: MeshError) => void told.push(`${kind}: ${error.message}`);
  stop = watchServer(
    { service: 'reviews' },
    {
      changed(config) {
        last = config;
        told.push('config');
      },
      failed: failed('failed'),
      ambient: failed('ambient'),
    },
  );
}

test('the Listener is asked for by the name of the service, and taken whatever address it is for', () => {
  cache.put(LISTENER, { ...inline('a'), address: socketAddress('10.0.0.1', 4242) });
  watch();
  expect(cache.watched).toEqual(WATCHED);
  expect(told).toEqual(['config']);
  expect(routes()).toEqual(['a']);
});

test('where there is none, nor one for the whole mesh, one stands in its place that serves everything; said once', async () => {
  cache.fail(LISTENER, MESH_INBOUND);
  watch();
  expect(told).toEqual([]);
  for (let i = 0; i < 2; i++) {
    cache.fail(LISTENER, NAME, 'does-not-exist');
    await settle();
  }
  expect(told).toEqual(['config']);
  expect(last?.listener.name).toBe(NAME);
  expect(last?.listener.filterChains).toEqual([]);
  expect(routes()).toEqual(['all']);
});

test('one that is deleted takes its policies along, and one that comes again brings its own', async () => {
  cache.fail(LISTENER, MESH_INBOUND);
  cache.put(LISTENER, inline('a'));
  watch();
  cache.fail(LISTENER, NAME, 'does-not-exist');
  await settle();
  expect(routes()).toEqual(['all']);
  const open = last?.listener;
  cache.put(LISTENER, inline('a'));
  await settle();
  expect(routes()).toEqual(['a']);
  cache.fail(LISTENER, NAME, 'does-not-exist');
  await settle();
  expect(told).toEqual(['config', 'config', 'config', 'config']);
  // The same one as before: connections stay.
  expect(last?.listener).toBe(open);
});

test.each(['unreachable', 'invalid'] as const)('one that is %s is no sign that there is none', async (reason) => {
  cache.fail(LISTENER, MESH_INBOUND);
  watch();
  cache.fail(LISTENER, NAME, reason);
  await settle();
  expect(told).toEqual([expect.stringMatching(`^failed: server: listener "${NAME}" cannot be used \\(${reason}\\)`)]);
  cache.fail(LISTENER, NAME, 'does-not-exist');
  await settle();
  expect(told.slice(1)).toEqual(['config']);
});

test('one for clients is no server’s', () => {
  cache.put(LISTENER, listenerResource(NAME, 'routes'));
  watch();
  expect(told).toEqual([expect.stringMatching(/^failed: server: .*one for clients \(api_listener\)/)]);
});

test('routes by name are awaited, and let go of with the Listener', async () => {
  cache.fail(LISTENER, MESH_INBOUND);
  cache.put(LISTENER, serverResource(NAME));
  watch();
  expect(told).toEqual([]);
  cache.put(ROUTE, routeResource('routes', [{ name: 'r', match: { prefix: '/' }, non_forwarding_action: {} }]));
  await settle();
  expect(told).toEqual(['config']);
  cache.fail(LISTENER, NAME, 'does-not-exist');
  await settle();
  expect(cache.watched).toEqual(WATCHED);
  expect(routes()).toEqual(['all']);
});

describe('where there is a Listener for the whole mesh', () => {
  beforeEach(() => cache.put(LISTENER, inline('mesh', MESH_INBOUND)));

  test('it holds where there is none of the name, which is told', () => {
    cache.fail(LISTENER, NAME);
    watch();
    expect([routes(), last?.listener.name, last?.noService]).toEqual([['mesh'], MESH_INBOUND, undefined]);
    expect(logged).toEqual(['no Service "reviews", are held to what is said for the whole mesh']);
  });

  test('one of the name goes before it, and is followed by it in the same turn; told each time that it goes', async () => {
    cache.put(LISTENER, inline('a'));
    watch();
    const seen = [routes()];
    for (let i = 0; i < 2; i++) {
      cache.fail(LISTENER, NAME);
      await settle();
      seen.push(routes());
      cache.put(LISTENER, inline('a'));
      await settle();
      seen.push(routes());
    }
    expect(seen).toEqual([['a'], ['mesh'], ['a'], ['mesh'], ['a']]);
    expect(told).toEqual(['config', 'config', 'config', 'config', 'config']);
    expect(logged).toHaveLength(2);
  });

  test('it is followed, and where it goes nothing is asked any more', async () => {
    cache.fail(LISTENER, NAME);
    watch();
    cache.put(LISTENER, inline('other', MESH_INBOUND));
    await settle();
    expect(routes()).toEqual(['other']);
    cache.fail(LISTENER, MESH_INBOUND);
    await settle();
    expect(routes()).toEqual(['all']);
    expect(logged).toHaveLength(1);
  });
});

test('what was there stands while nothing is known of the one for the whole mesh', async () => {
  cache.put(LISTENER, inline('a'));
  watch();
  cache.fail(LISTENER, NAME);
  await settle();
  expect([routes(), told]).toEqual([['a'], ['config']]);
  cache.put(LISTENER, inline('mesh', MESH_INBOUND));
  await settle();
  expect(routes()).toEqual(['mesh']);
});

test.each(['unreachable', 'invalid'] as const)('one for the whole mesh that is %s lets nobody in', async (reason) => {
  cache.fail(LISTENER, NAME);
  cache.fail(LISTENER, MESH_INBOUND, reason);
  watch();
  expect(told).toEqual([expect.stringMatching(/^failed: server: listener "inmesh.dev\/inbound\/\*" cannot be used/)]);
});
