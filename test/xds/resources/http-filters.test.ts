import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { serverResource } from '../../support/server-resources.js';
import { any, listenerResource, routerFilter } from '../../support/xds-resources.js';
import { acceptsBy, type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';

const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const typedStruct = (type: string, name = 'xds.type.v3.TypedStruct'): Resource =>
  any(name, { type_url: `type.googleapis.com/${type}`, value: { fields: {} } });

type Filters = readonly Resource[];
const decode = (resource: Resource) => decoders[LISTENER](resource, 'l');
/** What both sides check alike, in a list that is made for each. */
const sides = {
  client: (http_filters: Filters) => decode(listenerResource('l', 'r', { http_filters })),
  server: (http_filters: Filters) => decode(serverResource('l', { http_filters })),
};
const named = (name: string, typed_config: Resource, fields: Resource = {}): Resource => ({
  name,
  typed_config,
  ...fields,
});
const filters = (...list: Resource[]): Filters => list;

const EITHER_SIDE: readonly Rule<Filters>[] = [
  { rule: 'http_filters is empty', source: 'A39', resource: filters(), problem: 'http_filters: must not be empty' },
  {
    rule: 'nothing is left of http_filters without those that are optional',
    source: 'A39',
    resource: filters(named('x', any('x.Y'), { is_optional: true })),
    problem: 'http_filters: must not be empty',
  },
  {
    rule: 'a filter has no name',
    source: 'A39',
    resource: filters(named('', any(ROUTER))),
    problem: 'http_filters[0].name: must be set',
  },
  {
    rule: 'a filter’s name is repeated',
    source: 'A39',
    resource: filters(routerFilter, routerFilter),
    problem: 'http_filters[1].name: must not be repeated',
  },
  {
    rule: 'a filter of unknown type is not optional',
    source: 'A39',
    resource: filters(named('x', any('x.Y')), routerFilter),
    problem: 'http_filters[0].typed_config: filter "x.Y" is not supported',
  },
  {
    rule: 'a filter of unknown type is disabled, as a route may enable it',
    source: 'http_connection_manager.proto',
    resource: filters(named('x', any('x.Y'), { disabled: true }), routerFilter),
    problem: 'http_filters[0].typed_config: filter "x.Y" is not supported',
  },
  {
    rule: 'a TypedStruct carries an unknown type',
    source: 'A39',
    resource: filters(named('x', typedStruct('x.Y')), routerFilter),
    problem: 'filter "x.Y" is not supported',
  },
  {
    rule: 'a udpa TypedStruct carries an unknown type',
    source: 'A39',
    resource: filters(named('x', typedStruct('x.Y', 'udpa.type.v1.TypedStruct')), routerFilter),
    problem: 'filter "x.Y" is not supported',
  },
  {
    rule: 'a filter has no configuration',
    source: 'A39',
    resource: filters({ name: 'x' }, routerFilter),
    problem: 'http_filters[0].typed_config: a filter without typed_config is not supported',
  },
  {
    rule: 'a filter’s configuration comes by config_discovery',
    source: 'A39',
    resource: filters({ name: 'x', config_discovery: { type_urls: [ROUTER] } }),
    problem: 'http_filters[0].typed_config: a filter that comes by config_discovery is not supported',
  },
  {
    rule: 'a terminal filter is not the last',
    source: 'A39',
    resource: filters(routerFilter, { ...routerFilter, name: 'again' }),
    problem: 'http_filters[0]: is a terminal filter',
  },
];

const EITHER_SIDE_ACCEPTED: readonly Leniency<Filters>[] = [
  {
    rule: 'the router has fields, which are ignored',
    source: 'A39',
    resource: filters(named('r', any(ROUTER, { dynamic_stats: { value: false } }))),
  },
  { rule: 'the router comes as a TypedStruct', source: 'A39', resource: filters(named('r', typedStruct(ROUTER))) },
  {
    rule: 'a filter of unknown type is optional',
    source: 'A39',
    resource: filters(named('x', any('x.Y'), { is_optional: true }), routerFilter),
  },
  {
    rule: 'an optional filter comes after the router, as it is ignored',
    source: 'A39',
    resource: filters(routerFilter, named('x', any('x.Y'), { is_optional: true })),
  },
  {
    rule: 'an optional filter comes by config_discovery',
    source: 'A39',
    resource: filters({ name: 'x', is_optional: true, config_discovery: {} }, routerFilter),
  },
];

for (const side of ['client', 'server'] as const) {
  refusesBy(`LDS ${side}`, sides[side], EITHER_SIDE);
  acceptsBy(`LDS ${side}`, sides[side], EITHER_SIDE_ACCEPTED);
}

const CLIENT: readonly Rule<Filters>[] = [
  {
    rule: 'a filter that only servers run is not optional',
    source: 'A39, A41',
    resource: filters(named('rbac', any(RBAC)), routerFilter),
    problem: `filter "${RBAC}" is not supported by a client`,
  },
  {
    rule: 'the last filter is not terminal',
    source: 'A39',
    resource: filters(named('f', any(FAULT))),
    problem: 'http_filters[0]: is the last filter',
  },
  {
    rule: 'a fault’s delay has no kind',
    source: 'A33, fault.proto',
    resource: filters(named('f', any(FAULT, { delay: {} })), routerFilter),
    problem: 'typed_config.delay: must have fixed_delay or header_delay',
  },
  {
    rule: 'a fault’s delay is 0',
    source: 'fault.proto',
    resource: filters(named('f', any(FAULT, { delay: { fixed_delay: {} } })), routerFilter),
    problem: 'typed_config.delay.fixed_delay: must be more than 0 s',
  },
  {
    rule: 'a fault’s abort has no kind, though the filter be optional',
    source: 'A33, A39, fault.proto',
    resource: filters(named('f', any(FAULT, { abort: {} }), { is_optional: true }), routerFilter),
    problem: 'typed_config.abort: must have http_status, grpc_status or header_abort',
  },
  {
    rule: 'a fault’s http_status is none',
    source: 'fault.proto',
    resource: filters(named('f', any(FAULT, { abort: { http_status: 199 } })), routerFilter),
    problem: 'typed_config.abort.http_status: must be from 200 to 599, got 199',
  },
  {
    rule: 'a fault’s percentage has an unknown denominator',
    source: 'A33',
    resource: filters(
      named('f', any(FAULT, { abort: { grpc_status: 14, percentage: { numerator: 1, denominator: 9 } } })),
      routerFilter,
    ),
    problem: 'typed_config.abort.percentage.denominator: must be one of',
  },
  {
    rule: 'a fault’s header matcher is invalid',
    source: 'A33',
    resource: filters(named('f', any(FAULT, { headers: [{ name: 'a' }] })), routerFilter),
    problem: 'typed_config.headers[0]: must have one of',
  },
  {
    rule: 'a fault comes as a TypedStruct',
    source: 'A39',
    resource: filters(named('f', typedStruct(FAULT)), routerFilter),
    problem: `typed_config: must be a ${FAULT} itself`,
  },
];
refusesBy('LDS client', sides.client, CLIENT);

const CLIENT_ACCEPTED: readonly Leniency<Filters>[] = [
  {
    rule: 'a fault filter does nothing, as Istio sends one',
    source: 'A33',
    resource: filters(named('f', any(FAULT)), routerFilter),
  },
  {
    rule: 'a fault is to be injected',
    source: 'A33',
    resource: filters(named('f', any(FAULT, { abort: { http_status: 503 } })), routerFilter),
  },
  {
    rule: 'a fault is to be injected by a filter that is optional',
    source: 'A39',
    resource: filters(named('f', any(FAULT, { delay: { header_delay: {} } }), { is_optional: true }), routerFilter),
  },
  {
    rule: 'a fault is to be injected by a filter that is disabled',
    source: 'http_connection_manager.proto',
    resource: filters(named('f', any(FAULT, { delay: { header_delay: {} } }), { disabled: true }), routerFilter),
  },
  {
    rule: 'a filter that only servers run is optional, and then not even looked into',
    source: 'A39',
    resource: filters(named('rbac', typedStruct(RBAC), { is_optional: true }), routerFilter),
  },
];
acceptsBy('LDS client', sides.client, CLIENT_ACCEPTED);

const SERVER_ACCEPTED: readonly Leniency<Filters>[] = [
  {
    rule: 'a fault is to be injected, which servers of gRPC do not do, and ours do',
    source: 'fault.proto',
    resource: filters(named('f', any(FAULT, { abort: { http_status: 503 } })), routerFilter),
  },
];
acceptsBy('LDS server', sides.server, SERVER_ACCEPTED);
