import type { Locality } from '../../core/model/endpoint.js';
import type { InlineEndpoint, ServicePortSpec } from '../yaml/schema/service.js';

export interface MeshEndpoint {
  /** IP address or host name. */
  readonly host: string;
  readonly port: number;
  /** Where else it can be reached (gRFC A61). */
  readonly others: readonly { readonly host: string; readonly port: number }[];
  readonly weight: number;
  readonly locality: Locality;
  /** Undefined: not known. */
  readonly health: InlineEndpoint['health'];
  readonly labels: Readonly<Record<string, string>>;
  readonly hostname?: string | undefined;
  readonly hashKey?: string | undefined;
  readonly healthCheck?: InlineEndpoint['healthCheckConfig'];
}

/** Port of a Service that names none, and the one that a URL without port means. */
export const DEFAULT_PORT = 80;

/** Of a Service that has no ports. */
export const ONLY_PORT: ServicePortSpec = { port: DEFAULT_PORT, protocol: 'TCP' };

export const NOWHERE: Locality = { region: '', zone: '', subZone: '' };

/** `zone`, or Istio's `region/zone/subzone`. */
export function localityOf(zone: string | undefined | null, locality?: string): Locality {
  if (locality === undefined) return zone ? { ...NOWHERE, zone } : NOWHERE;
  const [region = '', inRegion = '', subZone = ''] = locality.split('/');
  return { region, zone: inRegion, subZone };
}

/** The labels that people put a version in: `version`, or Kubernetes' recommended `app.kubernetes.io/version`. */
export function versionLabel(labels: Readonly<Record<string, string>>): { version?: string } {
  const version = labels['version'] ?? labels['app.kubernetes.io/version'];
  return version === undefined ? {} : { version };
}
