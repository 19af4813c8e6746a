import type { HealthStatus } from '../../core/model/endpoint.js';
import type { Message } from './message.js';

/** `core.v3.HealthStatus` by name; endpoints whose last check timed out are unhealthy too. */
export const HEALTH_STATUS = {
  UNKNOWN: 'unknown',
  HEALTHY: 'healthy',
  UNHEALTHY: 'unhealthy',
  DRAINING: 'draining',
  TIMEOUT: 'unhealthy',
  DEGRADED: 'degraded',
} as const satisfies Record<string, HealthStatus>;

/** `common_lb_config.override_host_status` (gRFC A55): with which a session keeps its endpoint. */
export function sessionStatuses(common: Message): readonly HealthStatus[] | undefined {
  const set = common.message('override_host_status');
  if (set === undefined) return undefined;
  const found = new Set<HealthStatus>();
  for (const [i, name] of set.texts('statuses').entries()) {
    // "defined_only: true" - health_check.proto
    if (!Object.hasOwn(HEALTH_STATUS, name))
      throw set.error(`statuses[${i}]`, `must be one of ${Object.keys(HEALTH_STATUS).join(', ')}, got "${name}"`);
    found.add(HEALTH_STATUS[name as keyof typeof HEALTH_STATUS]);
  }
  return [...found];
}
