import type { Call } from '../../core/call.js';
import type { HealthStatus } from '../../core/model/endpoint.js';
import type { Endpoint } from '../endpoints/endpoint.js';

/** "UNKNOWN" and "HEALTHY" by default - gRFC A55; Envoy has DEGRADED as well. */
const DEFAULT_STATUSES: readonly HealthStatus[] = ['unknown', 'healthy', 'degraded'];

/**
 * The endpoint that the call's session is bound to, if it may still be used; undefined: the balancer chooses (gRFC A55, A60). Asked before the
 * levels, as it may be of any priority (gRFC A75), and with `statuses` that say so may be draining: that is what keeps sessions while an endpoint
 * is taken out. One that was tried, ejected or found dead is not used, whatever its status; where only that one will do it is, since each call to it
 * is the only one that can tell whether it is back.
 */
export function sessionEndpoint(
  { affinity, tried, strictAffinity = false }: Partial<Pick<Call, 'affinity' | 'tried' | 'strictAffinity'>>,
  endpoints: ReadonlyMap<string, Endpoint>,
  statuses: readonly HealthStatus[] = DEFAULT_STATUSES,
): Endpoint | undefined {
  if (affinity === undefined) return undefined;
  const endpoint = endpoints.get(affinity);
  if (endpoint === undefined) return undefined;
  if (!strictAffinity && (endpoint.reach === 'unreachable' || tried?.includes(affinity) === true)) return undefined;
  const { config, health } = endpoint;
  if (!statuses.includes(config.health)) return undefined;
  // A configured status that the statuses allow is no reason against it; what others found is.
  return health.refused ? undefined : endpoint;
}
