import type { MeshPort, MeshService } from './services.js';

const CLUSTER_DOMAIN = 'cluster.local';

/**
 * Every form in which callers may write a Service's name, as Kubernetes' DNS has them: `reviews` (when `short`), `reviews.prod`,
 * `reviews.prod.svc`, `reviews.prod.svc.cluster.local`.
 */
export function nameForms({ name, namespace }: { name: string; namespace: string }, short: boolean): string[] {
  const qualified = `${name}.${namespace}`;
  return [...(short ? [name] : []), qualified, `${qualified}.svc`, `${qualified}.svc.${CLUSTER_DOMAIN}`];
}

/** Names of the listeners for one port: each form with `:port`, and for the Service's default port also without. */
export function listenerNames(service: MeshService, port: MeshPort, short: boolean): string[] {
  return (service.hosts ?? nameForms(service, short)).flatMap((form) =>
    port === service.defaultPort ? [form, `${form}:${port.number}`] : [`${form}:${port.number}`],
  );
}

/** Name of the cluster, of its endpoints and of its routes: `reviews.prod:8080`. */
export const portResourceName = (namespace: string, name: string, port: number): string =>
  `${name}.${namespace}:${port}`;

/**
 * The Services that answer to their bare name. A client's namespace is not known when resources are made, so that of two Services
 * with one name only the one in namespace `default` has it; where there is none, nobody does.
 */
export function shortNames(services: readonly MeshService[]): ReadonlySet<MeshService> {
  const byName = new Map<string, MeshService[]>();
  for (const service of services) {
    if (service.hosts !== undefined) continue;
    const others = byName.get(service.name);
    if (others === undefined) byName.set(service.name, [service]);
    else others.push(service);
  }
  const owners = new Set<MeshService>();
  for (const candidates of byName.values()) {
    const owner = candidates.length === 1 ? candidates[0] : candidates.find(({ namespace }) => namespace === 'default');
    if (owner !== undefined) owners.add(owner);
  }
  return owners;
}
