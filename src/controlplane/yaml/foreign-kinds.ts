/** What configures the same elsewhere, and where it is here: for people who bring their files along. */
interface Foreign {
  readonly owner: string;
  /** Undefined: nothing here does that. */
  readonly here?: string;
}

const NETWORKING = "Istio's";
const GATEWAY = "Envoy Gateway's";
const LINKERD = "Linkerd's";

/** By kind. What the Gateway API and Kubernetes have is none of it. */
const FOREIGN: Readonly<Record<string, Foreign>> = {
  VirtualService: {
    owner: NETWORKING,
    here: 'its http routes with their timeouts, retries and mirrors are an HTTPRoute, its fault a FaultPolicy',
  },
  DestinationRule: { owner: NETWORKING, here: 'its trafficPolicy is a TrafficPolicy, and each subset a Service' },
  ServiceEntry: { owner: NETWORKING, here: 'the same is here with "apiVersion: inmesh.dev/v1alpha1"' },
  WorkloadEntry: { owner: NETWORKING, here: 'it is an endpoint of a Service or of an EndpointSlice' },
  EnvoyFilter: {
    owner: NETWORKING,
    here: 'rate limits are a RateLimitPolicy, faults a FaultPolicy; filters themselves are read over xDS only',
  },
  Telemetry: { owner: NETWORKING, here: 'metrics, traces and logs are options of meshClient' },
  AuthorizationPolicy: {
    owner: NETWORKING,
    here: 'the same is here with "apiVersion: inmesh.dev/v1alpha1", and CUSTOM is an ExternalAuthorizationPolicy',
  },
  PeerAuthentication: { owner: NETWORKING, here: 'its mtls is that of an AuthenticationPolicy, or of the MeshConfig' },
  RequestAuthentication: { owner: NETWORKING, here: 'its jwtRules are the jwt of an AuthenticationPolicy' },
  Sidecar: { owner: NETWORKING },
  WasmPlugin: { owner: NETWORKING },
  BackendTrafficPolicy: {
    owner: GATEWAY,
    here: "its rateLimit is a RateLimitPolicy, its faultInjection a FaultPolicy, its retry and timeout are an HTTPRoute's, the rest is a TrafficPolicy",
  },
  ClientTrafficPolicy: { owner: GATEWAY },
  SecurityPolicy: {
    owner: GATEWAY,
    here: 'its jwt is that of an AuthenticationPolicy, its authorization an AuthorizationPolicy, its extAuth an ExternalAuthorizationPolicy, its cors a filter of an HTTPRoute',
  },
  EnvoyExtensionPolicy: { owner: GATEWAY },
  EnvoyPatchPolicy: { owner: GATEWAY },
  ServiceProfile: {
    owner: LINKERD,
    here: 'its routes are an HTTPRoute, its retryBudget the retryConstraint of a TrafficPolicy',
  },
  HTTPLocalRateLimitPolicy: { owner: LINKERD, here: 'it is a RateLimitPolicy with "side: server"' },
};

/** Names of them all. */
export const FOREIGN_KINDS: readonly string[] = Object.keys(FOREIGN);

const PAGE = 'docs/from-envoy-and-istio.md';

/** What to say of a kind of others; undefined where it is none that is known. */
export function foreignKind(kind: string): string | undefined {
  if (!Object.hasOwn(FOREIGN, kind)) return undefined;
  const { owner, here } = FOREIGN[kind] as Foreign;
  return `is ${owner}: ${here === undefined ? 'this version of inmesh has nothing for it' : `here ${here}`} (${PAGE})`;
}
