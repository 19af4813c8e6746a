import { createServer } from 'node:net';
import type { CertificateProviders } from '../../../src/core/identity.js';
import { tlsFactory } from '../../../src/identity/tls/factory.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { ConfigUnavailableError, type MeshError } from '../../../src/core/errors.js';
import type { Logger } from '../../../src/core/log.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Meter, noMeter } from '../../../src/core/meter.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import type { Route, RouteAction, RouteConfiguration } from '../../../src/core/model/route.js';
import type { FilterChain, FilterChainMatch, ServerListener } from '../../../src/core/model/server.js';
import { seededRandom } from '../../../src/core/random.js';
import type { ServerConfigWatcher, ServerKey, WatchServer } from '../../../src/core/server-config.js';
import { type ServableServer, type ServeOptions, type Serving, serveXds } from '../../../src/server/xds/index.js';
import { FakeClock, settle } from '../../support/fake-clock.js';

/** Parts of a server's configuration, to be varied by tests. */

const NON_FORWARDING: RouteAction = { kind: 'non_forwarding' };

export const route = (
  prefix: string,
  action: RouteAction = NON_FORWARDING,
  fields: Partial<Route['match']> = {},
): Route => ({
  name: `route ${prefix}`,
  match: {
    path: { kind: 'prefix', value: prefix, ignoreCase: false },
    headers: [],
    query: [],
    fraction: 1,
    grpcOnly: false,
    ...fields,
  },
  action,
  requestHeaders: undefined,
  responseHeaders: undefined,
});

export const table = (
  routes: readonly Route[],
  domains: readonly string[] = ['*'],
  name = 'routes',
): RouteConfiguration => ({
  name,
  ignorePort: false,
  virtualHosts: [{ name: 'host', domains, routes }],
});

const ANY: FilterChainMatch = { destination: [], sourceType: 'any', source: [], sourcePorts: [], rawBuffer: false };

export const chain = (
  name: string,
  match: Partial<FilterChainMatch> = {},
  fields: Partial<FilterChain> = {},
): FilterChain => ({
  name,
  match: { ...ANY, ...match },
  routes: { kind: 'inline', config: table([route('/')]) },
  maxStreamDurationMs: undefined,
  ...fields,
});

export const listener = (address: Address, fields: Partial<ServerListener> = {}): ServerListener => ({
  name: 'listener',
  address,
  filterChains: [],
  defaultFilterChain: chain('default'),
  ...fields,
});

/** Configuration that comes when the test says so. */
export class ScriptedConfig {
  readonly watchers = new Set<ServerConfigWatcher>();
  readonly addresses: ServerKey[] = [];

  readonly watch: WatchServer = (address, watcher) => {
    this.addresses.push(address);
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  changed(to: ServerListener, routes: Readonly<Record<string, RouteConfiguration | MeshError>> = {}): void {
    for (const watcher of this.watchers) watcher.changed({ listener: to, routes: new Map(Object.entries(routes)) });
  }

  failed(message: string): void {
    for (const watcher of this.watchers) watcher.failed(new ConfigUnavailableError(message));
  }

  ambient(message: string): void {
    for (const watcher of this.watchers) watcher.ambient(new ConfigUnavailableError(message));
  }
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freeAddress(host = '127.0.0.1'): Promise<Address> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return { host, port };
}

export interface Served {
  readonly serving: Serving;
  readonly config: ScriptedConfig;
  readonly clock: FakeClock;
  readonly deadlines: Deadlines;
  /** `SERVING`, `NOT_SERVING: why`. */
  readonly modes: string[];
  /** `warn: …` */
  readonly log: string[];
  close(): Promise<void>;
}

/** Serves with a clock that stands still. */
export function serve(
  server: ServableServer,
  address: Address,
  options: Partial<ServeOptions> = {},
  { meter = noMeter, providers }: { readonly meter?: Meter; readonly providers?: CertificateProviders } = {},
): Served {
  const random = seededRandom(1);
  const clock = providers === undefined ? new FakeClock() : new FakeClock(1_000, Date.now());
  const deadlines = new Deadlines(clock);
  const config = new ScriptedConfig();
  const modes: string[] = [];
  const log: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      log.push(`${level}: ${message}${fields?.['problem'] === undefined ? '' : ` ${fields['problem']}`}`);
    };
  const logger: Logger = { ...silentLogger, warn: write('warn'), error: write('error') };
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const serving = serveXds(
    server,
    {
      address: `${host}:${address.port}`,
      onServingMode: (mode, error) => modes.push(error === undefined ? mode : `${mode}: ${error.message}`),
      ...options,
    },
    {
      watch: config.watch,
      clock,
      random,
      logger,
      deadlines,
      meter,
      tls: tlsFactory({ clock, random, logger, providers }),
    },
  );
  const close = async (): Promise<void> => {
    await serving.close({ graceMs: 0 });
    deadlines.close();
  };
  return { serving, config, clock, deadlines, modes, log, close };
}

/** Turns the loop until it is so. Bounded by the test's own timeout. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}
