import type { Meter } from '../../core/meter.js';
import type { UpstreamTls } from '../../core/model/tls.js';
import type { ClientEnv } from '../env.js';
import type { Cluster } from './cluster.js';

/** 1, of what is said by its labels: how a cluster's connections are secured, to be joined with other metrics by `mesh.cluster`. */
export const SECURITY_GAUGE = 'mesh.cluster.security';

/** What Istio's metrics say where nobody knows. */
const UNKNOWN = 'unknown';

/**
 * Istio's labels of who talks to whom, by its names and with its values (istio.io, "Istio Standard Metrics"), as configured: a connection that is made has them. Absent
 * while neither is secured, nor this workload has an identity. Until the result is called.
 */
export function offerSecurity(
  cluster: Pick<Cluster, 'config'>,
  { meter, source }: Pick<ClientEnv, 'source'> & { meter: Meter },
): () => void {
  const { name, scope } = cluster.config;
  // Read with the value: certificates come, and configurations change.
  const labels = {
    'mesh.cluster': name,
    ...(scope === undefined ? {} : { 'grpc.target': scope }),
  };
  Object.defineProperties(labels, {
    source_principal: { enumerable: true, get: () => source?.principal ?? UNKNOWN },
    destination_principal: { enumerable: true, get: () => principalOf(cluster.config.tls) },
    connection_security_policy: { enumerable: true, get: () => policyOf(cluster.config.tls) },
  });
  const applies = (): boolean => cluster.config.tls !== undefined || source?.principal !== undefined;
  return meter.gauge(SECURITY_GAUGE, labels, () => (applies() ? 1 : Number.NaN));
}

/** TLS without a certificate of one's own is neither of the two. */
const policyOf = (tls: UpstreamTls | undefined): string =>
  tls === undefined ? 'none' : tls.identity === undefined ? UNKNOWN : 'mutual_tls';

/** The SPIFFE ID that its servers must have, where there is one only. */
function principalOf(tls: UpstreamTls | undefined): string {
  const [san, ...more] = tls?.sans ?? [];
  if (san?.type !== 'URI' || more.length > 0) return UNKNOWN;
  return san.match.kind === 'exact' && san.match.value.startsWith('spiffe://') ? san.match.value : UNKNOWN;
}
