import type { ForwardAction, Route } from './route.js';

/**
 * The way to a cluster for calls that go by no route of the configuration: what the mesh itself asks of a rate limit service. The cluster's own policies hold,
 * and of a route's the defaults; no limits, so that nothing is asked about the question.
 */
export function besideRoute(cluster: string): Route & { readonly action: ForwardAction } {
  return {
    name: `(beside) ${cluster}`,
    match: {
      path: { kind: 'prefix', value: '', ignoreCase: false },
      headers: [],
      query: [],
      fraction: 1,
      grpcOnly: false,
    },
    action: {
      kind: 'forward',
      clusters: [{ name: cluster, weight: 1, requestHeaders: undefined, responseHeaders: undefined }],
      totalWeight: 1,
      // Whoever asks has a limit of his own.
      timeoutMs: 0,
      maxStreamDurationMs: undefined,
      retry: undefined,
      pathRewrite: undefined,
      hostRewrite: undefined,
    },
    requestHeaders: undefined,
    responseHeaders: undefined,
  };
}
