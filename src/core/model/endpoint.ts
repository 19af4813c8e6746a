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

/**
 * Envoy's `core.v3.HealthStatus` (`timeout` counts as unhealthy). One that is degraded is used when there are too few healthy ones; one that drains gets no
 * new calls, but keeps sessions (gRFC A55); one that is unhealthy is for panic only.
 */
export type HealthStatus = 'unknown' | 'healthy' | 'degraded' | 'draining' | 'unhealthy';

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
  /** `Endpoint.health_check_config.port_value` and `hostname`. */
  readonly healthCheckPort?: number | undefined;
  readonly healthCheckHost?: string | undefined;
  /** `envoy.lb` metadata `hash_key`: what ring hash and Maglev hash in place of the address (gRFC A76). */
  readonly hashKey?: string | undefined;
}

/** `host:port`, IPv6 in brackets. */
export function addressKey({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
