import { isDeepStrictEqual } from 'node:util';
import type { Protocol } from '../../core/call.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import { sameTls, systemTls } from '../../core/model/tls.js';
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
  { clock, random, logger, transports, tls }: ClientEnv,
): Transport {
  const { connectTimeoutMs, idleTimeoutMs } = cluster;
  // The application wrote https: the mesh must not make less of it, whatever the cluster says.
  const host = endpoint.hostname ?? endpoint.addresses[0].host;
  const origination = cluster.tls ?? (https ? systemTls(host) : undefined);
  const open = protocol === 'grpc' || cluster.protocol === 'http2' ? transports.http2 : transports.http1;
  return open({
    endpoint,
    tls: origination && tls.client(origination, host),
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
    !sameTls(after.tls, before.tls) ||
    after.connectTimeoutMs !== before.connectTimeoutMs ||
    after.idleTimeoutMs !== before.idleTimeoutMs ||
    !isDeepStrictEqual(after.connections, before.connections)
  );
}
