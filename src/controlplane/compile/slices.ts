import { addressKey } from '../../core/model/endpoint.js';
import type { DocumentOf } from '../yaml/document.js';
import type { SliceEndpoint, SlicePort } from '../yaml/schema/endpoint-slice.js';
import type { ServicePortSpec } from '../yaml/schema/service.js';
import { localityOf, type MeshEndpoint, ONLY_PORT, versionLabel } from './mesh-endpoint.js';

type Slice = DocumentOf<'EndpointSlice'>;

/** What slices have for one port of a Service. A Pod that is in a slice of each address family is one endpoint with two addresses (gRFC A61). */
export function sliceEndpoints(slices: readonly Slice[], port: ServicePortSpec): MeshEndpoint[] {
  const found: MeshEndpoint[] = [];
  /** By Pod: where its endpoint is in `found`, and the family that it came with. */
  const pods = new Map<string, { readonly index: number; readonly family: string }>();
  for (const slice of slices) {
    const number = slicePort(slice, port)?.port;
    if (!number) continue;
    const family = slice.spec.addressType;
    for (const given of (slice.spec.endpoints ?? []).filter(isServing)) {
      const endpoint = meshEndpoint(given, slice, number);
      const pod = family === 'FQDN' ? undefined : podOf(given, slice.namespace);
      const known = pod === undefined ? undefined : pods.get(pod);
      const first = known && found[known.index];
      if (known !== undefined && first !== undefined && known.family !== family) {
        if (![first, ...first.others].some((other) => addressKey(other) === addressKey(endpoint)))
          found[known.index] = { ...first, others: [...first.others, { host: endpoint.host, port: number }] };
        continue;
      }
      if (pod !== undefined && known === undefined) pods.set(pod, { index: found.length, family });
      found.push(endpoint);
    }
  }
  return found;
}

function meshEndpoint(given: SliceEndpoint, slice: Slice, port: number): MeshEndpoint {
  return {
    host: (given.addresses[0] as string).toLowerCase(),
    port,
    others: [],
    weight: given.weight,
    locality: localityOf(given.zone),
    health: given.conditions?.terminating === true ? 'DRAINING' : undefined,
    labels: versionLabel(slice.labels),
    hashKey: given.hashKey,
  };
}

/** What says that two endpoints are one: the object behind them. */
function podOf({ targetRef }: SliceEndpoint, namespace: string): string | undefined {
  if (targetRef?.uid) return targetRef.uid;
  return targetRef?.name && `${targetRef.kind ?? ''}/${targetRef.namespace ?? namespace}/${targetRef.name}`;
}

/** Whether the slice has a port for any of the Service's. */
export const fitsService = (slice: Slice, { spec }: DocumentOf<'Service'>): boolean =>
  (spec.ports ?? [ONLY_PORT]).some((port) => slicePort(slice, port) !== undefined);

/** Kubernetes joins the two by the port's name; an unnamed port is the empty name. A Service without ports takes the slice's first. */
function slicePort({ spec }: Slice, port: ServicePortSpec): SlicePort | undefined {
  const candidates = (spec.ports ?? []).filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP');
  return port === ONLY_PORT ? candidates[0] : candidates.find(({ name }) => (name ?? '') === (port.name ?? ''));
}

/** "ready … nil should be interpreted as true"; `serving` is the same without regard to termination. - EndpointConditions. */
function isServing({ conditions }: SliceEndpoint): boolean {
  return conditions?.serving ?? conditions?.ready ?? true;
}
