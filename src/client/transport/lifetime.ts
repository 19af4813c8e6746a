import { systemRandom } from '../../core/random.js';
import type { TransportOptions } from '../../core/transport.js';

/** "random jitter of +/-10% ... added to MAX_CONNECTION_AGE to spread out connection storms" - gRFC A9, which holds for clients as well. */
const SPREAD = 0.1;

/** How many calls one connection may carry: `ConnectionConfig.maxRequests`, Infinity without a limit. */
export const callsPerConnection = ({ connections }: TransportOptions): number =>
  connections !== undefined && connections.maxRequests > 0 ? connections.maxRequests : Number.POSITIVE_INFINITY;

/**
 * Runs `over` when a connection of this age, in milliseconds, has lived for `ConnectionConfig.maxLifetimeMs` ± 10 %, unless the result is called before.
 * Undefined, and no timer, when there is no limit.
 */
export function limitLifetime(options: TransportOptions, over: () => void, ageMs = 0): (() => void) | undefined {
  const { clock, connections, random = systemRandom } = options;
  const maxMs = connections?.maxLifetimeMs ?? 0;
  if (maxMs === 0) return undefined;
  return clock.after(maxMs * (1 - SPREAD + 2 * SPREAD * random.next()) - ageMs, over, { background: true });
}
