import type { Clock } from '../core/clock.js';
import type { RouteLimits } from '../core/model/limit.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import type { Route, RouteConfiguration } from '../core/model/route.js';
import type { FilterChain, ServerListener } from '../core/model/server.js';
import type { Random } from '../core/random.js';
import type { LimitEnv } from '../resilience/ratelimit/env.js';
import { requestLimits } from '../resilience/ratelimit/request-limits.js';
import { limitMatching } from '../routing/limit-matching.js';
import { anyHeader } from '../routing/match/any-header.js';
import { INBOUND_PREFIX } from '../core/resources.js';
import { enforcing } from './enforced.js';
import { CallerGate, type CallerOf } from './caller.js';
import { FaultsGate, faultsOfServer } from './faults.js';
import type { Gate } from './gate.js';
import { LimitsGate } from './limits/gate.js';
import type { Outbound } from '../core/outbound.js';
import { ADMISSION, AUTHENTICATION, type SecurityPolicy } from './security.js';
import { AdaptiveLimits } from './shedding/adaptive.js';

export interface PolicyEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  /** Undefined: nobody counts, and limits of routes are not kept. */
  readonly limits: LimitEnv | undefined;
  readonly logger: Logger;
  /** By which keys are fetched and others are asked. Absent: nobody can be. */
  readonly outbound?: Outbound | undefined;
  /** Who makes a request, where the server finds that out itself. Absent: it does not, or somebody has asked before. */
  readonly caller?: CallerOf | undefined;
}

/** Policies that are remembered to have been warned of; beyond that each is warned of again. */
const MAX_WARNED = 1_000;

/** What a listener asks of requests before their handlers run. One per server: what it has counted and learnt outlives updates. */
export class ServerPolicies {
  readonly #authentication: SecurityPolicy;
  readonly #security: readonly SecurityPolicy[];
  readonly #concurrency: AdaptiveLimits;
  /** Name of a listener for any server of a service, which middleware watches, too. */
  #inbound: string | undefined;
  readonly #caller: Gate | undefined;
  readonly #limitEnv: LimitEnv | undefined;
  /** Those of a route that did not change stay, with who waits in their lines. */
  readonly #limits = new WeakMap<RouteLimits, LimitsGate>();
  readonly #faults = new WeakMap<NonNullable<Route['faults']>, FaultsGate | 'none'>();
  /** Policies whose faults of bodies have been warned of. */
  readonly #warned = new Set<string>();

  constructor(private readonly env: PolicyEnv) {
    this.#authentication = AUTHENTICATION(env);
    this.#security = [this.#authentication, ...ADMISSION.map((kind) => kind(env))];
    this.#concurrency = new AdaptiveLimits(env);
    this.#caller = env.caller && new CallerGate(env.caller);
    // Who makes a request is another one each time.
    this.#limitEnv = env.limits && { ...env.limits, matching: limitMatching({ random: env.random }) };
  }

  /** Takes over a listener; gates that were handed out before go on by the one before. */
  update(listener: ServerListener): void {
    this.#concurrency.update(listener);
    this.#inbound = listener.name.startsWith(INBOUND_PREFIX) ? listener.name : undefined;
  }

  /** The gates of a route, in the order in which requests come to them; undefined: none. */
  gates(chain: FilterChain, route: Route): readonly Gate[] | undefined {
    const security = this.security(chain, route); // first: who may not come in at all counts nowhere
    const gates: Gate[] = [
      this.#limitsOf(route), // what is refused costs nothing more
      this.#faultsOf(route), // above concurrency: a delay on purpose is no sign of load
      route.adaptiveConcurrency === 'off' ? undefined : this.#concurrency.of(chain), // last: what is refused before takes no place
    ].filter((gate) => gate !== undefined);
    if (gates.length + security.length === 0) return undefined;
    gates.unshift(...security);
    if (this.#caller !== undefined) gates.unshift(this.#caller); // before all that asks who it is
    if (this.#inbound !== undefined) gates.unshift(enforcing({ name: this.#inbound, chain }));
    return gates;
  }

  /** Those of them that are about who may do what; `route` undefined: for requests that no route takes. */
  security(chain: FilterChain, route: Route | undefined, routes?: RouteConfiguration | undefined): readonly Gate[] {
    return this.#security.map((policy) => policy.gate(chain, route, routes)).filter((gate) => gate !== undefined);
  }

  /** Those of them that find out who makes a request. */
  identifying(chain: FilterChain, route: Route): readonly Gate[] {
    return [this.#caller, this.#authentication.gate(chain, route)].filter((gate) => gate !== undefined);
  }

  close(): void {
    for (const policy of this.#security) policy.close?.();
    this.#concurrency.close();
  }

  #limitsOf({ limits, name }: Route): LimitsGate | undefined {
    if (limits === undefined || limits.rules.length === 0 || this.#limitEnv === undefined) return undefined;
    let gate = this.#limits.get(limits);
    if (gate === undefined) {
      gate = new LimitsGate(requestLimits(limits, this.#limitEnv), name);
      this.#limits.set(limits, gate);
    }
    return gate;
  }

  #faultsOf({ faults }: Route): FaultsGate | undefined {
    if (faults === undefined || faults.length === 0) return undefined;
    let gate = this.#faults.get(faults);
    if (gate === undefined) {
      const ours = faultsOfServer(faults, (policy, left) => this.#leave(policy, left));
      gate = ours.length === 0 ? 'none' : new FaultsGate(ours, { ...this.env, headers: anyHeader });
      this.#faults.set(faults, gate);
    }
    return gate === 'none' ? undefined : gate;
  }

  #leave(policy: string, faults: readonly string[]): void {
    if (this.#warned.has(policy)) return;
    if (this.#warned.size >= MAX_WARNED) this.#warned.clear();
    this.#warned.add(policy);
    this.env.logger.warn("faults of replies' bodies are for the side of the caller: this server leaves them out", {
      policy,
      faults,
    });
  }
}
