import type { FilterChain, ServerListener } from '../core/model/server.js';
import type { Route } from '../core/model/route.js';
import type { Gate } from './gate.js';
import { type AdaptiveEnv, AdaptiveLimits } from './shedding/adaptive.js';

export type PolicyEnv = AdaptiveEnv;

/** What a listener asks of requests before their handlers run. One per server: what it has counted and learnt outlives updates. */
export class ServerPolicies {
  readonly #concurrency: AdaptiveLimits;

  constructor(env: PolicyEnv) {
    this.#concurrency = new AdaptiveLimits(env);
  }

  /** Takes over a listener; gates that were handed out before go on by the one before. */
  update(listener: ServerListener): void {
    this.#concurrency.update(listener);
  }

  /** The gates of a route, in the order in which requests come to them; undefined: none. */
  gates(chain: FilterChain, _route: Route): readonly Gate[] | undefined {
    const gates = [
      this.#concurrency.of(chain), // last: what is refused before takes no place
    ].filter((gate) => gate !== undefined);
    return gates.length === 0 ? undefined : gates;
  }

  close(): void {
    this.#concurrency.close();
  }
}
