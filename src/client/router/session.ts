import type { SessionPersistence } from '../../core/model/route.js';
import type { Filter, Service } from '../../core/service.js';
import { sessionApplies, sessionHome, setSession } from '../../routing/session.js';
import { SessionGoneError } from '../endpoints/errors.js';

/** A route's clusters by name, with the sessions that they keep. */
export type SessionClusters = ReadonlyMap<
  string,
  { readonly session: SessionPersistence | undefined; readonly service: Service }
>;

/**
 * Keeps a caller in the cluster of its session, where a route has several; `next` chooses for those without. "override the cluster" - gRFC A60. Undefined
 * when none of them keeps sessions.
 */
export function keepCluster(clusters: SessionClusters): Filter | undefined {
  const sessions = new Set(
    [...clusters.values()].map(({ session }) => session).filter((session) => session !== undefined),
  );
  if (sessions.size === 0) return undefined;
  return (next) => (call) => {
    for (const session of sessions) {
      const home = sessionApplies(session, call.path) ? sessionHome(session, call.headers) : undefined;
      // "Verify the cluster name is present in the current route" - A60; else the route chooses.
      const cluster = home?.cluster === undefined ? undefined : clusters.get(home.cluster);
      if (cluster?.session === session) return cluster.service(call);
    }
    return next(call);
  };
}

/**
 * Keeps a caller with the endpoint that served it first (gRFCs A55, A60; Gateway API GEP-1619), among calls that go to `cluster`. Outermost of what a
 * route does to a call: sees path and headers as they came. `several`: the route may choose another cluster.
 */
export const keepEndpoint =
  (config: SessionPersistence, cluster: string, several: boolean): Filter =>
  (next) =>
  (call) => {
    if (!sessionApplies(config, call.path)) return next(call);
    const home = sessionHome(config, call.headers);
    const inCluster = home !== undefined && (home.cluster === undefined || home.cluster === cluster);
    if (home !== undefined && config.strict) {
      // In another cluster than those of the route it is as gone as in none.
      if (!inCluster) return Promise.reject(new SessionGoneError(cluster, home.endpoint));
      call.strictAffinity = true;
    }
    if (inCluster) call.affinity = home.endpoint;
    return next(call).then((reply) => {
      // What answered in its place is no home: a spare cluster's endpoint, or none at all.
      const endpoint = call.record.fallback === undefined ? call.record.endpoint : undefined;
      // "if the corresponding request didn't have a cookie or the actual cluster+backend ... didn't match what the cookie had" - A60
      if (endpoint !== undefined && !(inCluster && home.endpoint === endpoint)) {
        setSession(config, reply.headers, { endpoint, cluster }, several);
      }
      return reply;
    });
  };
