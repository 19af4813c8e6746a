/** What of the Envoy v3 schema goes into `src/xds/gen/descriptor.json`, and what stays out. Read by `gen-protos.mjs`. */

const LB = 'envoy/extensions/load_balancing_policies';
const LB_TYPE = 'envoy.extensions.load_balancing_policies';

/** Files to parse; imports follow. */
export const PROTO_FILES = [
  'envoy/service/discovery/v3/ads.proto',
  'envoy/service/load_stats/v3/lrs.proto',
  'envoy/service/status/v3/csds.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/config/common/mutation_rules/v3/mutation_rules.proto',
  'envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.proto',
  'envoy/extensions/filters/http/cors/v3/cors.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto',
  'envoy/extensions/filters/http/fault/v3/fault.proto',
  'envoy/extensions/filters/http/jwt_authn/v3/config.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto',
  'envoy/extensions/filters/http/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/stateful_session/v3/stateful_session.proto',
  'envoy/extensions/http/stateful_session/cookie/v3/cookie.proto',
  'envoy/extensions/http/stateful_session/header/v3/header.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.proto',
  'envoy/extensions/clusters/aggregate/v3/cluster.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  `${LB}/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.proto`,
  `${LB}/least_request/v3/least_request.proto`,
  `${LB}/maglev/v3/maglev.proto`,
  `${LB}/pick_first/v3/pick_first.proto`,
  `${LB}/random/v3/random.proto`,
  `${LB}/ring_hash/v3/ring_hash.proto`,
  `${LB}/round_robin/v3/round_robin.proto`,
  `${LB}/subset/v3/subset.proto`,
  `${LB}/wrr_locality/v3/wrr_locality.proto`,
  'xds/type/v3/typed_struct.proto',
  'udpa/type/v1/typed_struct.proto',
];

/** Messages that are resources, or that travel inside an `Any`; all that their fields name is kept with them. */
export const ROOT_TYPES = [
  'envoy.service.discovery.v3.Resource',
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency',
  'envoy.extensions.filters.http.cors.v3.Cors',
  'envoy.extensions.filters.http.cors.v3.CorsPolicy',
  'envoy.extensions.filters.http.router.v3.Router',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
  'envoy.extensions.filters.http.fault.v3.HTTPFault',
  'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
  'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig',
  'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
  'envoy.extensions.filters.http.ratelimit.v3.RateLimit',
  'envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute',
  'envoy.extensions.filters.http.rbac.v3.RBAC',
  'envoy.extensions.filters.http.rbac.v3.RBACPerRoute',
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSession',
  'envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute',
  'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState',
  'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState',
  'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
  'envoy.config.route.v3.FilterConfig',
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
  'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
  'envoy.extensions.transport_sockets.tls.v3.Secret',
  'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig',
  'envoy.extensions.clusters.aggregate.v3.ClusterConfig',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  `${LB_TYPE}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`,
  `${LB_TYPE}.least_request.v3.LeastRequest`,
  `${LB_TYPE}.maglev.v3.Maglev`,
  `${LB_TYPE}.pick_first.v3.PickFirst`,
  `${LB_TYPE}.random.v3.Random`,
  `${LB_TYPE}.random_subsetting.v3.RandomSubsetting`,
  `${LB_TYPE}.ring_hash.v3.RingHash`,
  `${LB_TYPE}.round_robin.v3.RoundRobin`,
  `${LB_TYPE}.subset.v3.Subset`,
  `${LB_TYPE}.wrr_locality.v3.WrrLocality`,
  'xds.type.v3.TypedStruct',
  // Its older name, which gRFC A36 and A39 use.
  'udpa.type.v1.TypedStruct',
  'google.protobuf.Any',
  'google.protobuf.Struct',
  'google.protobuf.Duration',
  'google.protobuf.BoolValue',
  'google.protobuf.BytesValue',
  'google.protobuf.DoubleValue',
  'google.protobuf.FloatValue',
  'google.protobuf.Int32Value',
  'google.protobuf.Int64Value',
  'google.protobuf.StringValue',
  'google.protobuf.UInt32Value',
  'google.protobuf.UInt64Value',
];

/** Services, and which methods of them. */
export const ROOT_SERVICES = {
  'envoy.service.discovery.v3.AggregatedDiscoveryService': ['StreamAggregatedResources', 'DeltaAggregatedResources'],
  'envoy.service.load_stats.v3.LoadReportingService': ['StreamLoadStats'],
  'envoy.service.status.v3.ClientStatusDiscoveryService': ['StreamClientStatus', 'FetchClientStatus'],
};

/**
 * What the API has gained since the .proto files that we parse: messages, then fields of messages that are there already. In
 * protobufjs's JSON. Kept here rather than as newer copies of whole files, so that it shows what is newer and why we want it.
 */
