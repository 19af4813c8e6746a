import type { Call } from '../../core/call.js';
import type { PickRequest } from '../balancer/balancer.js';
import type { Endpoint } from './endpoint.js';

/**
 * Envoy's way around endpoints that were tried: the balancer, which is not told of them, chooses; one of them is refused, and it chooses again, `redraws`
 * times at most; then the last one will do (`LoadBalancer::chooseHost`, `host_selection_retry_max_attempts`).
 */
export function redraw(
  { hash, affinity, subset, headers, tried }: Call,
  redraws: number,
  pick: (request: PickRequest) => Endpoint | undefined,
): Endpoint | undefined {
  let chosen: Endpoint | undefined;
  for (let draw = 0; draw <= redraws; draw++) {
    chosen = pick({ hash, affinity, subset, headers, draw });
    if (chosen === undefined || tried?.includes(chosen.key) !== true) break;
  }
  return chosen;
}
