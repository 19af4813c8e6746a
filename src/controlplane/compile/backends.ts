import type { Resource } from '../../core/resources.js';
import type { HttpFilter } from '../yaml/schema/route.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { headerFields } from './filters.js';
import { type Mirror, mirrorsOf } from './mirrors.js';
import type { RouteDocument } from './parents.js';
import { wrapped } from './proto.js';
import type { References } from './references.js';
import type { MeshPort, MeshService } from './services.js';

export interface Backend {
  readonly port: MeshPort;
  readonly weight: number;
  readonly filters: readonly Partial<HttpFilter>[];
  /** That of its Service. */
  readonly policy: TrafficPolicySpec | undefined;
}

/** The backends of a rule that get traffic. */
export interface Backends {
  readonly valid: readonly Backend[];
  /** Weight of those that name nothing, or what they may not. */
  readonly danglingWeight: number;
  /** Those that get copies, of the rule and of a single backend. */
  readonly mirrors: readonly Mirror[];
}

/** The TrafficPolicy of each Service that has one. */
export type Policies = ReadonlyMap<MeshService, { readonly spec: TrafficPolicySpec }>;

/** The backends of every rule of every route, attached or not; each that is not there is reported, once. */
export function resolveBackends(
  routes: readonly RouteDocument[],
  references: References,
  policies: Policies,
): ReadonlyMap<RouteDocument, readonly Backends[]> {
  return new Map(
    routes.map((route) => [route, route.spec.rules.map((_, rule) => backendsOf(route, rule, references, policies))]),
  );
}

function backendsOf(route: RouteDocument, rule: number, references: References, policies: Policies): Backends {
  const valid: Backend[] = [];
  let danglingWeight = 0;
  const { backendRefs = [], filters = [] } = route.spec.rules[rule] ?? {};
  const mirrors = mirrorsOf(route, filters, ['spec', 'rules', rule, 'filters'], references);
  backendRefs.forEach((ref, index) => {
    const at = ['spec', 'rules', rule, 'backendRefs', index];
    const found = references.backend(route, at, ref);
    if (found === undefined) danglingWeight += ref.weight;
    else if (ref.weight > 0) {
      const policy = policies.get(found.service)?.spec;
      valid.push({ port: found.port, weight: ref.weight, filters: ref.filters ?? [], policy });
    }
    if (backendRefs.length === 1) mirrors.push(...mirrorsOf(route, ref.filters ?? [], [...at, 'filters'], references));
  });
  return { valid, danglingWeight, mirrors };
}

/**
 * The match for the dangling backends' share only, to stand before the match for the rest. When the match is for a share of the calls itself, the
 * rest has to leave out those that the first has taken.
 */
export function danglingShare(
  match: Resource,
  { valid, danglingWeight }: Backends,
): { fail: Resource; rest: Resource } {
  const dangling = danglingWeight / valid.reduce((sum, { weight }) => sum + weight, danglingWeight);
  const own = match['runtime_fraction'] as { default_value: { numerator?: number } } | undefined;
  if (own === undefined) return { fail: withShare(match, dangling), rest: match };
  const share = (own.default_value.numerator ?? 0) / MILLION;
  const rest = (share * (1 - dangling)) / (1 - share * dangling);
  return { fail: withShare(match, share * dangling), rest: withShare(match, rest) };
}

const MILLION = 1_000_000;

function withShare(match: Resource, share: number): Resource {
  const numerator = Math.round(share * MILLION);
  return {
    ...match,
    runtime_fraction: { default_value: { ...(numerator > 0 && { numerator }), denominator: 'MILLION' } },
  };
}

/** The cluster specifier of a RouteAction, and what goes with it. `byHash`: the hash of the call chooses. */
export function clusterSpecifier(backends: readonly [Backend, ...Backend[]], byHash = false): Resource {
  const only = backends.length === 1 ? backends[0] : undefined;
  if (only !== undefined && only.filters.length === 0) return { cluster: only.port.resourceName };
  const clusters = backends.map(({ port, weight, filters }) => ({
    name: port.resourceName,
    weight: wrapped(weight),
    ...headerFields(filters),
  }));
  return { weighted_clusters: { clusters, ...(byHash && { use_hash_policy: wrapped(true) }) } };
}
