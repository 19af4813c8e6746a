import type { BalancerConfig } from '../../core/model/balancer.js';
import { fullScan } from './full-scan.js';
import { choiceOf } from './p2c.js';
import type { BalancerEnv, Policy } from './policy.js';
import { weightedLeastRequest } from './weighted-least-request.js';

export type LeastRequestConfig = Extract<BalancerConfig, { kind: 'least_request' }>;

/** "The picker ... will be choosing the subchannel with the fewest outstanding requests" among `choiceCount` drawn - gRFC A48 - or among all. Default 2. */
export function leastRequest(config: LeastRequestConfig, env: BalancerEnv): Policy {
  const choice =
    config.fullScan === true ? fullScan(env) : choiceOf({ choices: config.choiceCount, cost: (_, load) => load }, env);
  return config.activeRequestBias === undefined
    ? choice
    : weightedLeastRequest({ activeRequestBias: config.activeRequestBias, whenEqual: choice }, env);
}
