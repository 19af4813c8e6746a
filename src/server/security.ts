import type { Route, RouteConfiguration } from '../core/model/route.js';
import type { FilterChain } from '../core/model/server.js';
import { authentication } from './authentication.js';
import { externalAuthorization } from './ext-authz.js';
import type { Gate } from './gate.js';
import { Authorization } from './authorization.js';
import type { PolicyEnv } from './policies.js';

/** One kind of policy about who may do what, for the routes of a server. One per server, as long as it serves: what it remembers outlives updates. */
export interface SecurityPolicy {
  /**
   * What has to let a request through; undefined: this kind asks nothing of requests of that route. `route` undefined: of those that no route takes, which
   * middleware hands on to the application all the same; `routes` are those that there are. Asked when the configuration changes, never per request: gates of what did not change should be the
   * same objects as before.
   */
  gate(chain: FilterChain, route: Route | undefined, routes?: RouteConfiguration | undefined): Gate | undefined;
  /** With the server. */
  close?(): void;
}

export type SecurityPolicyOf = (env: PolicyEnv) => SecurityPolicy;

/** First of all, in every face (middleware, mesh.serve, XdsServer, the proxy): says who the user is, by which a route may be chosen, too. */
export const AUTHENTICATION: SecurityPolicyOf = authentication;

/**
 * The kinds that come after it, in their order: authorization says whether that one may, external authorization asks somebody else. Then limits, faults and concurrency:
 * what is refused counts nowhere.
 */
export const ADMISSION: readonly SecurityPolicyOf[] = [(env) => new Authorization(env), externalAuthorization];
