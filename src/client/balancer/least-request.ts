import type { BalancerConfig } from '../../core/model/cluster.js';
import type { Balancer, BalancerEnv } from './balancer.js';
import { choiceOf } from './p2c.js';

/** "The picker ... will be choosing the subchannel with the fewest outstanding requests" among `choiceCount` drawn - gRFC A48. Default 2. */
export function leastRequest(config: Extract<BalancerConfig, { kind: 'least_request' }>, env: BalancerEnv): Balancer {
  return choiceOf({ choices: config.choiceCount, cost: (endpoint) => endpoint.inflight }, env);
}
