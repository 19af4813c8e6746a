import { isDeepStrictEqual } from 'node:util';
import type { Protocol } from '../../core/call.js';
import type { ClusterConfig, TlsOrigination } from '../../core/model/cluster.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { ConnectionLimits, Transport } from '../../core/transport.js';
import type { ClientEnv } from '../env.js';
import { FAILOVER_MS } from './level.js';

/** Opens the way to an endpoint of a cluster. `standIn`: others can serve in its place. */
export function connect(
  cluster: ClusterConfig,
  endpoint: EndpointConfig,
  protocol: Protocol,
  https: boolean,
  standIn: boolean,
  limits: ConnectionLimits,
  { clock, random, logger, transports }: ClientEnv,
): Transport {
  const { connectTimeoutMs, idleTimeoutMs } = cluster;
  // The application wrote https: the mesh must not make less of it, whatever the cluster says.
  const tls: TlsOrigination | undefined =
    cluster.tls ?? (https ? { sni: endpoint.hostname ?? endpoint.addresses[0].host } : undefined);
  const open = protocol === 'grpc' || cluster.protocol === 'http2' ? transports.http2 : transports.http1;
  return open({
    endpoint,
    tls,
    // The failover timer of gRFC A56 for the call that connects, too: where others can serve, nobody waits for longer.
    connectTimeoutMs: standIn ? Math.min(connectTimeoutMs, FAILOVER_MS) : connectTimeoutMs,
    idleTimeoutMs,
    limits,
    connections: cluster.connections,
    clock,
    random,
    logger,
  });
}

/** Whether connections made under the one configuration are not those that the other asks for. */
export function needsNewConnections(before: ClusterConfig, after: ClusterConfig): boolean {
  return (
    after.protocol !== before.protocol ||
    after.tls?.sni !== before.tls?.sni ||
    (after.tls === undefined) !== (before.tls === undefined) ||
    after.connectTimeoutMs !== before.connectTimeoutMs ||
    after.idleTimeoutMs !== before.idleTimeoutMs ||
    !isDeepStrictEqual(after.connections, before.connections)
  );
}
