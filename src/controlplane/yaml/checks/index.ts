import type { Kind, Specs } from '../document.js';
import type { Report } from '../problem.js';
import { checkAuthenticationPolicy } from './authentication-policy.js';
import { checkAuthorizationPolicy } from './authorization-policy.js';
import { checkBackendTlsPolicy } from './backend-tls-policy.js';
import { checkEndpointSlice } from './endpoint-slice.js';
import { checkFaultPolicy } from './fault-policy.js';
import { checkGrpcRoute } from './grpc-route.js';
import { checkHttpRoute } from './http-route.js';
import { checkQuotaPolicy } from './quota-policy.js';
import { checkRateLimitPolicy } from './rate-limit-policy.js';
import { checkRoutePolicy } from './route-policy.js';
import { checkMeshConfig } from './mesh-config.js';
import { checkService } from './service.js';
import { checkServiceEntry } from './service-entry.js';
import { checkBackendTrafficPolicy, checkTrafficPolicy } from './traffic-policy.js';

/** Rules between the fields of one resource, which a schema cannot say. Run on what the schema has passed. */
export const CHECKS: { readonly [K in Kind]?: (spec: Specs[K], report: Report) => void } = {
  Service: checkService,
  ServiceEntry: checkServiceEntry,
  MeshConfig: checkMeshConfig,
  EndpointSlice: checkEndpointSlice,
  HTTPRoute: checkHttpRoute,
  GRPCRoute: checkGrpcRoute,
  TrafficPolicy: checkTrafficPolicy,
  XBackendTrafficPolicy: checkBackendTrafficPolicy,
  RoutePolicy: checkRoutePolicy,
  RateLimitPolicy: checkRateLimitPolicy,
  QuotaPolicy: checkQuotaPolicy,
  FaultPolicy: checkFaultPolicy,
  AuthenticationPolicy: checkAuthenticationPolicy,
  AuthorizationPolicy: checkAuthorizationPolicy,
  BackendTLSPolicy: checkBackendTlsPolicy,
};
