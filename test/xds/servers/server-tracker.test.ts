import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MeshError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/log.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import type { ServerConfig, ServerConfigWatcher } from '../../../src/core/server-config.js';
import { watchServers } from '../../../src/xds/servers/index.js';
import { settle } from '../../support/fake-clock.js';
import { ScriptedCache } from '../../support/scripted-cache.js';
import { chain, httpFilter, listenerOf, serverResource, socketAddress } from '../../support/server-resources.js';
import { listenerResource, routeResource } from '../../support/xds-resources.js';

/** Writes down what it is told. */
class Recorder implements ServerConfigWatcher {
  readonly configs: ServerConfig[] = [];
  /** `config`, `failed: …`, `ambient: …`, in order. */
  readonly told: string[] = [];

  get last(): ServerConfig {
    return this.configs.at(-1) ?? expect.fail(`no configuration yet; told: ${this.told.join(', ')}`);
  }
  /** Of the last configuration: the routes of each name, by their own names, or the error. */
  get routes(): Record<string, string> {
    return Object.fromEntries(
      [...this.last.routes].map(([name, config]) => [
        name,
        config instanceof Error
          ? `error: ${config.message}`
          : (config.virtualHosts[0]?.routes.map((one) => one.name).join() ?? ''),
      ]),
    );
  }
  changed(config: ServerConfig): void {
    this.configs.push(config);
    this.told.push('config');
  }
  failed(error: MeshError): void {
    expect(error.code).toBe('CONFIG_UNAVAILABLE');
    this.told.push(`failed: ${error.message}`);
  }
  ambient(error: MeshError): void {
    this.told.push(`ambient: ${error.message}`);
  }
}

const ADDRESS: Address = { host: '0.0.0.0', port: 8080 };
const NAME = 'grpc/server?xds.resource.listening_address=0.0.0.0:8080';
const serving = (name: string, route: string): Resource =>
  routeResource(name, [{ name: route, match: { prefix: '/' }, non_forwarding_action: {} }]);
/** A chain for each name, told apart by the port of the client. */
const chains = (...names: readonly string[]): Resource =>
  listenerOf(
    NAME,
    names.map((route_config_name, i) =>
      chain(
        { source_ports: [i + 1] },
        { filters: [httpFilter({ rds: { config_source: { ads: {} }, route_config_name } })] },
      ),
    ),
  );

let cache: ScriptedCache;
let out: Recorder;
let stop: () => void;

function watch(
  address = ADDRESS,
  listenerName: (address: string) => string | undefined = (at) => `grpc/server?xds.resource.listening_address=${at}`,
): void {
  stop = watchServers({ cache, listenerName, logger: silentLogger })(address, out);
}

beforeEach(() => {
  cache = new ScriptedCache();
  out = new Recorder();
});
afterEach(() => {
  stop();
  expect(cache.watched).toEqual([]);
});

