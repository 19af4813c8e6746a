import type { ForwardAction, Route } from '../../core/model/route.js';
import type { Service } from '../../core/service.js';
import type { ClientEnv } from '../env.js';
import type { RouterClusters } from './clusters.js';
import { forwardService } from './forward.js';

const ANY_PATH = { kind: 'prefix', value: '/', ignoreCase: false } as const;

/**
 * Calls a cluster by no route of the configuration: for what the mesh itself asks of one that routes name beside those that they lead to (a rate limit
 * service). The cluster's own policies hold, and of a route's the defaults; limits of routes do not, so nothing is asked about the question.
 */
export function besideService(cluster: string, clusters: RouterClusters, env: ClientEnv): Service {
  const action: ForwardAction = {
    kind: 'forward',
    clusters: [{ name: cluster, weight: 1, requestHeaders: undefined, responseHeaders: undefined }],
    totalWeight: 1,
    // Whoever asks has a limit of his own.
    timeoutMs: 0,
    maxStreamDurationMs: undefined,
    retry: undefined,
    pathRewrite: undefined,
    hostRewrite: undefined,
  };
  const route: Route = {
    name: `(beside) ${cluster}`,
    match: { path: ANY_PATH, headers: [], query: [], fraction: 1, grpcOnly: false },
    action,
    requestHeaders: undefined,
    responseHeaders: undefined,
  };
  return forwardService(route, action, clusters, env);
}
