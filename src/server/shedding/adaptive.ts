import type { Protocol } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import type { AdaptiveConcurrency, FilterChain, ServerListener } from '../../core/model/server.js';
import type { Random } from '../../core/random.js';
import { GradientController } from '../../resilience/shedding/gradient-controller.js';
import { LoadShedder } from '../../resilience/shedding/shedder.js';
import type { InboundContext } from '../context.js';
import type { Gate } from '../gate.js';
import type { Refusal } from '../refusal.js';
import { HEALTH_CHECK, Places, shedRefusals, showLimit } from './places.js';

export interface AdaptiveEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
}

/**
 * Envoy's `adaptive_concurrency` filter: refuses the requests of one filter chain that are more than the gradient controller lets in. Priorities and the event
 * loop do not count, and every reply holds its place to its end, also a stream (AdaptiveConcurrencyFilter::encodeComplete); health checks take none, as in
 * Envoy. Unlike Envoy it learns nothing from requests that failed, and answers gRPC calls with RESOURCE_EXHAUSTED.
 */
export class AdaptiveLimit implements Gate {
  readonly #places: Places;
  readonly #hide: () => void;

  constructor(
    { status, ...config }: AdaptiveConcurrency,
    name: string,
    private readonly env: AdaptiveEnv,
  ) {
    const { clock, random, meter } = env;
    const unwatched = { shares: undefined, maxLagMs: Number.POSITIVE_INFINITY };
    const shedder = new LoadShedder(new GradientController(config, random), unwatched, clock);
    // Envoy's answer says nothing of when to come again.
    this.#places = new Places(shedder, shedRefusals(status, undefined), 'to-end');
    this.#hide = showLimit(shedder, name, meter);
  }

  refusal(context: InboundContext, protocol: Protocol): Refusal | undefined {
    if (protocol === 'grpc' && context.view?.path === HEALTH_CHECK) return undefined;
    return this.#places.take(context, protocol, this.env.meter);
  }

  handled(context: InboundContext): void {
    this.#places.handled(context);
  }

  withdrawn(context: InboundContext): void {
    this.#places.giveBack(context);
  }

  /** No longer shown in the metrics. */
  close(): void {
    this.#hide();
  }
}

/** The limits of a server's filter chains. One stays, with what it has learnt, through every update that leaves its configuration as it is. */
export class AdaptiveLimits {
  /** By the chain's name; a chain is the same by its name. */
  readonly #limits = new Map<string, { readonly config: string; readonly limit: AdaptiveLimit }>();

  constructor(private readonly env: AdaptiveEnv) {}

  /** Takes over the chains of a listener, and lets go of those that it no longer has. */
  update({ name, filterChains, defaultFilterChain }: ServerListener): void {
    const wanted = new Set<string>();
    for (const chain of [...filterChains, defaultFilterChain]) {
      if (chain?.adaptiveConcurrency === undefined) continue;
      wanted.add(chain.name);
      const config = JSON.stringify(chain.adaptiveConcurrency);
      const known = this.#limits.get(chain.name);
      if (known?.config === config) continue;
      known?.limit.close();
      const limit = new AdaptiveLimit(chain.adaptiveConcurrency, `${name}/${chain.name}`, this.env);
      this.#limits.set(chain.name, { config, limit });
    }
    for (const [chain, { limit }] of this.#limits) {
      if (wanted.has(chain)) continue;
      limit.close();
      this.#limits.delete(chain);
    }
  }

  of(chain: FilterChain): AdaptiveLimit | undefined {
    return this.#limits.get(chain.name)?.limit;
  }

  close(): void {
    for (const { limit } of this.#limits.values()) limit.close();
    this.#limits.clear();
  }
}