describe('the listener', () => {
  test('is asked for by the address that is listened on, and what is known is told at once', () => {
    cache.put(LISTENER, serverResource(NAME));
    cache.put(ROUTE, serving('routes', 'a'));
    watch();
    expect(cache.watched).toEqual([`Listener/${NAME}`, 'RouteConfiguration/routes']);
    expect(out.told).toEqual(['config']);
    expect(out.routes).toEqual({ routes: 'a' });
  });

  test('IPv6 addresses are in brackets in its name, and however they are written they are the same', () => {
    const name = 'grpc/server?xds.resource.listening_address=[::]:8080';
    const inline = { route_config: serving('inline', 'a') };
    cache.put(LISTENER, {
      ...listenerOf(name, [chain({}, { filters: [httpFilter({ rds: undefined, ...inline })] })]),
      address: socketAddress('0:0:0:0:0:0:0:0', 8080),
    });
    watch({ host: '::', port: 8080 });
    expect(out.told).toEqual(['config']);
    expect(out.last.routes.size).toBe(0);
  });

  test.each([
    [
      'another port',
      socketAddress('0.0.0.0', 8081),
      'its address 0.0.0.0:8081 is not the one that the server listens on, 0.0.0.0:8080',
    ],
    ['another address', socketAddress('127.0.0.1', 8080), 'its address 127.0.0.1:8080 is not'],
    ['another family', socketAddress('::', 8080), 'its address [::]:8080 is not'],
  ])('with %s is as good as none: not serving (A36)', async (_, address, problem) => {
    cache.put(ROUTE, serving('routes', 'a'));
    cache.put(LISTENER, serverResource(NAME));
    watch();
    cache.put(LISTENER, { ...serverResource(NAME), address });
    await settle();
    expect(out.told).toEqual(['config', expect.stringContaining(problem)]);
    expect(cache.watched).toEqual([`Listener/${NAME}`]);
    cache.put(LISTENER, serverResource(NAME));
    await settle();
    expect(out.told).toHaveLength(3);
    expect(out.told[2]).toBe('config');
  });

  test('of a client is as good as none', () => {
    cache.put(LISTENER, listenerResource(NAME, 'routes'));
    watch();
    expect(out.told).toEqual([
      expect.stringMatching(/^failed: server 0.0.0.0:8080: .*one for clients \(api_listener\)/),
    ]);
  });

  test('that does not exist, is invalid or cannot be had fails the server, each reason once; routes are no longer watched', async () => {
    watch();
    cache.fail(LISTENER, NAME, 'unreachable');
    await settle();
    cache.fail(LISTENER, NAME, 'does-not-exist');
    await settle();
    cache.fail(LISTENER, NAME, 'does-not-exist');
    await settle();
    expect(out.told).toEqual([expect.stringContaining('(unreachable)'), expect.stringContaining('(does-not-exist)')]);
    cache.put(ROUTE, serving('routes', 'a'));
    cache.put(LISTENER, serverResource(NAME));
    await settle();
    expect(out.told[2]).toBe('config');
    cache.fail(LISTENER, NAME, 'does-not-exist');
    await settle();
    expect(out.told).toHaveLength(4);
    expect(cache.watched).toEqual([`Listener/${NAME}`]);
  });

  test('that comes again unchanged is no change, and stays the same object', async () => {
    cache.put(LISTENER, serverResource(NAME));
    cache.put(ROUTE, serving('routes', 'a'));
    watch();
    cache.put(LISTENER, serverResource(NAME));
    await settle();
    expect(out.told).toEqual(['config']);
    const { listener } = out.last;
    cache.put(ROUTE, serving('routes', 'b'));
    await settle();
    expect(out.routes).toEqual({ routes: 'b' });
    expect(out.last.listener).toBe(listener);
  });

  test('in trouble that does not touch its last value is told of, when there is something that stands', () => {
    watch();
    cache.ambient(LISTENER, NAME, 'stream lost');
    cache.put(LISTENER, serverResource(NAME, { rds: undefined, route_config: serving('inline', 'a') }));
    return settle().then(() => {
      cache.ambient(LISTENER, NAME, 'stream lost');
      expect(out.told).toEqual(['config', 'ambient: server 0.0.0.0:8080: last configuration stands: stream lost']);
    });
  });

  test('cannot be asked for without a template in the bootstrap, and the remedy is told', () => {
    watch(ADDRESS, () => undefined);
    expect(out.told).toEqual([
      expect.stringContaining('failed: the bootstrap has no server_listener_resource_name_template: add one'),
    ]);
  });
});

