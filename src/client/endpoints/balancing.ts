import type { ClusterConfig } from '../../core/model/cluster.js';
import { type Balancer, createBalancer } from '../balancer/balancer.js';
import type { ClientEnv } from '../env.js';

/**
 * A balancer as the configuration has it. One that cannot be made, because the application has taken its policy back (gRFC A52) or what it needs is not
 * there, is told of, and round robin serves in its place: calls go on.
 */
export function makeBalancer(config: ClusterConfig, env: ClientEnv): Balancer {
  const { clock, random, hash64, locality, peer, meter, logger } = env;
  const parts = { clock, random, hash64, locality, peer, meter, logger };
  try {
    return createBalancer(config, parts);
  } catch (error) {
    logger.error(`cluster "${config.name}": its balancer cannot be made; round robin serves in its place`, {
      error: String(error),
    });
    return createBalancer({ name: config.name, balancer: { kind: 'round_robin' } }, parts);
  }
}
