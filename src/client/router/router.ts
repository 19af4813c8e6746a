import type { Call } from '../../core/call.js';
import { NoRouteError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';
import type { ForwardAction, Route } from '../../core/model/route.js';
import type { TargetConfig } from '../../core/model/target.js';
import type { Reply } from '../../core/reply.js';
import { type Service, stack } from '../../core/service.js';
import { compileMutation } from '../../routing/header-mutation.js';
import { directReply, redirectReply } from '../../routing/local.js';
import { RouteTable } from '../../routing/table/table.js';
import type { ClusterRegistry, Keep } from '../endpoints/registry.js';
import type { ClientEnv } from '../env.js';
import { policyFilters } from '../stack.js';
import { besideService } from './beside.js';
import { RouterClusters } from './clusters.js';
import { forwardService } from './forward.js';
import { changeReplies } from './mutate.js';

/** A route whose service is made at the first call that it serves. */
class LazyRoute {
  #service: Service | undefined;

  constructor(
    private readonly route: Route,
    private readonly make: (route: Route) => Service,
  ) {}

  get name(): string {
    return this.route.name;
  }

  get service(): Service {
    this.#service ??= this.make(this.route);
    return this.#service;
  }
}

/** Of a client of which nobody said who it is. */
const NOBODY = { labels: {}, principal: undefined };

/**
 * A target's configuration made ready to serve: routes compiled, clusters named; what a route needs is composed at its first call.
 */
export class Router {
  readonly #routes: RouteTable<LazyRoute>;
  readonly #clusters: RouterClusters;
  readonly #beside = new Map<string, Service>();

  constructor(
    config: TargetConfig,
    private readonly registry: ClusterRegistry,
    private readonly env: ClientEnv,
  ) {
    this.#clusters = new RouterClusters(config, registry, env);
    const make = (route: Route): Service => this.#serviceOf(route);
    this.#routes = new RouteTable(
      config.routes.map((route) => ({ match: route.match, value: new LazyRoute(route, make) })),
      { random: env.random, source: env.source ?? NOBODY },
    );
    for (const { action } of config.routes) if (action.kind === 'forward') this.#claim(action);
  }

  get config(): TargetConfig {
    return this.#clusters.config;
  }

  /** Takes over a configuration that differs in what its clusters are like, at the cost of what differs. False when it needs another router. */
  update(config: TargetConfig, keep?: Keep): boolean {
    return this.#clusters.update(config, keep);
  }

  /** Settled when the connections that are wanted ahead of calls, to any cluster that a route leads to, are open or cannot be had for now. */
  warmed(): Promise<unknown> {
    const names = new Set<string>();
    for (const { action } of this.config.routes) {
      if (action.kind === 'forward') for (const { name, weight } of action.clusters) if (weight > 0) names.add(name);
    }
    return this.#clusters.warmed(names);
  }

  /** The first route that matches serves the call. */
  readonly service: Service = (call) => {
    const route = this.#routes.find(call);
    if (route === undefined) {
      return Promise.reject(new NoRouteError(`no route of "${call.authority}" matches ${call.method} ${call.path}`));
    }
    call.record.route = route.name;
    return route.service(call);
  };

  /** For calls of the mesh's own to a cluster that routes name beside those that they lead to. Undefined: this target knows none of that name. */
  beside(cluster: string): Service | undefined {
    if (!this.config.clusters.has(cluster)) return undefined;
    let service = this.#beside.get(cluster);
    if (service === undefined) {
      service = besideService(cluster, this.#clusters, this.env);
      this.#beside.set(cluster, service);
    }
    return service;
  }

  /** A newer configuration serves from now on; calls under way keep what they have. `keep`: for clusters that they may still need. */
  release(keep?: Keep): void {
    this.#clusters.release(keep);
  }

  #claim({ clusters, mirrors = [] }: ForwardAction): void {
    for (const { name } of clusters) this.#clusters.claim(name);
    for (const { cluster } of mirrors) this.#clusters.claim(cluster);
  }

  #serviceOf(route: Route): Service {
    const { action, match } = route;
    switch (action.kind) {
      case 'forward':
        return forwardService(route, action, this.#clusters, this.env);
      case 'redirect': {
        const change = this.#replyChange(route);
        return this.#answering(route, (call) =>
          redirectReply(call, action, match.path, (reply) => change?.(call, reply)),
        );
      }
      case 'direct': {
        const change = this.#replyChange(route);
        return this.#answering(route, (call) => directReply(call, action, (reply) => change?.(call, reply)));
      }
      case 'non_forwarding':
        return () => Promise.reject(new NoRouteError(`route "${route.name}" is for servers: it forwards nothing`));
      case 'unservable':
        return () => Promise.reject(new NoRouteError(`route "${route.name}" cannot serve calls: ${action.reason}`));
    }
  }

  /** A route that answers by itself. Its policies hold all the same: to Envoy it is the router that answers, at the end of the filters. */
  #answering(route: Route, answer: (call: Call) => Reply): Service {
    const replies = changeReplies([route.responseHeaders], this.env);
    const cluster = { name: undefined, hold: (call: Call) => this.registry.hold(call) };
    return stack(policyFilters(route, cluster, replies, this.env), (call) => Promise.resolve(answer(call)));
  }

  /** What a route changes about a reply of its own. */
  #replyChange({ responseHeaders }: Route) {
    const mutate = compileMutation(responseHeaders);
    if (mutate === undefined) return undefined;
    type OwnReply = { readonly status: number; readonly headers: HeaderFields };
    return (call: Parameters<Service>[0], reply: OwnReply): void => mutate(reply.headers, call, reply, this.env);
  }
}
