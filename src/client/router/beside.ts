import { besideRoute } from '../../core/model/beside.js';
import type { Service } from '../../core/service.js';
import type { ClientEnv } from '../env.js';
import type { RouterClusters } from './clusters.js';
import { forwardService } from './forward.js';

/** Calls a cluster by no route of the configuration: one that routes name beside those that they lead to (a rate limit service). */
export function besideService(cluster: string, clusters: RouterClusters, env: ClientEnv): Service {
  const route = besideRoute(cluster);
  return forwardService(route, route.action, clusters, env);
}
