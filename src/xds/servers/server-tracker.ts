import { SocketAddress } from 'node:net';
import { ConfigUnavailableError, type MeshError } from '../../core/errors.js';
import { type Address, addressKey } from '../../core/model/endpoint.js';
import { MATCHES_ALL } from '../../core/model/match.js';
import type { RouteConfiguration } from '../../core/model/route.js';
import type { ServerListener } from '../../core/model/server.js';
import { noServiceIn } from '../../core/no-service.js';
import { LISTENER } from '../../core/resources.js';
import type { ServerConfig, ServerConfigWatcher } from '../../core/server-config.js';
import { Slot, type SlotOwner, type Trouble } from '../dependencies/slot.js';
import type { ResourceCache } from '../resource-cache.js';
import type { Models } from '../resources/decoders.js';
import { retain } from '../resources/share.js';
import type { FilteredSource } from '../resources/server-filter-chain.js';
import { FilteredRoutes } from './filtered-routes.js';
import { RouteSlots } from './route-slots.js';

export interface ServerTrackerOptions {
  /** What the server listens on; undefined: that is no matter, and where there is no such Listener, `fallback` serves. */
  readonly address: Address | undefined;
  /** Name of the Listener that serves in its place; where there is neither, `open` does. Undefined: there is none. */
  readonly fallback?: string | undefined;
  /** Name of the Listener to ask for: the bootstrap's `server_listener_resource_name_template`. */
  readonly listenerName: string;
  readonly cache: ResourceCache;
}

/**
 * Everything that a server depends on (gRFC A36): its Listener, and the RouteConfigurations that the filter chains name. "Applying updates to a
 * Listener should be delayed until dependent resources have been attempted to be loaded": until then the one from before stands, and goes on to
 * follow its routes. Trouble with the Listener is the server's; trouble with a RouteConfiguration is that of the chains which name it.
 *
 * What happens within one turn is published once, at its end.
 */
export class ServerTracker {
  readonly #owner: SlotOwner = {
    changed: () => this.#schedule(),
    ambient: (error) => {
      if (this.#published !== undefined) this.out.ambient(this.#unavailable('last configuration stands', error));
    },
  };
  readonly #lds: Slot<typeof LISTENER>;
  /** Watched from the start, so that its word is there when the other's goes. */
  readonly #fallback: Slot<typeof LISTENER>;
  readonly #rds: RouteSlots;
  readonly #filtered = new FilteredRoutes();
  /** The listener that serves. */
  #active: ServerListener | undefined;
  /** The one that was read last, and what was made of it. */
  #seen: ServerListener | undefined;
  #next: ServerListener | undefined;
  #published: ServerConfig | undefined;
  /** What serves where there is no Listener, once it has. */
  #opened: ServerListener | undefined;
  /** What was told last when it was not a configuration of a Listener: nothing is told twice. */
  #told: string | undefined;
  #scheduled = false;
  #closed = false;

