import type { Call } from '../../core/call.js';
import { MeshError } from '../../core/errors.js';
import type { ForwardAction, Route, WeightedCluster } from '../../core/model/route.js';
import type { TargetConfig } from '../../core/model/target.js';
import type { Reply } from '../../core/reply.js';
import { type Service, stack } from '../../core/service.js';
import { mutateHeaders } from '../../routing/header-mutation.js';
import { compileMatch } from '../../routing/match.js';
import type { Predicate } from '../../routing/request.js';
import type { ClusterRegistry, Keep } from '../endpoints/registry.js';
import type { ClientEnv } from '../env.js';
import { attemptFilters, routeFilters } from '../stack.js';
import { NoRouteError } from './errors.js';
import { directReply, redirectReply } from './local.js';
import { RouterClusters } from './clusters.js';
import { rewritePath } from './rewrite.js';

interface CompiledRoute {
  readonly name: string;
  /** Undefined: takes every call. */
  readonly matches: Predicate | undefined;
  readonly service: Service;
}

/**
 * A target's configuration made ready to serve: routes compiled, stacks composed, clusters acquired. What a route needs is made at the first call
 * that it serves: of a thousand clusters an application may call three.
 */
export class Router {
  readonly #routes: readonly CompiledRoute[];
  readonly #clusters: RouterClusters;

  constructor(
    config: TargetConfig,
    registry: ClusterRegistry,
    private readonly env: ClientEnv,
  ) {
    this.#clusters = new RouterClusters(config, registry);
    this.#routes = config.routes.map((route) => ({
      name: route.name,
      matches: compileMatch(route.match, env),
      service: this.#routeService(route),
    }));
  }

  get config(): TargetConfig {
    return this.#clusters.config;
  }

  /** Takes over a configuration that differs in what its clusters are like, at the cost of what differs. False when it needs another router. */
  update(config: TargetConfig): boolean {
    return this.#clusters.update(config);
  }

  /** The first route that matches serves the call. */
  readonly service: Service = (call) => {
    for (const route of this.#routes) {
      if (route.matches === undefined || route.matches(call)) {
        call.record.route = route.name;
        return route.service(call);
      }
    }
    return Promise.reject(new NoRouteError(`no route of "${call.authority}" matches ${call.method} ${call.path}`));
  };

  /** A newer configuration serves from now on; calls under way keep what they have. `keep`: for clusters that they may still need. */
  release(keep?: Keep): void {
    this.#clusters.release(keep);
  }

  #routeService(route: Route): Service {
    const { action } = route;
    const respond = (make: (call: Call) => Reply): Service => {
      const mutation = route.responseHeaders;
      return (call) => {
        const reply = make(call);
        if (mutation !== undefined) mutateHeaders(reply.headers, mutation);
        return Promise.resolve(reply);
      };
    };
    switch (action.kind) {
      case 'forward':
        return this.#forward(route, action);
      case 'redirect':
        return respond((call) => redirectReply(call, action, route.match.path));
      case 'direct':
        return respond(() => directReply(action));
      case 'non_forwarding':
        return () => Promise.reject(new NoRouteError(`route "${route.name}" is for servers: it forwards nothing`));
      case 'unservable':
        return () => Promise.reject(new NoRouteError(`route "${route.name}" cannot serve calls: ${action.reason}`));
    }
  }

  #forward(route: Route, action: ForwardAction): Service {
    const choices = action.clusters.map((weighted) => ({
      weighted,
      service: this.#toCluster(route, action, weighted),
    }));
    const [only, ...others] = choices.filter(({ weighted }) => weighted.weight > 0);
    if (only !== undefined && others.length === 0) return only.service;
    const { random } = this.env;
    // "one uniform pick over the sum" - gRFC A28. Retries remain in the cluster that was chosen.
    return (call) => {
      let at = random.next() * action.totalWeight;
      for (const { weighted, service } of choices) {
        at -= weighted.weight;
        if (at < 0) return service(call);
      }
      return (choices[0] as (typeof choices)[0]).service(call);
    };
  }

  #toCluster(route: Route, action: ForwardAction, weighted: WeightedCluster): Service {
    this.#clusters.claim(weighted.name);
    let service: Service | undefined;
    return (call) => {
      service ??= this.#compose(route, action, weighted);
      return service(call);
    };
  }

  #compose(route: Route, action: ForwardAction, weighted: WeightedCluster): Service {
    const cluster = this.#clusters.use(weighted.name);
    if (cluster === undefined || cluster instanceof MeshError) {
      const error =
        cluster ?? new NoRouteError(`route "${route.name}" names cluster "${weighted.name}", which does not exist`);
      return (call) => {
        call.record.cluster = weighted.name;
        return Promise.reject(error);
      };
    }
    // Looked up per attempt: an update of the cluster replaces its service.
    const attempts = stack(attemptFilters(action, this.env), (call) => cluster.service(call));
    const forward = stack(routeFilters(action, cluster, this.env), attempts);
    return prepared(route, action, weighted, cluster.statName, forward);
  }
}

/** What the route changes about the call, before anything is attempted, and about the reply. */
function prepared(
  route: Route,
  action: ForwardAction,
  weighted: WeightedCluster,
  statName: string,
  next: Service,
): Service {
  const { pathRewrite, hostRewrite } = action;
  const request = [weighted.requestHeaders, route.requestHeaders].filter((mutation) => mutation !== undefined);
  const response = [weighted.responseHeaders, route.responseHeaders].filter((mutation) => mutation !== undefined);
  return (call) => {
    call.record.cluster = statName;
    if (pathRewrite !== undefined) call.path = rewritePath(call.path, pathRewrite, route.match.path);
    if (hostRewrite?.kind === 'literal') call.host = hostRewrite.value;
    else if (hostRewrite?.kind === 'endpoint') call.hostFromEndpoint = true;
    for (const mutation of request) mutateHeaders(call.headers, mutation);
    if (response.length === 0) return next(call);
    return next(call).then((reply) => {
      for (const mutation of response) mutateHeaders(reply.headers, mutation);
      return reply;
    });
  };
}
