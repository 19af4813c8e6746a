import { loadHash64 } from '../../../../src/client/balancer/hash.js';
import { Destinations } from '../../../../src/client/destinations.js';
import type { ClientEnv } from '../../../../src/client/env.js';
import { Call } from '../../../../src/core/call.js';
import { Deadlines } from '../../../../src/core/deadlines.js';
import { CancelledError, MeshError } from '../../../../src/core/errors.js';
import { appendHeader, headerFields } from '../../../../src/core/headers.js';
import { silentLogger } from '../../../../src/core/log.js';
import { noMeter } from '../../../../src/core/meter.js';
import type { PathMatch } from '../../../../src/core/model/match.js';
import type { Route, RouteConfiguration } from '../../../../src/core/model/route.js';
import { type Random, seededRandom } from '../../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType, ROUTE } from '../../../../src/core/resources.js';
import type { Transport } from '../../../../src/core/transport.js';
import { LimitStores } from '../../../../src/resilience/ratelimit/stores.js';
import { limitMatching } from '../../../../src/routing/limit-matching.js';
import { compileMatch } from '../../../../src/routing/match.js';
import type { Models } from '../../../../src/xds/resources/decoders.js';
import type { ResourceCache } from '../../../../src/xds/resource-cache.js';
import { xdsConfigSource } from '../../../../src/xds/source.js';
import { ConnectError } from '../../../../src/client/transport/errors.js';
import { aReply } from '../../../support/calls.js';
import { decodeNow } from '../../../support/decoders.js';
import { FakeClock, settle } from '../../../../src/testing/fake-clock.js';
import { filterOf, typedStruct } from '../../../support/route-filters.js';
import {
  any,
  clusterResource,
  endpointResource,
  listenerResource,
  routerFilter,
  routeResource,
  toCluster,
} from '../../../support/xds-resources.js';
import { testTls } from '../../../support/tls.js';

/** The name of the resource under test; what it needs beside itself has other names and is in order. */
export const NAME = 'n';
/** Turns of the event loop that a cancelled call may take to end. */
const MAX_TURNS = 1_000;
const DNS_HOSTS: readonly string[] = ['10.9.9.1', 'fd00::9', '10.9.9.2'];

type AnyModel = Models[ResourceType];
type Accepted = { readonly [T in ResourceType]: { readonly type: T; readonly model: Models[T] } }[ResourceType];

/** They do nothing themselves, and have routes say something to them. */
const quietFilters = [
  filterOf('fault', any('envoy.extensions.filters.http.fault.v3.HTTPFault')),
  filterOf('own-fault', typedStruct('inmesh.dev/fault')),
  filterOf('limits', typedStruct('inmesh.dev/limits')),
  filterOf('local', any('envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit', { stat_prefix: 's' })),
  filterOf(
    'rls',
    any('envoy.extensions.filters.http.ratelimit.v3.RateLimit', {
      domain: 'd',
      rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: 'limits' } } },
    }),
  ),
];

const GOOD: { readonly [T in ResourceType]: Models[T] } = {
  [LISTENER]: decodeNow(
    LISTENER,
    listenerResource('good', NAME, { http_filters: [...quietFilters, routerFilter] }),
    'good',
  ),
  [ROUTE]: decodeNow(ROUTE, routeResource('good', [toCluster(NAME)]), 'good'),
  [CLUSTER]: decodeNow(
    CLUSTER,
    clusterResource('good', { eds_cluster_config: { eds_config: { ads: {} }, service_name: NAME } }),
    'good',
  ),
  [ENDPOINT]: decodeNow(ENDPOINT, endpointResource('good', 80, 81), 'good'),
};

/** Everything there is: one resource under test, and for every other name one in order. */
class OneResource implements ResourceCache {
  constructor(
    private readonly type: ResourceType,
    private readonly model: AnyModel,
  ) {}

  watch(...[type, name, watcher]: Parameters<ResourceCache['watch']>): () => void {
    watcher.changed(type === this.type && name === NAME ? this.model : GOOD[type]);
    return () => {};
  }
}

/** As the mesh loads it, before it delivers what needs it. */
const hash64 = await loadHash64();

/**
 * A client that has accepted a resource: the real tracker, router, balancers and policies, over endpoints that answer from memory. What was
 * accepted must not throw later; only MeshErrors may come out of calls.
 */
