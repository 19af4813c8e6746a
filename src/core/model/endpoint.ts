/** Where an endpoint can be reached. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** Envoy's `core.v3.HealthStatus`, as far as endpoints that are kept can have it. */
export type HealthStatus = 'unknown' | 'healthy' | 'draining';

/** One endpoint as configured. An endpoint is the unit of balancing and health, not its addresses (gRFC A61). */
export interface EndpointConfig {
  /** `host:port` of the first address: what identifies it across updates. */
  readonly key: string;
  /** At least one; the first is preferred. */
  readonly addresses: readonly [Address, ...Address[]];
  /** Name for `auto_host_rewrite` and SNI. */
  readonly hostname: string | undefined;
  /** Relative weight within its locality, 1 or more. Default 1. */
  readonly weight: number;
  readonly locality: Locality;
  /** Relative weight of the locality within its priority. */
  readonly localityWeight: number;
  /** 0 is used first. */
  readonly priority: number;
  readonly health: HealthStatus;
  /** `filter_metadata["envoy.lb"]` and `["inmesh.dev"]`, flattened; e.g. `version: v2`. */
  readonly labels: Readonly<Record<string, string>>;
}

/** `host:port`, IPv6 in brackets. */
export function addressKey({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
