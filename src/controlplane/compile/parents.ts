import type { DocumentOf } from '../yaml/document.js';
import type { References } from './references.js';
import type { MeshPort } from './services.js';

export type RouteDocument = DocumentOf<'HTTPRoute'> | DocumentOf<'GRPCRoute'>;

/** The routes attached to each port. */
export interface Attachments {
  readonly http: ReadonlyMap<MeshPort, readonly DocumentOf<'HTTPRoute'>[]>;
  readonly grpc: ReadonlyMap<MeshPort, readonly DocumentOf<'GRPCRoute'>[]>;
}

/**
 * Attaches routes to the ports that their `parentRefs` name. Of routes of different kinds on one port only the most specific kind
 * counts, GRPCRoute before HTTPRoute (GEP-1426); a route for which no port is left is a mistake.
 */
export function attach(
  httpRoutes: readonly DocumentOf<'HTTPRoute'>[],
  grpcRoutes: readonly DocumentOf<'GRPCRoute'>[],
  references: References,
): Attachments {
  const grpc = byPort(grpcRoutes, references, () => true);
  const http = byPort(httpRoutes, references, (port) => !grpc.has(port));
  return { http, grpc };
}

function byPort<R extends RouteDocument>(
  routes: readonly R[],
  references: References,
  free: (port: MeshPort) => boolean,
): Map<MeshPort, R[]> {
  const attached = new Map<MeshPort, R[]>();
  for (const route of routes) {
    route.spec.parentRefs.forEach((_, index) => {
      const ports = parentPorts(route, index, references);
      const open = ports.filter(free);
      if (ports.length > 0 && open.length === 0) {
        const message =
          'a GRPCRoute is attached to the same port, and then HTTPRoutes do not count (GEP-1426): put the rules into one kind of route';
        references.report(route, ['spec', 'parentRefs', index], message);
      }
      for (const port of open) {
        const others = attached.get(port);
        if (others === undefined) attached.set(port, [route]);
        else if (!others.includes(route)) others.push(route);
      }
    });
  }
  return attached;
}

/** The ports that one of a route's `parentRefs` means; what is wrong is reported. */
export function parentPorts(route: RouteDocument, index: number, references: References): readonly MeshPort[] {
  const parent = route.spec.parentRefs[index];
  if (parent === undefined) return [];
  const at = ['spec', 'parentRefs', index];
  const namespace = parent.namespace ?? route.namespace;
  if (namespace !== route.namespace) {
    const message = `a route for callers in one namespace only (consumer route, GEP-1426) is not supported by this version of inmesh: put the route into namespace "${namespace}"`;
    references.report(route, [...at, 'namespace'], message);
    return [];
  }
  const service = references.service(route, [...at, 'name'], namespace, parent.name);
  if (service === undefined) return [];
  let ports = service.ports;
  if (parent.sectionName !== undefined) {
    ports = ports.filter(({ name }) => name === parent.sectionName);
    if (ports.length === 0) {
      const names = service.ports.flatMap(({ name }) => (name === undefined ? [] : [name])).join(', ') || 'none';
      references.report(
        route,
        [...at, 'sectionName'],
        `Service "${service.name}" has no port named "${parent.sectionName}"; its names: ${names}`,
      );
    }
  }
  if (parent.port === undefined) return ports;
  const port = references.port(route, [...at, 'port'], service, parent.port);
  return ports.filter((candidate) => candidate === port);
}
