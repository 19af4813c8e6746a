import type { MeshError } from '../../core/errors.js';
import type { Route, RouteConfiguration } from '../../core/model/route.js';
import type { FilterChain } from '../../core/model/server.js';
import { claimPath } from '../../core/claims.js';
import { type Cors, compileCors } from '../../routing/cors.js';
import type { FormatEnv } from '../../routing/format/values.js';
import { RouteTable } from '../../routing/table/table.js';
import { VirtualHosts } from '../../routing/virtual-host.js';
import type { Gate } from '../gate.js';
import type { InboundView } from '../view.js';
import { ClaimedRoute } from './claimed-route.js';
import { type BindChanges, compileChanges } from './header-changes.js';

/** What becomes of a request. */
export type Decision = Serve | Refuse;

export interface Serve {
  readonly kind: 'serve';
  /** What the route changes about the request, before the application has it, and about the response. Not for gRPC servers. */
  readonly requestHeaders: BindChanges | undefined;
  readonly responseHeaders: BindChanges | undefined;
  /** What it makes of requests from browsers; not for gRPC servers either. */
  readonly cors: Cors | undefined;
  /** What has to let the request through, in order; undefined: nothing. */
  readonly gates: readonly Gate[] | undefined;
}

/** gRPC callers get UNAVAILABLE in every case (gRFC A36), others a 404 for `no-route`, as from Envoy, a 400 for `several-hosts`, and else a 503. */
export interface Refuse {
  readonly kind: 'refuse';
  readonly reason: 'no-route' | 'several-hosts' | 'unsupported-action' | 'no-configuration';
  /** For the caller; names no more of the configuration than the caller has to know. */
  readonly message: string;
}

/** What asks requests something, by their route. */
export interface RoutePolicies {
  gates(chain: FilterChain, route: Route): readonly Gate[] | undefined;
  /** Those of them that find out who makes a request. */
  identifying(chain: FilterChain, route: Route): readonly Gate[];
}

interface Host {
  readonly domains: readonly string[];
  readonly routes: RouteTable<Chosen>;
}

interface Chosen {
  readonly decision: Decision;
  readonly route: Route;
}

const NO_CLAIMS = Object.freeze({});
const matchesClaims = ({ match }: Route): boolean => match.headers.some(({ name }) => claimPath(name) !== undefined);

const NO_HOSTS = new VirtualHosts<Host>([], false);
const NO_ROUTE: Refuse = { kind: 'refuse', reason: 'no-route', message: 'no route of this server matches the request' };
const SEVERAL_HOSTS: Refuse = {
  kind: 'refuse',
  reason: 'several-hosts',
  message: 'the request has several Host fields: send one',
};
const UNSUPPORTED: Refuse = {
  kind: 'refuse',
  reason: 'unsupported-action',
  message: 'the route that matches the request is not for a server (its action is not non_forwarding_action)',
};
const NO_CONFIGURATION: Refuse = {
  kind: 'refuse',
  reason: 'no-configuration',
  message: 'the route configuration of this server cannot be used',
};

/** The routes of one filter chain, which may change under its connections: an update over RDS applies from the next request on. */
export class ChainRoutes {
  /** What the tables below were compiled from. */
  #config: RouteConfiguration | MeshError | undefined;
  #hosts: VirtualHosts<Host> = NO_HOSTS;
  #problems: readonly string[] = [];
  #gated = false;
  #answersBrowsers = false;
  /** Whether any route matches by what a token says. */
  #byClaims = false;

  constructor(
    readonly chain: FilterChain,
    private readonly env: FormatEnv,
    private readonly policies: RoutePolicies,
  ) {}

  /** What is wrong with the configuration, though it applies: gRFC A36, "configuration error logging". Empty: nothing. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** The configuration that can be used; undefined: there is none. */
  get config(): RouteConfiguration | undefined {
    return this.#config instanceof Error ? undefined : this.#config;
  }

  /** Whether there is a configuration that can be used. */
  get usable(): boolean {
    return this.config !== undefined;
  }

