import type { Path, Place } from './problem.js';
import type { AuthenticationPolicySpec } from './schema/authentication-policy.js';
import type { BackendTlsPolicySpec } from './schema/backend-tls-policy.js';
import type { AuthorizationPolicySpec } from './schema/authorization-policy.js';
import type { BackendTrafficPolicySpec } from './schema/backend-traffic-policy.js';
import type { SliceSpec } from './schema/endpoint-slice.js';
import type { ExternalAuthorizationPolicySpec } from './schema/external-authorization-policy.js';
import type { FaultPolicySpec } from './schema/fault-policy.js';
import type { GrpcRouteSpec } from './schema/grpc-route.js';
import type { HttpRouteSpec } from './schema/http-route.js';
import type { MeshConfigSpec } from './schema/mesh-config.js';
import type { QuotaPolicySpec } from './schema/quota-policy.js';
import type { RateLimitPolicySpec } from './schema/rate-limit-policy.js';
import type { ReferenceGrantSpec } from './schema/reference-grant.js';
import type { RoutePolicySpec } from './schema/route-policy.js';
import type { ServiceSpec } from './schema/service.js';
import type { ServiceEntrySpec } from './schema/service-entry.js';
import type { TrafficPolicySpec } from './schema/traffic-policy.js';

/** What each kind carries. An EndpointSlice has no `spec` in Kubernetes: its three fields are kept as one here. */
export interface Specs {
  readonly Service: ServiceSpec;
  readonly EndpointSlice: SliceSpec;
  readonly ServiceEntry: ServiceEntrySpec;
  readonly HTTPRoute: HttpRouteSpec;
  readonly GRPCRoute: GrpcRouteSpec;
  readonly ReferenceGrant: ReferenceGrantSpec;
  readonly TrafficPolicy: TrafficPolicySpec;
  readonly XBackendTrafficPolicy: BackendTrafficPolicySpec;
  readonly RoutePolicy: RoutePolicySpec;
  readonly RateLimitPolicy: RateLimitPolicySpec;
  readonly QuotaPolicy: QuotaPolicySpec;
  readonly FaultPolicy: FaultPolicySpec;
  readonly AuthenticationPolicy: AuthenticationPolicySpec;
  readonly BackendTLSPolicy: BackendTlsPolicySpec;
  readonly AuthorizationPolicy: AuthorizationPolicySpec;
  readonly ExternalAuthorizationPolicy: ExternalAuthorizationPolicySpec;
  readonly MeshConfig: MeshConfigSpec;
}

export type Kind = keyof Specs;

/** A resource that its schema and the checks of its kind have passed. */
export interface DocumentOf<K extends Kind> {
  readonly kind: K;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch; Infinity when the resource does not say, so that it is younger than those that do. */
  readonly createdAt: number;
  readonly spec: Specs[K];
  /** Where a field stands, or the nearest one around it that does. */
  readonly locate: (path: Path) => Place;
}

export type Document = { [K in Kind]: DocumentOf<K> }[Kind];

/** `HTTPRoute/reviews`, or `HTTPRoute/prod/reviews`. */
export const resourceLabel = (kind: string, namespace: string, name: string): string =>
  namespace === 'default' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
