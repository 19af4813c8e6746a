import type { Protocol } from '../core/call.js';
import type { Meter } from '../core/meter.js';
import type { ServerConfig } from '../core/server-config.js';
import type { InboundContext } from './context.js';
import { alreadyEnforced, callers, type Policies } from './enforced.js';
import { type Gate, type Passage, pass } from './gate.js';
import type { ServerParts } from './parts.js';
import { ServerPolicies } from './policies.js';
import { ChainRoutes } from './xds/chain-routes.js';

/**
 * The policies that the configuration has for a service's own servers (the Listener `inmesh.dev/inbound/<service>`), for middleware: limits and faults by
 * route, and adaptive concurrency. What else the listener says, of connections or of headers, is for servers that it configures (mesh.serve).
 */
export class ServicePolicies {
  readonly #policies: ServerPolicies;
  #held: Policies | undefined;
  #routes: ChainRoutes | undefined;
  readonly #stop: () => void;
  /** Of requests that were looked at: the gates that each met. */
  readonly #met = new WeakMap<InboundContext, readonly Gate[]>();

  /** `known` runs with every word about the service: whether there are policies for it; undefined: nobody can tell. */
  constructor(
    service: string,
    private readonly parts: ServerParts,
    meter: Meter,
    known: (any: boolean | undefined) => void,
  ) {
    const { clock, random, limits, logger, outbound } = parts;
    this.#policies = new ServerPolicies({ clock, random, limits, meter, logger, outbound });
    this.#stop = parts.watch(
      { service },
      {
        changed: (config) => {
          this.#take(config);
          known(this.#routes?.gated === true);
        },
        // The last good ones stay.
        failed: ({ message }) => {
          logger.warn('policies of this service cannot be had', { service, message });
          known(undefined);
        },
        ambient: ({ message }) => logger.warn('policies of this service: the last ones stand', { service, message }),
      },
    );
  }

  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    if (this.#held === undefined || this.#routes?.gated !== true) return undefined;
    const { view } = context;
    // Looked at already, here or by the server that was handed the connection.
    if (view === undefined || this.#met.has(context)) return undefined;
    if (alreadyEnforced(view.raw, this.#held)) {
      context.caller ??= callers.get(view.raw);
      return undefined;
    }
    const decision = this.#routes.decide(view);
    const gates = decision.kind === 'serve' ? decision.gates : undefined;
    if (gates === undefined) return undefined;
    this.#met.set(context, gates);
    return pass(gates, context, protocol);
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
    const chain = listener.defaultFilterChain ?? listener.filterChains[0];
    this.#policies.update(listener);
    if (chain === undefined) this.#routes = undefined;
    else if (chain !== this.#held?.chain || this.#routes === undefined) {
      this.#routes = new ChainRoutes(chain, this.parts, (...of) => this.#policies.gates(...of));
    }
    this.#held = chain && { name: listener.name, chain };
    this.#routes?.update(routes);
  }
}
