import { MATCHES_ALL } from './match.js';
import type { ForwardAction, Route } from './route.js';

/** A route of the mesh's own: every request goes to the cluster. `timeoutMs` as in ForwardAction; all else are the defaults of a route. */
export function routeTo(
  cluster: string,
  { name, timeoutMs }: { readonly name: string; readonly timeoutMs: number | undefined },
): Route & { readonly action: ForwardAction } {
  return {
    name,
    match: MATCHES_ALL,
    action: {
      kind: 'forward',
      clusters: [{ name: cluster, weight: 1, requestHeaders: undefined, responseHeaders: undefined }],
      totalWeight: 1,
      timeoutMs,
      maxStreamDurationMs: undefined,
      retry: undefined,
      pathRewrite: undefined,
      hostRewrite: undefined,
    },
    requestHeaders: undefined,
    responseHeaders: undefined,
  };
}

/**
 * The way to a cluster for calls that go by no route of the configuration: what the mesh itself asks of a rate limit service. The cluster's own policies hold,
 * and of a route's the defaults; no limits, so that nothing is asked about the question. Whoever asks has a limit of his own.
 */
export const besideRoute = (cluster: string): Route & { readonly action: ForwardAction } =>
  routeTo(cluster, { name: `(beside) ${cluster}`, timeoutMs: 0 });
