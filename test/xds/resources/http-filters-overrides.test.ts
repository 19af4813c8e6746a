import { type Resource, ROUTE } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { any, routeResource, toCluster } from '../../support/xds-resources.js';
import { acceptsBy, type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';

const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const RBAC_OVERRIDE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';

const decode = (resource: Resource) => decoders[ROUTE](resource, 'r');
const overridden = (config: Resource): Resource =>
  routeResource('r', [{ ...toCluster('c'), typed_per_filter_config: { x: config } }]);
const wrapped = (fields: Resource): Resource => overridden(any(FILTER_CONFIG, fields));
const typedStruct = (type: string): Resource =>
  any('udpa.type.v1.TypedStruct', { type_url: `type.googleapis.com/${type}` });
const unknown = any('x.Y');
const AT = 'typed_per_filter_config["x"]';

const weighted: Resource = {
  weighted_clusters: { clusters: [{ name: 'c', weight: { value: 1 }, typed_per_filter_config: { x: unknown } }] },
};

const RULES: readonly Rule[] = [
  {
    rule: 'an override of a virtual host is unknown',
    source: 'A39',
    resource: routeResource('r', [toCluster('c')], { typed_per_filter_config: { x: unknown } }),
    problem: `virtual_hosts[0].${AT}: override for filter "x.Y" is not supported`,
  },
  {
    rule: 'an override of a route is unknown',
    source: 'A39',
    resource: overridden(unknown),
    problem: `virtual_hosts[0].routes[0].${AT}: override for filter "x.Y" is not supported`,
  },
  {
    rule: 'an override of a cluster weight is unknown',
    source: 'A39',
    resource: routeResource('r', [{ match: { prefix: '/' }, route: weighted }]),
    problem: `weighted_clusters.clusters[0].${AT}: override for filter "x.Y" is not supported`,
  },
  {
    rule: 'an override in a TypedStruct is unknown',
    source: 'A39',
    resource: overridden(typedStruct('x.Y')),
    problem: `${AT}: override for filter "x.Y" is not supported`,
  },
  {
    rule: 'a wrapped override is unknown and not optional',
    source: 'A39',
    resource: wrapped({ config: unknown }),
    problem: `${AT}.config: override for filter "x.Y" is not supported`,
  },
  {
    rule: 'a wrapper has nothing in it, which would enable a filter that is disabled',
    source: 'A39, route_components.proto',
    resource: wrapped({}),
    problem: `${AT}: override for filter "" is not supported`,
  },
  {
    rule: 'an override is of the filter’s top-level type, though it be optional',
    source: 'A39',
    resource: wrapped({ is_optional: true, config: any(RBAC) }),
    problem: `${AT}.config: override for filter "${RBAC}" is not supported`,
  },
  {
    rule: 'the router is overridden, which has no override',
    source: 'A39',
    resource: overridden(any(ROUTER)),
    problem: `${AT}: override for filter "${ROUTER}" is not supported`,
  },
  {
    rule: 'a known override is invalid, though it be optional',
    source: 'A39',
    resource: wrapped({ is_optional: true, config: any(FAULT, { abort: {} }) }),
    problem: `${AT}.config.abort: must have http_status`,
  },
  {
    rule: 'a known override comes as a TypedStruct',
    source: 'A39',
    resource: overridden(typedStruct(RBAC_OVERRIDE)),
    problem: `${AT}: must be a ${RBAC_OVERRIDE} itself`,
  },
];

const ACCEPTED: readonly Leniency[] = [
  { rule: 'an unknown override is optional', source: 'A39', resource: wrapped({ is_optional: true, config: unknown }) },
  {
    rule: 'an override disables a filter of any kind',
    source: 'route_components.proto',
    resource: wrapped({ disabled: true, config: unknown }),
  },
  {
    rule: 'an override disables a filter without naming its kind',
    source: 'route_components.proto',
    resource: wrapped({ disabled: true }),
  },
  {
    rule: 'an override is for a filter that is in no list',
    source: 'A39',
    resource: overridden(any(RBAC_OVERRIDE)),
  },
  {
    rule: 'an override is for a filter of the other side',
    source: 'A39',
    resource: wrapped({ config: any(RBAC_OVERRIDE, { rbac: { rules: { action: 'DENY' } } }) }),
  },
  { rule: 'a fault does nothing', source: 'A33', resource: overridden(any(FAULT)) },
  {
    rule: 'a fault is to be injected by an override',
    source: 'A33',
    resource: overridden(any(FAULT, { abort: { grpc_status: 14 } })),
  },
  {
    rule: 'a fault is to be injected by an override that is optional',
    source: 'A39',
    resource: wrapped({ is_optional: true, config: any(FAULT, { abort: { grpc_status: 14 } }) }),
  },
];

refusesBy('RDS, filter overrides', decode, RULES);
acceptsBy('RDS, filter overrides', decode, ACCEPTED);
