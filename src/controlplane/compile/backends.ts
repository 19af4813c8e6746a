import type { Resource } from '../../core/resources.js';
import type { HttpFilter } from '../yaml/schema/route.js';
import { headerFields } from './filters.js';
import type { RouteDocument } from './parents.js';
import { wrapped } from './proto.js';
import type { References } from './references.js';
import type { MeshPort } from './services.js';

export interface Backend {
  readonly port: MeshPort;
  readonly weight: number;
  readonly filters: readonly Partial<HttpFilter>[];
}

/** The backends of a rule that get traffic. */
export interface Backends {
  readonly valid: readonly Backend[];
  /** Weight of those that name nothing. */
  readonly danglingWeight: number;
}

/** The backends of every rule of every route, attached or not; each that is not there is reported, once. */
export function resolveBackends(
  routes: readonly RouteDocument[],
  references: References,
): ReadonlyMap<RouteDocument, readonly Backends[]> {
  return new Map(
    routes.map((route) => [route, route.spec.rules.map((_, rule) => backendsOf(route, rule, references))]),
  );
}

function backendsOf(route: RouteDocument, rule: number, references: References): Backends {
  const valid: Backend[] = [];
  let danglingWeight = 0;
  (route.spec.rules[rule]?.backendRefs ?? []).forEach((ref, index) => {
    const at = ['spec', 'rules', rule, 'backendRefs', index];
    const service = references.service(route, [...at, 'name'], ref.namespace ?? route.namespace, ref.name);
    const port = service && references.port(route, [...at, 'port'], service, ref.port);
    if (port === undefined) danglingWeight += ref.weight;
    else if (ref.weight > 0) valid.push({ port, weight: ref.weight, filters: ref.filters ?? [] });
  });
  return { valid, danglingWeight };
}

/** A match for the dangling backends' share only, to stand before the same match for the rest. */
export function danglingShare(match: Resource, { valid, danglingWeight }: Backends): Resource {
  const total = valid.reduce((sum, { weight }) => sum + weight, danglingWeight);
  const numerator = Math.round((danglingWeight / total) * 1_000_000);
  return { ...match, runtime_fraction: { default_value: { numerator, denominator: 'MILLION' } } };
}

/** The cluster specifier of a RouteAction, and what goes with it. */
export function clusterSpecifier(backends: readonly [Backend, ...Backend[]]): Resource {
  const only = backends.length === 1 ? backends[0] : undefined;
  if (only !== undefined && only.filters.length === 0) return { cluster: only.port.resourceName };
  const clusters = backends.map(({ port, weight, filters }) => ({
    name: port.resourceName,
    weight: wrapped(weight),
    ...headerFields(filters),
  }));
  return { weighted_clusters: { clusters } };
}
