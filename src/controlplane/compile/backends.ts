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

/** The backends of a rule that exist and get traffic. The others are reported, all of them. */
export function backendsOf(route: RouteDocument, rule: number, references: References): Backend[] {
  const backends: Backend[] = [];
  (route.spec.rules[rule]?.backendRefs ?? []).forEach((ref, index) => {
    const at = ['spec', 'rules', rule, 'backendRefs', index];
    const service = references.service(route, [...at, 'name'], ref.namespace ?? route.namespace, ref.name);
    const port = service && references.port(route, [...at, 'port'], service, ref.port);
    if (port === undefined || ref.weight === 0) return;
    backends.push({ port, weight: ref.weight, filters: ref.filters ?? [] });
  });
  return backends;
}

/** The cluster specifier of a RouteAction, and what goes with it. */
export function clusterSpecifier(backends: readonly [Backend, ...Backend[]]): Resource {
  const only = backends.length === 1 ? backends[0] : undefined;
  if (only !== undefined && only.filters.length === 0) return { cluster: only.port.resourceName };
  const clusters = backends.map(({ port, weight, filters }) => ({ name: port.resourceName, weight: wrapped(weight), ...headerFields(filters) }));
  return { weighted_clusters: { clusters } };
}
