import type { FilterChain, RouteSource } from '../../core/model/server.js';
import type { Steps } from '../../core/steps.js';
import { extension } from './any.js';
import { authorizationUnder } from './authz-filters.js';
import type { ReadContext } from './context.js';
import { configurationUnder } from './filter-overrides.js';
import { guardsUnder } from './guard-filters.js';
import { connectionManager, HCM } from './listener-http.js';
import type { Message } from './message.js';
import type { RouteFilters } from './route-filters.js';
import { deepFreeze } from './share.js';
import { downstreamTls } from './tls-downstream.js';

type Parts = Omit<FilterChain, 'name' | 'match'>;

/** `listener.v3.FilterChain` without its match: its one network filter, and how connections are protected. */
export function* filterChain(chain: Message, context: ReadContext, scope: string): Steps<Parts> {
  // It puts a listener filter in front (listener_components.proto), and gRFC A36 has none.
  if (chain.boolValue('use_proxy_proto') === true)
    throw chain.error('use_proxy_proto', 'must be false or not set: listener filters are not supported (gRFC A36)');
  const { filters, ...manager } = yield* connectionManager(networkFilter(chain), 'server', context, scope);
  const socket = chain.message('transport_socket');
  const tls = socket && downstreamTls(socket, context);
  const { adaptiveConcurrency } = filters;
  // A server has no endpoint to choose.
  const { session: _, ...own } = filters.routes;
  return {
    ...manager,
    routes: yield* routesUnder({ ...own, session: undefined }, manager.routes, scope),
    ...(own.cors !== undefined && { cors: true }),
    ...(adaptiveConcurrency !== undefined && { adaptiveConcurrency }),
    ...(own.authorization !== undefined && {
      authorization: deepFreeze({ ...authorizationUnder(own.authorization, () => undefined), judgesPath: true }),
    }),
    ...(own.guards !== undefined && deepFreeze(guardsUnder(own.guards, () => undefined))),
    ...(tls !== undefined && { tls }),
  };
}

/** Routes that come by name, and what makes them those of this chain. */
export type FilteredSource = Extract<RouteSource, { readonly kind: 'rds' }> & { readonly filters?: RouteFilters };

/** A chain's routes as they serve under its filters: those that came with it at once, others when they are there (`ServerTracker`). */
function* routesUnder(filters: RouteFilters, routes: RouteSource, scope: string): Steps<RouteSource> {
  if (routes.kind === 'inline') return { kind: 'inline', config: yield* configurationUnder(routes.config, filters) };
  const { limits, faults, concurrency, authorization, guards } = filters;
  const changes = [limits, faults, concurrency, authorization, guards].some((part) => part !== undefined);
  const found: FilteredSource = { ...routes, key: `${routes.name} in ${scope}`, filters };
  return changes ? found : routes;
}

/** gRFC A36: "exactly one entry for the … HttpConnectionManager filter … as the last entry in the list"; there is no other that is supported. */
function networkFilter(chain: Message): Message {
  const names = new Set<string>();
  let found: Message | undefined;
  for (const filter of chain.messages('filters')) {
    const name = filter.requiredText('name');
    // gRFC A36: "the filter names are unique within the filters list"
    if (names.has(name))
      throw filter.error('name', `must not be repeated in filters, got "${name.slice(0, 80)}" again`);
    names.add(name);
    if (filter.oneof('typed_config', 'config_discovery') === 'config_discovery')
      throw filter.error('config_discovery', 'is not supported; use typed_config');
    const config = filter.required('typed_config');
    // gRFC A36: "If the type is udpa.type.v1.TypedStruct, then its type_url is used instead."
    const { kind, type } = extension(config);
    if (type !== HCM) throw filter.error('typed_config', `network filter "${type}" is not supported; only ${HCM} is`);
    if (kind === 'struct') throw filter.error('typed_config', `must be a ${HCM} itself, not a TypedStruct`);
    if (found !== undefined)
      throw filter.error('', 'is a second HttpConnectionManager; there must be exactly one (gRFC A36)');
    found = config;
  }
  if (found === undefined) throw chain.error('filters', `must have a ${HCM} (gRFC A36)`);
  return found;
}
