import type { Resource } from '../../core/resources.js';
import type { DocumentOf } from '../yaml/document.js';
import { type CompiledFaults, compileFaults } from './faults.js';
import { limitRule, type Own, storeOf } from './limit-rules.js';
import type { RouteDocument } from './parents.js';
import { any, struct } from './proto.js';
import { quotaRules } from './quota-rules.js';
import type { References } from './references.js';
import { adviseRequests } from './request-advice.js';
import { type AttachedPolicies, attachPolicies, policiesOf, type RuleRef } from './request-policies.js';
import type { MeshService } from './services.js';

type RateLimits = DocumentOf<'RateLimitPolicy'>;
type Quotas = DocumentOf<'QuotaPolicy'>;
type Faults = DocumentOf<'FaultPolicy'>;
export type Side = 'client' | 'server';

/** Names of filters, and types of what a TypedStruct carries, that only inmesh knows. */
export const LIMITS = 'inmesh.dev/limits';
export const OWN_FAULT = 'inmesh.dev/fault';
/** Of a route, as its decoder has it. */
const MAX_RULES = 64;

export interface RequestFilterDocuments {
  readonly limits: readonly (RateLimits | Quotas)[];
  readonly faults: readonly Faults[];
  readonly routes: readonly RouteDocument[];
}

/** What policies of requests say to the filters of listeners. */
export class RequestFilters {
  readonly #limits: AttachedPolicies<RateLimits | Quotas>;
  readonly #faults: AttachedPolicies<Faults>;
  readonly #rules = new Map<RateLimits | Quotas, readonly Own[]>();
  readonly #compiledFaults: ReadonlyMap<Faults, CompiledFaults>;
  /** What sets of policies come to. */
  readonly #made = new Map<string, Resource>();
  readonly #told = new Set<RateLimits | Quotas>();

  /** `dangling`: where rate limit services are told that are not there. */
  constructor(
    { limits, faults, routes }: RequestFilterDocuments,
    private readonly references: References,
    dangling: References,
  ) {
    this.#limits = attachPolicies(limits, routes, references);
    this.#faults = attachPolicies(faults, routes, references);
    for (const policy of limits)
      this.#rules.set(policy, policy.kind === 'QuotaPolicy' ? quotaRules(policy) : rateLimitRules(policy, dangling));
    this.#compiledFaults = new Map(faults.map((policy) => [policy, compileFaults(policy)]));
  }

  /** Tells what is surely not as meant. */
  advise(references: References): void {
    adviseRequests([...this.#rules.keys()], [this.#limits, this.#faults], references);
  }

  /** Entries of `typed_per_filter_config` for what a rule matches; without one, for what no rule does. */
  overrides(side: Side, service: MeshService, at?: RuleRef): Resource {
    const limits = policiesOf(this.#limits, service, at).filter(({ spec }) => spec.side === side);
    const faults = policiesOf(this.#faults, service, at).filter(({ spec }) => spec.side === side);
    return { ...this.#limitOverrides(limits), ...this.#faultOverrides(faults) };
  }

  #limitOverrides(policies: readonly (RateLimits | Quotas)[]): Resource {
    const rules = policies.flatMap((policy) => this.#rules.get(policy) ?? []);
    const [last] = policies.slice(-1);
    if (last !== undefined && rules.length > MAX_RULES && !this.#told.has(last)) {
      this.#told.add(last);
      const message = `one rule of a route comes to ${rules.length} limits by all its policies: at most ${MAX_RULES} are looked at`;
      this.references.report(last, ['spec', 'targetRefs'], message);
    }
    if (rules.length === 0) return {};
    // Most rules of most routes are met by the same policies.
    const key = policies.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`).join(' ');
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const config = ownConfig(LIMITS, { rules, ...replyOf(policies.map(({ spec }) => spec)) });
    const made = { [LIMITS]: optional(config) };
    this.#made.set(key, made);
    return made;
  }

  #faultOverrides(policies: readonly Faults[]): Resource {
    const overrides: Record<string, Resource> = {};
    for (const policy of policies) {
      const { name, envoy, own } = this.#compiledFaults.get(policy) as CompiledFaults;
      if (envoy !== undefined) overrides[name] = optional(envoy);
      if (own !== undefined) overrides[`${OWN_FAULT}/${name}`] = optional(ownConfig(OWN_FAULT, own));
    }
    return overrides;
  }
}

/** "is_optional … the filter config will be ignored" by those that do not know it - gRFC A39. */
export const optional = (config: Resource): Resource =>
  any('envoy.config.route.v3.FilterConfig', { config, is_optional: true });

/** A filter of ours, for a listener and for routes alike. */
export const ownConfig = (type: string, value?: Own): Resource =>
  any('xds.type.v3.TypedStruct', {
    type_url: `type.googleapis.com/${type}`,
    ...(value !== undefined && { value: struct(value) }),
  });

type Reply = RateLimits['spec'] | Quotas['spec'];

/** What the most specific policy says, field by field. */
function replyOf(specs: readonly Reply[]): Own {
  const first = <T>(get: (spec: Reply) => T | undefined): T | undefined =>
    specs.map(get).find((value) => value !== undefined);
  const status = first((spec) => spec.status);
  const grpc = first((spec) => spec.grpcStatus);
  const x = first((spec) => spec.headers?.xRateLimit);
  const standard = first((spec) => spec.headers?.standard);
  const marked = first((spec) => spec.headers?.xEnvoyRateLimited);
  const headers = {
    ...(x !== undefined && { x_rate_limit: x }),
    ...(standard !== undefined && { standard }),
    ...(marked !== undefined && { x_envoy_rate_limited: marked }),
  };
  return {
    ...(status !== undefined && { status }),
    ...(grpc !== undefined && { grpc_status: grpc === 'UNAVAILABLE' ? 14 : 8 }),
    ...(Object.keys(headers).length > 0 && { headers }),
  };
}

/** What lets nobody through, in the place of a service that may not be asked, and without which nothing is to pass. */
const CLOSED = { algorithm: 'fixed_window', requests: 0, per_ms: 1_000 };

function rateLimitRules(policy: RateLimits, references: References): Own[] {
  return policy.spec.limits.flatMap((rule, index): Own[] => {
    const service = rule.store?.rateLimitService;
    if (service === undefined) return [limitRule(policy, rule, storeOf(rule.store, undefined))];
    const at = ['spec', 'limits', index, 'store', 'rateLimitService'];
    const found = references.backend(policy, at, service);
    if (found !== undefined) return [limitRule(policy, rule, storeOf(rule.store, found.port.resourceName))];
    if (rule.onStoreFailure !== 'deny') return [];
    const { store: _, ...closed } = rule;
    return [{ ...limitRule(policy, { ...closed, store: undefined }, { kind: 'local' }), limit: CLOSED }];
  });
}
