import type { Protocol } from '../core/call.js';
import type { Meter } from '../core/meter.js';
import type { FilterChain, ServerListener } from '../core/model/server.js';
import { headerFields } from '../core/headers.js';
import { NoServerConfigError, type ServerConfig } from '../core/server-config.js';
import type { InboundContext } from './context.js';
import { alreadyEnforced, callers, type Policies } from './enforced.js';
import { type Gate, type Passage, pass } from './gate.js';
import type { ServerParts } from './parts.js';
import { MTLS_REQUIRED, POLICIES_UNKNOWN, PREFLIGHT, SEVERAL_HOSTS } from './refusal.js';
import { type ChainOf, serviceChains } from './service-chains.js';
import { isEncrypted } from './tls/carrier.js';
import { ServerPolicies } from './policies.js';
import { ChainRoutes } from './xds/chain-routes.js';

/** A chain, as requests meet it. */
interface Held extends Policies {
  readonly routes: ChainRoutes;
  /** What is asked of requests that no route takes. */
  readonly unrouted: readonly Gate[];
}

/**
 * The policies that the configuration has for a service's own servers (the Listener `inmesh.dev/inbound/<service>`), for middleware: limits and faults by
 * route, what browsers are told (CORS), and adaptive concurrency. What else the listener says, of connections or of headers, is for servers that it configures (mesh.serve).
 */
export class ServicePolicies {
  readonly #policies: ServerPolicies;
  /** Of chains that say different things of requests, each; and which is whose. */
  #held: ReadonlyMap<FilterChain, Held> = new Map();
  #chainOf: ChainOf = () => undefined;
  readonly #stop: () => void;
  /** Of requests that were looked at: the gates that each met. */
  readonly #met = new WeakMap<InboundContext, readonly Gate[]>();

  /** Whether anything is asked of anybody. */
  #asks = false;
  #secures = false;
  #securesRoutes = false;
  /** What a connection must be: any will do, TLS, or TLS with a client's certificate. */
  #connection: 'any' | 'tls' | 'mutual' = 'any';

  /** `named` as in `ServerKey`. `known` runs with every word about the service: whether there are policies for it; undefined: nobody can tell; `never`: nor ever will; `no-service`: there are none, and no such
   * service. */
  constructor(
    { service, named }: { readonly service: string; readonly named: boolean },
    private readonly parts: ServerParts,
    meter: Meter,
    known: (any: boolean | 'never' | 'no-service' | undefined) => void,
  ) {
    const { clock, random, limits, logger, outbound } = parts;
    this.#policies = new ServerPolicies({ clock, random, limits, meter, logger, outbound });
    this.#stop = parts.watch(
      { service, ...(!named && { named }) },
      {
        changed: (config) => {
          this.#take(config);
          known(this.#asks || config.noService === undefined ? this.#asks : 'no-service');
        },
        // The last good ones stay.
        failed: (error) => {
          const { message } = error;
          logger.warn('policies of this service cannot be had', { service, message });
          known(error instanceof NoServerConfigError ? 'never' : undefined);
        },
        ambient: ({ message }) => logger.warn('policies of this service: the last ones stand', { service, message }),
      },
    );
  }

  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    if (!this.#asks) return undefined;
    const { view } = context;
    // Looked at already, here or by the server that was handed the connection.
    if (view === undefined || this.#met.has(context)) return undefined;
    if (!this.#mayComeBy(context)) return MTLS_REQUIRED;
    const chain = this.#chainOf(context);
    const held = chain && this.#held.get(chain);
    const possible = held === undefined ? [...this.#held.values()] : [held];
    if (possible.some((policies) => alreadyEnforced(view.raw, policies))) {
      context.caller ??= callers.get(view.raw);
      return undefined;
    }
    // A connection that no chain takes, or of which nobody can tell which does.
    if (held === undefined) return possible.length === 0 ? undefined : POLICIES_UNKNOWN;
    const { routes, unrouted } = held;
    // Whatever they would say, it is not known.
    if (!routes.usable) return POLICIES_UNKNOWN;
    const decision = routes.decide(view);
    if (decision.kind === 'refuse' && decision.reason === 'several-hosts') return SEVERAL_HOSTS;
    // Who has no route here is not turned away, as middleware is in front of all that the application does; who may come in is asked all the same.
    const gates = (decision.kind === 'serve' ? decision.gates : unrouted) ?? [];
    const browser = decision.kind === 'serve' && protocol === 'http' ? decision.cors?.(view) : undefined;
    if (gates.length === 0 && browser === undefined) return undefined;
    this.#met.set(context, gates);
    if (browser === undefined) return pass(gates, context, protocol);
    const { headers } = browser;
    // Before anybody is asked who it is: browsers say nothing of that in a preflight.
    if (browser.kind === 'preflight') return { ...PREFLIGHT, headers };
    context.replyHeaders = Object.assign(context.replyHeaders ?? headerFields(), headers);
    // Pages read refusals, too (Envoy's filter adds its fields to local replies).
    const readable = (refusal: Passage): Passage =>
      refusal && { ...refusal, headers: Object.assign(headerFields(refusal.headers), headers) };
    const passage = pass(gates, context, protocol);
    return passage instanceof Promise ? passage.then(readable) : readable(passage);
  }

  /** Whether requests are not served whatever happens: then they are not, either, once nobody knows the policies any more. */
  get secures(): boolean {
    return this.#secures;
  }

  #mayComeBy(context: InboundContext): boolean {
    if (this.#connection === 'mutual') return context.peer !== undefined;
    return this.#connection === 'any' || isEncrypted(context.connection);
  }

  handled(context: InboundContext): void {
    for (const gate of this.#met.get(context) ?? []) gate.handled?.(context);
  }

  withdrawn(context: InboundContext): void {
    for (const gate of this.#met.get(context) ?? []) gate.withdrawn?.(context);
  }

  close(): void {
    this.#stop();
    this.#policies.close();
  }

  #take({ listener, routes }: ServerConfig): void {
    const { chains, of } = serviceChains(listener);
    this.#policies.update(listener);
    const held = new Map<FilterChain, Held>();
    for (const chain of chains) {
      const own = this.#held.get(chain)?.routes ?? this.#routesOf(chain);
      own.update(routes);
      const unrouted = this.#policies.security(chain, undefined, own.config);
      held.set(chain, { name: listener.name, chain, routes: own, unrouted });
    }
    this.#held = held;
    this.#chainOf = of;
    this.#connection = connectionFor(listener);
    const securesOthers = [...held.values()].some(({ unrouted }) => unrouted.length > 0);
    this.#asks =
      this.#connection !== 'any' ||
      securesOthers ||
      [...held.values()].some(({ routes: { gated, answersBrowsers, usable } }) => gated || answersBrowsers || !usable);
    this.#secures = this.#connection !== 'any' || securesOthers || this.#securesRoutes;
  }

  #routesOf(chain: FilterChain): ChainRoutes {
    return new ChainRoutes(chain, this.parts, {
      gates: (...of) => {
        this.#securesRoutes ||= this.#policies.security(...of).length > 0;
        return this.#policies.gates(...of);
      },
      identifying: (...of) => this.#policies.identifying(...of),
    });
  }
}

/** A server that has chains for TLS only takes nothing else; one that has others besides takes both. */
function connectionFor({ filterChains, defaultFilterChain }: ServerListener): 'any' | 'tls' | 'mutual' {
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  if (chains.length === 0 || chains.some(({ tls }) => tls === undefined)) return 'any';
  return chains.every(({ tls }) => tls?.requireClientCertificate === true) ? 'mutual' : 'tls';
}
