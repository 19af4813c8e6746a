import type { HealthCheckConfig } from '../../core/model/health-check.js';
import { addressKey, type EndpointConfig } from '../../core/model/endpoint.js';
import type { UpstreamTls } from '../../core/model/tls.js';
import type { EndpointHealth } from '../endpoints/health.js';
import type { CheckSession } from './check-session.js';
import { GrpcProbe } from './grpc-probe.js';
import { HttpProbe } from './http-probe.js';
import type { Probe, ProbeEnv, ProbeTarget } from './probe.js';
import { TcpProbe } from './tcp-probe.js';

/** What of an endpoint is asked, and told. */
export interface CheckedEndpoint {
  readonly key: string;
  readonly config: EndpointConfig;
  readonly health: Pick<EndpointHealth, 'checked'>;
}

/** What the checks of one endpoint have found. */
export type Finding = boolean | 'degraded' | undefined;

/** All must pass; one that has not ended yet says nothing. `undefined`: none has said anything. */
export function findingOf(sessions: readonly CheckSession[]): Finding {
  if (sessions.some(({ state }) => state === 'unhealthy')) return false;
  if (sessions.some(({ state }) => state === 'pending')) return undefined;
  return sessions.some(({ degraded }) => degraded) ? 'degraded' : true;
}

/** Whom a check of the endpoint asks: its own port and host for checks come before those of the check. */
export function targetOf(
  config: HealthCheckConfig,
  endpoint: EndpointConfig,
  cluster: { readonly name: string; readonly tls?: UpstreamTls | undefined },
): ProbeTarget {
  const port = endpoint.healthCheckPort ?? config.port;
  const [first, ...others] = endpoint.addresses;
  const withPort = (address: (typeof endpoint.addresses)[number]): typeof address =>
    port === undefined ? address : { host: address.host, port };
  const addresses: EndpointConfig['addresses'] = [withPort(first), ...others.map(withPort)];
  return {
    endpoint: { ...endpoint, key: addressKey(addresses[0]), addresses },
    // Envoy's order: `health_check_config.hostname` of the endpoint, the check's own host, the cluster's name.
    host: endpoint.healthCheckHost ?? ownHost(config) ?? cluster.name,
    tls: cluster.tls,
    timeoutMs: config.timeoutMs,
    reuseConnection: config.reuseConnection,
  };
}

function ownHost({ check }: HealthCheckConfig): string | undefined {
  if (check.kind === 'http') return check.host;
  return check.kind === 'grpc' ? check.authority : undefined;
}

/** Whether checks of an endpoint ask the same as before. */
export function asksTheSame(a: EndpointConfig, b: EndpointConfig): boolean {
  return (
    a.healthCheckPort === b.healthCheckPort &&
    a.healthCheckHost === b.healthCheckHost &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every((address, i) => {
      const other = b.addresses[i];
      return other !== undefined && address.host === other.host && address.port === other.port;
    })
  );
}

export function probeOf({ check }: HealthCheckConfig, target: ProbeTarget, env: ProbeEnv): Probe {
  switch (check.kind) {
    case 'http':
      return new HttpProbe(check, target, env);
    case 'grpc':
      return new GrpcProbe(check, target, env);
    case 'tcp':
      return new TcpProbe(check, target, env);
  }
}
