import type { SessionPersistence } from '../../core/model/route.js';
import type { Filter, Service } from '../../core/service.js';
import { sessionApplies, sessionHome, setSession } from '../../routing/session.js';
import { SessionGoneError } from '../endpoints/errors.js';

/** Keeps a caller in the cluster of its session, where a route has several; `next` chooses for those without. "override the cluster" - gRFC A60. */
export const keepCluster =
  (config: SessionPersistence, clusters: ReadonlyMap<string, Service>): Filter =>
  (next) =>
  (call) => {
    const home = sessionApplies(config, call.path) ? sessionHome(config, call.headers) : undefined;
    // "Verify the cluster name is present in the current route" - A60; else the route chooses.
    const service = home?.cluster === undefined ? undefined : clusters.get(home.cluster);
    return (service ?? next)(call);
  };

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
      const { endpoint } = call.record;
      // "if the corresponding request didn't have a cookie or the actual cluster+backend ... didn't match what the cookie had" - A60
      if (endpoint !== undefined && !(inCluster && home.endpoint === endpoint)) {
        setSession(config, reply.headers, { endpoint, cluster }, several);
      }
      return reply;
    });
  };