  constructor(
    private readonly options: ServerTrackerOptions,
    private readonly out: ServerConfigWatcher,
  ) {
    this.#lds = new Slot(options.cache, LISTENER, this.#owner);
    this.#fallback = new Slot(options.cache, LISTENER, {
      ...this.#owner,
      ambient: (error) => {
        if (this.#lds.value === undefined) this.#owner.ambient(error);
      },
    });
    this.#rds = new RouteSlots(options.cache, this.#owner);
  }

  /** Begins to watch; tells what can be told at once before it returns. */
  start(): void {
    const { listenerName, fallback } = this.options;
    this.#lds.point(listenerName);
    if (fallback !== undefined) this.#fallback.point(fallback);
    this.#evaluate();
  }

  close(): void {
    this.#closed = true;
    this.#lds.close();
    this.#fallback.close();
    this.#rds.close();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#evaluate();
    });
  }

  #evaluate(): void {
    const { value, trouble } = this.#lds;
    const { listenerName, address } = this.options;
    if (trouble?.reason === 'does-not-exist' && address === undefined)
      this.#fallBack(noServiceIn(trouble.error.message));
    else if (trouble !== undefined) this.#fail(trouble, listenerName);
    else if (value !== undefined) this.#serve(value, listenerName);
  }

  /** There is no Listener of that name. What stood before stands until it is known what there is in its place. */
  #fallBack(noService: string | undefined): void {
    const { fallback } = this.options;
    const { value, trouble } = this.#fallback;
    if (fallback === undefined || trouble?.reason === 'does-not-exist') this.#open(noService);
    else if (trouble !== undefined) this.#fail(trouble, fallback);
    else if (value !== undefined) this.#serve(value, fallback, noService);
  }

  #serve(value: Models[typeof LISTENER], name: string, noService?: string): void {
    const problem = value.kind === 'server' ? this.#addressProblem(value.listener) : CLIENT_LISTENER;
    if (problem !== undefined || value.kind !== 'server') {
      this.#fail({ error: new Error(problem), reason: 'invalid' }, name);
      return;
    }
    const listener = this.#recognised(value.listener);
    const names = routeNames(listener);
    this.#rds.want(names);
    if (this.#rds.settled(names)) this.#active = listener;
    const active = this.#active;
    this.#rds.keep(active === undefined ? names : new Set([...names, ...routeNames(active)]));
    if (active !== undefined) this.#publish(active, noService);
  }

  /** One that is as the serving one is the serving one, also when there was another in between: no connection has to go. */
  #recognised(listener: ServerListener): ServerListener {
    if (listener !== this.#seen) {
      this.#seen = listener;
      this.#next = retain(this.#active, listener);
    }
    return this.#next ?? listener;
  }

  /** "The XdsServer must be "not serving" if the address does not match." - gRFC A36 */
  #addressProblem({ address }: ServerListener): string | undefined {
    const own = this.options.address;
    if (own === undefined) return undefined;
    if (address.port === own.port && canonical(address.host) === canonical(own.host)) return undefined;
    return `its address ${addressKey(address)} is not the one that the server listens on, ${addressKey(own)}`;
  }

  #publish(listener: ServerListener, noService: string | undefined): void {
    const routes = new Map<string, RouteConfiguration | MeshError>();
    for (const source of rdsSources(listener)) {
      const known = this.#rds.known(source.name);
      if (known !== undefined) routes.set(source.key ?? source.name, this.#filtered.of(source, known));
    }
    this.#filtered.keep(routes);
    const last = this.#published;
    if (last?.listener === listener && last.noService === noService && sameEntries(last.routes, routes)) return;
    this.#told = undefined;
    this.#published = Object.freeze({ listener, routes, ...(noService !== undefined && { noService }) });
    this.out.changed(this.#published);
  }

  /** Nothing is asked of requests. */
  #open(noService: string | undefined): void {
    this.#forget();
    const told = `${OPEN}${noService ?? ''}`;
    if (this.#told === told) return;
    this.#told = told;
    this.#opened ??= openListener(this.options.listenerName);
    this.out.changed({ listener: this.#opened, routes: NO_ROUTES, ...(noService !== undefined && { noService }) });
  }

  #forget(): void {
    this.#rds.close();
    this.#active = undefined;
    this.#seen = undefined;
    this.#published = undefined;
  }

  #fail({ error, reason }: Trouble, listener: string): void {
    this.#forget();
    const told = this.#unavailable(`listener "${listener}" cannot be used (${reason})`, error);
    if (told.message === this.#told) return;
    this.#told = told.message;
    this.out.failed(told);
  }

  #unavailable(what: string, cause: Error): MeshError {
    const { address } = this.options;
    const server = address === undefined ? 'server' : `server ${addressKey(address)}`;
    return new ConfigUnavailableError(`${server}: ${what}: ${cause.message}`, { cause });
  }
}

/** In place of an error's message. */
const OPEN = 'open';
const NO_ROUTES: ServerConfig['routes'] = new Map();

/** One that takes every connection and serves every request. */
const openListener = (name: string): ServerListener => ({
  name,
  address: { host: '0.0.0.0', port: 0 },
  filterChains: [],
  defaultFilterChain: {
    name: 'open',
    match: { destination: [], sourceType: 'any', source: [], sourcePorts: [], rawBuffer: false },
    routes: { kind: 'inline', config: { name, ignorePort: false, virtualHosts: [OPEN_HOST] } },
    maxStreamDurationMs: undefined,
  },
});

const OPEN_HOST: RouteConfiguration['virtualHosts'][number] = {
  name: 'all',
  domains: ['*'],
  routes: [
    {
      name: 'all',
      match: MATCHES_ALL,
      action: { kind: 'non_forwarding' },
      requestHeaders: undefined,
      responseHeaders: undefined,
    },
  ],
};

const CLIENT_LISTENER = 'it is one for clients (api_listener): a server needs one with an address and filter chains';

/** Every RouteConfiguration that a chain names, each once. */
const routeNames = (listener: ServerListener): ReadonlySet<string> =>
  new Set(rdsSources(listener).map(({ name }) => name));

function rdsSources({ filterChains, defaultFilterChain }: ServerListener): FilteredSource[] {
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  return chains.flatMap(({ routes }) => (routes.kind === 'rds' ? [routes] : []));
}

/** `0:0:0:0:0:0:0:0` is `::`; what is no IP address stays as it is. */
function canonical(host: string): string {
  try {
    return new SocketAddress({ address: host, family: host.includes(':') ? 'ipv6' : 'ipv4' }).address;
  } catch {
    return host;
  }
}

function sameEntries<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of b) if (a.get(name) !== value) return false;
  return true;
}
