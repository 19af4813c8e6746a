import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { BalancerConfig } from '../../core/model/cluster.js';
import type { Random } from '../../core/random.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { leastRequest } from './least-request.js';
import { peakEwma } from './peak-ewma.js';
import { random } from './random.js';
import { roundRobin } from './round-robin.js';

export interface BalancerEnv {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
}

/** What of an attempt a choice may depend on. */
export type PickRequest = Partial<Pick<Call, 'tried' | 'hash' | 'affinity' | 'subset'>>;

/**
 * Chooses among endpoints that may be used. Given a new list when endpoints come, go or change weight; the endpoints themselves carry
 * their load, so that an update forgets nothing.
 */
export interface Balancer {
  update(endpoints: readonly Endpoint[]): void;
  /** An endpoint, one not in `tried` when there is any; undefined when there is none at all. */
  pick(request: PickRequest): Endpoint | undefined;
  /** Ends its timers and streams; it is not used again. */
  close?(): void;
}

export function createBalancer(config: BalancerConfig, env: BalancerEnv): Balancer {
  switch (config.kind) {
    case 'round_robin':
      return roundRobin(env);
    case 'random':
      return random(env);
    case 'least_request':
      return leastRequest(config, env);
    case 'peak_ewma':
      return peakEwma(env);
    default:
      throw new Error(`no balancer of kind ${config.kind}`);
  }
}