export class Served {
  /** Calls made. */
  calls = 0;
  readonly #clock = new FakeClock();
  readonly #random: Random;
  readonly #env: ClientEnv;
  /** Neither Redis nor a rate limit service is there: what is lost is lost as rules say. */
  readonly #stores: LimitStores;
  readonly #open: { readonly destinations: Destinations; readonly calls: Call[] }[] = [];
  readonly #problems: unknown[] = [];
  /** Calls of which nothing was heard yet. */
  readonly #underWay = new Set<Call>();

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#stores = new LimitStores({ clock: this.#clock, random: this.#random, meter: noMeter, logger: silentLogger });
    const connect = (): Transport => ({
      connections: 1,
      call: () => this.#answer(),
      connect: async () => {},
      close: async () => {},
    });
    this.#env = {
      clock: this.#clock,
      random: this.#random,
      deadlines: new Deadlines(this.#clock),
      logger: silentLogger,
      meter: noMeter,
      tracer: undefined,
      tls: testTls({ clock: this.#clock }),
      transports: { http1: connect, http2: connect },
      hash64,
      limits: {
        clock: this.#clock,
        meter: noMeter,
        stores: this.#stores,
        matching: limitMatching({ random: this.#random, source: { labels: {}, principal: undefined } }),
      },
    };
  }

  /** Makes one call for each route; how they end is told by `settle`. */
  serve({ type, model }: Accepted): void {
    if (type === LISTENER && model.kind === 'server') {
      this.#serverRoutes(model.listener.filterChains.map(({ routes }) => routes));
      return;
    }
    const config = routesOf({ type, model } as Accepted);
    const destinations = this.#client(type, model);
    const calls: Call[] = [];
    for (const { domains, routes } of config.virtualHosts) {
      const authority = (domains[0] ?? '*').replace('*', 'x');
      for (const route of routes) calls.push(this.#call(destinations, authority, route));
    }
    if (calls.length === 0) calls.push(this.#call(destinations, 'any', undefined));
    this.#open.push({ destinations, calls });
  }

  /** Lets everything end that was begun. Throws what went wrong, if something did. */
  async settle(): Promise<void> {
    await settle();
    // Back-offs of retries.
    await this.#clock.advance(300);
    for (const { calls } of this.#open) for (const call of calls) call.cancel(new CancelledError('the test is over'));
    await Promise.all(this.#open.map(({ destinations }) => destinations.close()));
    this.#open.length = 0;
    // Some end later than others: where the first retry of a process is, its module is loaded.
    for (let turn = 0; turn < MAX_TURNS && (turn === 0 || this.#underWay.size > 0); turn++) await settle();
    const problem = this.#problems.shift();
    if (problem !== undefined) throw problem;
    if (this.#underWay.size > 0) throw new Error(`${this.#underWay.size} calls did not end when they were cancelled`);
    this.#env.deadlines.close();
    await this.#stores.close();
    if (this.#clock.pending > 0) throw new Error(`${this.#clock.pending} timers were left`);
  }

  #client(type: ResourceType, model: AnyModel): Destinations {
    const { clock } = this.#env;
    const source = xdsConfigSource({
      cache: new OneResource(type, model),
      listenerName: () => NAME,
      dns: { resolve: () => Promise.resolve(DNS_HOSTS), clock, random: this.#random, logger: silentLogger },
      logger: {
        ...silentLogger,
        error: (message, fields) => this.#problems.push(new Error(`${message} ${JSON.stringify(fields)}`)),
      },
      ready: () => Promise.resolve(),
      close: () => Promise.resolve(),
    });
    return new Destinations(source, this.#env, { policy: () => 'deny', resolve: () => Promise.resolve(DNS_HOSTS) });
  }

  #call(destinations: Destinations, authority: string, route: Route | undefined): Call {
    this.calls++;
    const headers = headerFields();
    for (const { name, match } of route?.match.headers ?? []) {
      if (name.startsWith(':')) continue;
      const value =
        match.kind === 'regex'
          ? 'aaa'
          : match.kind === 'range'
            ? String(match.start)
            : 'value' in match
              ? match.value
              : 'x';
      appendHeader(headers, name, value);
    }
    const isGrpc = this.#random.int(3) === 0;
    const call = new Call({
      protocol: isGrpc ? 'grpc' : 'http',
      scheme: this.#random.int(4) === 0 ? 'https' : 'http',
      authority,
      method: isGrpc ? 'POST' : 'GET',
      path: examplePath(route?.match.path),
      headers,
      timeoutMs: this.#random.int(2) === 0 ? 1_000 : undefined,
    });
    this.#underWay.add(call);
    destinations.service(call).then(
      () => this.#underWay.delete(call),
      (error: unknown) => {
        this.#underWay.delete(call);
        if (!(error instanceof MeshError)) this.#problems.push(error);
      },
    );
    return call;
  }

  #answer(): Promise<ReturnType<typeof aReply>> {
    const kind = this.#random.int(6);
    if (kind === 0) return Promise.reject(new ConnectError('10.0.0.1:80', 'refused'));
    return Promise.resolve(aReply(kind === 1 ? 503 : 200, { 'x-env': 'a' }));
  }

  /** What a server does with routes that came with its listener: it looks for the first that matches. */
  #serverRoutes(sources: readonly { readonly kind: string; readonly config?: RouteConfiguration }[]): void {
    for (const { config } of sources) {
      for (const { match } of config?.virtualHosts.flatMap(({ routes }) => routes) ?? []) {
        this.calls++;
        compileMatch(match, { random: this.#random })?.({
          method: 'GET',
          path: examplePath(match.path),
          host: 'a',
          scheme: 'http',
          protocol: 'http',
          headers: headerFields(),
        });
      }
    }
  }
}

function routesOf({ type, model }: Accepted): RouteConfiguration {
  if (type === ROUTE) return model;
  if (type === LISTENER && model.kind === 'api' && model.routes.kind === 'inline') return model.routes.config;
  return GOOD[ROUTE];
}

/** A path that the match accepts, where one can be told. */
function examplePath(match: PathMatch | undefined): string {
  const path = match === undefined || match.kind === 'regex' ? '/a/b?q=1' : match.value;
  return path.startsWith('/') ? path : `/${path}`;
}
