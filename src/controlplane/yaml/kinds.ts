import type * as v from 'valibot';
import type { Kind } from './document.js';
import { authenticationPolicy } from './schema/authentication-policy.js';
import { backendTlsPolicy } from './schema/backend-tls-policy.js';
import { authorizationPolicy } from './schema/authorization-policy.js';
import { backendTrafficPolicy } from './schema/backend-traffic-policy.js';
import { externalAuthorizationPolicy } from './schema/external-authorization-policy.js';
import { endpointSlice } from './schema/endpoint-slice.js';
import { faultPolicy } from './schema/fault-policy.js';
import { grpcRoute } from './schema/grpc-route.js';
import { httpRoute } from './schema/http-route.js';
import { meshConfig } from './schema/mesh-config.js';
import { quotaPolicy } from './schema/quota-policy.js';
import { rateLimitPolicy } from './schema/rate-limit-policy.js';
import { referenceGrant } from './schema/reference-grant.js';
import { routePolicy } from './schema/route-policy.js';
import { service } from './schema/service.js';
import { serviceEntry } from './schema/service-entry.js';
import { trafficPolicy } from './schema/traffic-policy.js';

/** Every kind that this version understands, in the order in which documentation lists them. */
export const SCHEMAS = {
  Service: service,
  EndpointSlice: endpointSlice,
  ServiceEntry: serviceEntry,
  HTTPRoute: httpRoute,
  GRPCRoute: grpcRoute,
  ReferenceGrant: referenceGrant,
  TrafficPolicy: trafficPolicy,
  XBackendTrafficPolicy: backendTrafficPolicy,
  RoutePolicy: routePolicy,
  RateLimitPolicy: rateLimitPolicy,
  QuotaPolicy: quotaPolicy,
  FaultPolicy: faultPolicy,
  AuthenticationPolicy: authenticationPolicy,
  BackendTLSPolicy: backendTlsPolicy,
  AuthorizationPolicy: authorizationPolicy,
  ExternalAuthorizationPolicy: externalAuthorizationPolicy,
  MeshConfig: meshConfig,
} as const satisfies Record<Kind, v.GenericSchema>;

export const KINDS = Object.keys(SCHEMAS) as Kind[];

/** Kinds that inmesh will have, so that one who writes them learns more than "unknown". */
export const LATER_KINDS: readonly string[] = [
  'FilterPolicy',
  'Gateway',
  'GatewayClass',
  'TCPRoute',
  'TelemetryPolicy',
  'TLSRoute',
  'UDPRoute',
];