  /** Whether any route has gates. */
  get gated(): boolean {
    return this.#gated;
  }

  /** Whether any route tells browsers what their pages may do. */
  get answersBrowsers(): boolean {
    return this.#answersBrowsers;
  }

  /** Milliseconds that a request may take; undefined: no limit of the server's own. Envoy: 0 turns the limit off. */
  get maxDurationMs(): number | undefined {
    return this.chain.maxStreamDurationMs || undefined;
  }

  /** Takes over what its chain names; an inline configuration is the chain's own. */
  update(routes: ReadonlyMap<string, RouteConfiguration | MeshError>): void {
    const { routes: source } = this.chain;
    const config = source.kind === 'inline' ? source.config : routes.get(source.key ?? source.name);
    if (config === undefined || config === this.#config) return;
    this.#config = config;
    this.#gated = false;
    this.#answersBrowsers = false;
    if (config instanceof Error) {
      this.#hosts = NO_HOSTS;
      this.#problems = [`chain "${this.chain.name}": ${config.message}`];
      return;
    }
    const hosts = config.virtualHosts.map(({ domains, routes: own }) => ({
      domains,
      routes: new RouteTable(
        own.map((route) => ({ match: route.match, value: { decision: this.#decision(route), route } })),
        { random: this.env.random },
      ),
    }));
    this.#byClaims = config.virtualHosts.some(({ routes: own }) => own.some(matchesClaims));
    this.#hosts = new VirtualHosts(hosts, config.ignorePort);
    this.#problems = config.virtualHosts.flatMap((host) =>
      host.routes
        .filter(({ action }) => action.kind !== 'non_forwarding')
        .map(
          ({ name, action }) =>
            `chain "${this.chain.name}", route "${name}" of virtual host "${host.name}" in "${config.name}": requests that match it ` +
            `are refused, because ${action.kind === 'unservable' ? action.reason : 'its action is not non_forwarding_action'}`,
        ),
    );
  }

  /** "The VirtualHost is selected on a per-RPC basis using the RPC's requested `:authority`" - gRFC A36; the first route that matches wins. */
  decide(request: InboundView): Decision {
    if (this.#config === undefined || this.#config instanceof Error) return NO_CONFIGURATION;
    // "A server MUST respond with a 400 (Bad Request) status code to [...] any request message that contains more than one Host header field line" - RFC 9112 3.2
    if (request.severalHosts === true) return SEVERAL_HOSTS;
    const routes = this.#hosts.find(request.host)?.routes;
    if (!this.#byClaims) return routes?.find(request)?.decision ?? NO_ROUTE;
    // Neither what a client says of itself, nor what is known of a request in which this one happens to be made.
    request.claims = NO_CLAIMS;
    const chosen = routes?.find(request);
    if (routes === undefined || chosen === undefined) return NO_ROUTE;
    const { decision, route } = chosen;
    if (decision.kind === 'refuse') return decision;
    return new ClaimedRoute(decision, this.policies.identifying(this.chain, route), ({ caller }) => {
      request.claims = caller?.claims ?? NO_CLAIMS;
      return routes.find(request)?.decision ?? NO_ROUTE;
    });
  }

  /** "a Route with an inappropriate `action` causes RPCs matching that route ... to fail with UNAVAILABLE" - gRFC A36. */
  #decision(route: Route): Decision {
    const { action, requestHeaders, responseHeaders, cors } = route;
    if (action.kind !== 'non_forwarding') return UNSUPPORTED;
    const { env } = this;
    const gates = this.policies.gates(this.chain, route);
    if (gates !== undefined) this.#gated = true;
    if (cors !== undefined) this.#answersBrowsers = true;
    return {
      kind: 'serve',
      requestHeaders: compileChanges(requestHeaders, env),
      responseHeaders: compileChanges(responseHeaders, env),
      cors: cors === undefined ? undefined : compileCors(cors, env.random),
      gates,
    };
  }
}