export const NEWER_TYPES = {
  // xRFC TP3, gRFC A88: a control plane says why it has no such resource, instead of letting a timer run out.
  'envoy.service.discovery.v3.ResourceError': {
    fields: { resource_name: { type: 'ResourceName', id: 1 }, error_detail: { type: 'google.rpc.Status', id: 2 } },
  },
  // gRFC A68.
  [`${LB_TYPE}.random_subsetting.v3.RandomSubsetting`]: {
    fields: {
      subset_size: { type: 'google.protobuf.UInt32Value', id: 1 },
      child_policy: { type: 'envoy.config.cluster.v3.LoadBalancingPolicy', id: 2 },
    },
  },
  // All calls to the own zone, as long as it has endpoints enough.
  [`${LB_TYPE}.common.v3.LocalityLbConfig.ZoneAwareLbConfig.ForceLocalZone`]: {
    fields: { min_size: { type: 'google.protobuf.UInt32Value', id: 1 } },
  },
  // Envoy 1.33 and later: what limits count by, how much, and when.
  'envoy.config.route.v3.RateLimit.Action.QueryParameters': {
    fields: {
      query_parameter_name: { type: 'string', id: 1 },
      descriptor_key: { type: 'string', id: 2 },
      skip_if_absent: { type: 'bool', id: 3 },
    },
  },
  'envoy.config.route.v3.RateLimit.HitsAddend': {
    fields: { number: { type: 'google.protobuf.UInt64Value', id: 1 }, format: { type: 'string', id: 2 } },
  },
};
export const NEWER_FIELDS = {
  'envoy.config.route.v3.RateLimit.Action': { query_parameters: { type: 'QueryParameters', id: 12 } },
  'envoy.config.route.v3.RateLimit': {
    hits_addend: { type: 'HitsAddend', id: 5 },
    apply_on_stream_done: { type: 'bool', id: 6 },
  },
  'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit': {
    rate_limits: { rule: 'repeated', type: 'envoy.config.route.v3.RateLimit', id: 17 },
  },
  // The cluster that a call is sent to follows its hash, so that one user sees one version.
  'envoy.config.route.v3.WeightedCluster': { use_hash_policy: { type: 'google.protobuf.BoolValue', id: 5 } },
  'envoy.config.route.v3.RouteAction.RequestMirrorPolicy': {
    request_headers_mutations: {
      rule: 'repeated',
      type: 'envoy.config.common.mutation_rules.v3.HeaderMutation',
      id: 7,
    },
    host_rewrite_literal: { type: 'string', id: 8 },
  },
  // A time without load that is not measured.
  'envoy.extensions.filters.http.adaptive_concurrency.v3.GradientControllerConfig.MinimumRTTCalculationParams': {
    fixed_value: { type: 'google.protobuf.Duration', id: 6 },
  },
  // Envoy 1.40 refuses several checks of a cluster without names.
  'envoy.config.core.v3.HealthCheck': { name: { type: 'string', id: 27 } },
  // gRFC A114; and slow start as other policies have it.
  [`${LB_TYPE}.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`]: {
    metric_names_for_computing_utilization: { rule: 'repeated', type: 'string', id: 7 },
    slow_start_config: { type: `${LB_TYPE}.common.v3.SlowStartConfig`, id: 8 },
  },
  [`${LB_TYPE}.common.v3.LocalityLbConfig.ZoneAwareLbConfig`]: {
    force_local_zone: { type: 'ForceLocalZone', id: 5 },
  },
  // gRFC A101.
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext': {
    auto_host_sni: { type: 'bool', id: 6 },
    auto_sni_san_validation: { type: 'bool', id: 7 },
  },
  'envoy.service.discovery.v3.DiscoveryResponse': {
    resource_errors: { rule: 'repeated', type: 'ResourceError', id: 7 },
  },
  'envoy.service.discovery.v3.DeltaDiscoveryResponse': {
    resource_errors: { rule: 'repeated', type: 'ResourceError', id: 9 },
  },
};

/** Values of enums that are there already. */
export const NEWER_ENUM_VALUES = {
  // gRFC A88: what CSDS says of a resource that the server cannot give, or is silent about.
  'envoy.admin.v3.ClientResourceStatus': { RECEIVED_ERROR: 5, TIMEOUT: 6 },
};

/**
 * Messages of which inmesh needs to see only that they are there: they keep their name and lose their fields. Nothing that decides
 * who may talk to whom belongs here, but CEL and matcher trees: that they are there is reason enough to refuse (gRFC A41).
 */
export const OPAQUE = new Set([
  'envoy.config.accesslog.v3.AccessLogFilter',
  'envoy.config.cluster.v3.UpstreamConnectionOptions',
  'envoy.config.core.v3.BindConfig',
  'envoy.config.core.v3.DnsResolutionConfig',
  'envoy.config.core.v3.EventServiceConfig',
  'envoy.config.core.v3.GrpcService.GoogleGrpc',
  'envoy.config.core.v3.Http3ProtocolOptions',
  'envoy.config.core.v3.ProxyProtocolConfig',
  'envoy.config.core.v3.RateLimitSettings',
  'envoy.config.listener.v3.ListenerFilterChainMatchPredicate',
  'envoy.config.listener.v3.UdpListenerConfig',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing',
  'envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig',
  'envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes',
  'envoy.service.status.v3.PerXdsConfig',
  'envoy.type.tracing.v3.CustomTag',
  'google.api.expr.v1alpha1.CheckedExpr',
  'google.api.expr.v1alpha1.Expr',
  'xds.type.matcher.v3.Matcher',
]);