describe('its routes', () => {
  test('are awaited, all of them, before anything is told', async () => {
    cache.put(LISTENER, chains('a', 'b'));
    watch();
    cache.put(ROUTE, serving('a', '1'));
    await settle();
    expect(out.told).toEqual([]);
    cache.put(ROUTE, serving('b', '2'));
    await settle();
    expect(out.told).toEqual(['config']);
    expect(out.routes).toEqual({ a: '1', b: '2' });
  });

  test('are an error of their chain when they are missing, invalid or cannot be had; the server serves (A36)', async () => {
    cache.put(LISTENER, chains('a', 'b', 'c', 'd'));
    watch();
    cache.fail(ROUTE, 'a', 'does-not-exist');
    cache.fail(ROUTE, 'b', 'invalid');
    cache.fail(ROUTE, 'c', 'unreachable');
    cache.put(ROUTE, serving('d', '1'));
    await settle();
    expect(out.routes).toEqual({
      a: 'error: route configuration "a" cannot be used (does-not-exist): a does-not-exist',
      b: 'error: route configuration "b" cannot be used (invalid): b invalid',
      c: 'error: route configuration "c" cannot be used (unreachable): c unreachable',
      d: '1',
    });
    cache.put(ROUTE, serving('a', '2'));
    await settle();
    expect(out.routes['a']).toBe('2');
    expect(out.told).toEqual(['config', 'config']);
  });

  test('of a changed listener are awaited while the old one serves, and follows its own', async () => {
    cache.put(LISTENER, chains('a'));
    cache.put(ROUTE, serving('a', '1'));
    watch();
    cache.put(LISTENER, chains('b'));
    await settle();
    expect(cache.watched).toEqual([`Listener/${NAME}`, 'RouteConfiguration/a', 'RouteConfiguration/b']);
    cache.put(ROUTE, serving('a', '2'));
    await settle();
    expect(out.routes).toEqual({ a: '2' });
    cache.put(ROUTE, serving('b', '1'));
    await settle();
    expect(out.routes).toEqual({ b: '1' });
    expect(cache.watched).toEqual([`Listener/${NAME}`, 'RouteConfiguration/b']);
    expect(out.told).toEqual(['config', 'config', 'config']);
  });

  test('of a listener that was replaced before they came are not waited for', async () => {
    cache.put(LISTENER, chains('a'));
    cache.put(ROUTE, serving('a', '1'));
    watch();
    cache.put(LISTENER, chains('b'));
    await settle();
    cache.put(LISTENER, chains('a'));
    await settle();
    expect(cache.watched).toEqual([`Listener/${NAME}`, 'RouteConfiguration/a']);
    expect(out.told).toEqual(['config']);
  });

  test('of listeners that were replaced before anything served are watched no longer', async () => {
    watch();
    for (let i = 0; i < 20; i++) {
      cache.put(LISTENER, chains(`r${i}`, 'shared'));
      await settle();
    }
    expect(cache.watched).toEqual([`Listener/${NAME}`, 'RouteConfiguration/r19', 'RouteConfiguration/shared']);
    expect(out.told).toEqual([]);
  });

  test('that change within one turn are told once', async () => {
    cache.put(LISTENER, chains('a', 'b'));
    watch();
    for (const version of ['1', '2', '3']) for (const name of ['a', 'b']) cache.put(ROUTE, serving(name, version));
    await settle();
    expect(out.told).toEqual(['config']);
    expect(out.routes).toEqual({ a: '3', b: '3' });
  });
});

test('property: whatever happens, what was told last is complete, and is what the cache holds once every name is known', async () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const event = fc.oneof(
    fc.uniqueArray(name, { minLength: 1 }).map((names) => ({ put: chains(...names), type: LISTENER }) as const),
    fc.constant({ fail: NAME, type: LISTENER } as const),
    fc.tuple(name, fc.nat(3)).map(([of, version]) => ({ put: serving(of, String(version)), type: ROUTE }) as const),
    name.map((of) => ({ fail: of, type: ROUTE }) as const),
    fc.constant('turn' as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 20 }), async (events) => {
      cache = new ScriptedCache();
      out = new Recorder();
      watch();
      let listener: Resource | undefined;
      const routes = new Map<string, string>();
      for (const one of events) {
        if (one === 'turn') await settle();
        else if ('put' in one) {
          cache.put(one.type, one.put);
          if (one.type === LISTENER) listener = one.put;
          else routes.set(String(one.put['name']), 'known');
        } else {
          cache.fail(one.type, one.fail);
          if (one.type === LISTENER) listener = undefined;
          else routes.set(one.fail, 'failed');
        }
        for (const config of out.configs) {
          for (const { routes: source } of config.listener.filterChains) {
            expect(source.kind === 'rds' && config.routes.has(source.name)).toBe(true);
          }
        }
      }
      await settle();
      const last = out.told.at(-1);
      if (listener === undefined) expect(last === undefined || last.startsWith('failed')).toBe(true);
      else {
        const names = new Set(JSON.stringify(listener).match(/(?<="route_config_name":")\w/g));
        if ([...names].every((one) => routes.has(one))) {
          expect(last).toBe('config');
          expect(new Set(out.last.routes.keys())).toEqual(names);
          for (const one of names) expect(out.last.routes.get(one) instanceof Error).toBe(routes.get(one) === 'failed');
        }
      }
      stop();
      expect(cache.watched).toEqual([]);
    }),
    { numRuns: 200 },
  );
});
