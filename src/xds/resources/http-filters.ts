import type { AdaptiveConcurrency } from '../../core/model/server.js';
import { runToEnd, type Steps } from '../../core/steps.js';
import { extension } from './any.js';
import { adaptiveConcurrency } from './filter-adaptive-concurrency.js';
import {
  ADAPTIVE_CONCURRENCY,
  CORS,
  FILTERS,
  type FilterKind,
  OVERRIDE_WRAPPER,
  OVERRIDES,
  ROUTER,
  SESSION,
} from './filter-kinds.js';
import type { RouteFilters } from './filter-overrides.js';
import { statefulSession } from './filter-session.js';
import type { Unsupported } from './listener-unsupported.js';
import type { Message } from './message.js';
import type { Side } from './side.js';

/** What a listener's filters come to. */
export interface HttpFilters {
  /** Those that count for routes. */
  readonly routes: RouteFilters;
  readonly adaptiveConcurrency: AdaptiveConcurrency | undefined;
}

/** `HttpConnectionManager.http_filters` by the rules of gRFC A39: checked, and read. */
export function* httpFilters(hcm: Message, side: Side, unsupported: Unsupported): Steps<HttpFilters> {
  const names = new Set<string>();
  const kept: { readonly filter: Message; readonly kind: FilterKind }[] = [];
  for (const filter of hcm.each('http_filters')) {
    const name = filter.requiredText('name');
    // gRFC A39: "Every filter in the list must have a unique instance name."
    if (names.has(name))
      throw filter.error('name', `must not be repeated in http_filters, got "${name.slice(0, 80)}" again`);
    names.add(name);
    const kind = yield* checkFilter(filter, side, unsupported);
    if (kind !== undefined) kept.push({ filter, kind });
    yield;
  }
  // gRFC A39: "validation will fail if a terminal filter is not the last filter in the chain or if a non-terminal filter is the last"
  kept.forEach(({ filter, kind: { terminal } }, i) => {
    const last = i === kept.length - 1;
    if (terminal && !last) throw filter.error('', 'is a terminal filter, and must be the last one');
    if (last && !terminal) throw filter.error('', `is the last filter, and must be a terminal one (${ROUTER})`);
  });
  // gRFC A39: "There must be at least one filter in the list"
  if (kept.length === 0) throw hcm.error('http_filters', `must not be empty: it needs at least ${ROUTER}`);
  const filters = kept.map(({ filter }) => filter);
  return { routes: routeFilters(filters), adaptiveConcurrency: concurrencyOf(filters) };
}

/** Of the first that is on. */
function concurrencyOf(filters: readonly Message[]): AdaptiveConcurrency | undefined {
  for (const filter of filters) {
    const config = filter.required('typed_config');
    if (extension(config).type !== ADAPTIVE_CONCURRENCY || filter.flag('disabled')) continue;
    const found = adaptiveConcurrency(config);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Of several for sessions the first counts: the next would find that an endpoint has been chosen. */
function routeFilters(filters: readonly Message[]): RouteFilters {
  const typed = (type: string): Message | undefined =>
    filters.find((filter) => extension(filter.required('typed_config')).type === type);
  const session = typed(SESSION);
  return {
    cors: typed(CORS)?.text('name'),
    session: session && {
      filter: session.text('name'),
      // One that is disabled can be switched on by a route (http_connection_manager.proto).
      session: session.flag('disabled') ? undefined : statefulSession(session.required('typed_config')),
    },
  };
}

/** One `HttpFilter`; undefined when it is left out. */
function* checkFilter(filter: Message, side: Side, unsupported: Unsupported): Steps<FilterKind | undefined> {
  const optional = filter.flag('is_optional');
  const disabled = filter.flag('disabled');
  if (filter.oneof('typed_config', 'config_discovery') !== 'typed_config') {
    if (optional) return undefined;
    const what = filter.has('config_discovery')
      ? 'a filter that comes by config_discovery'
      : 'a filter without typed_config';
    throw filter.error('typed_config', `${what} is not supported by a ${side}; remove it, or set is_optional`);
  }
  const config = filter.required('typed_config');
  const { type, kind: form } = extension(config);
  const kind = FILTERS.get(type);
  // gRFC A39: "Any unknown config type will cause the Listener resource to be NACKed, unless the is_optional field is true"
  if (kind === undefined || !kind.sides.includes(side)) {
    if (optional) return undefined;
    throw filter.error('typed_config', `filter "${type}" is not supported by a ${side}; remove it, or set is_optional`);
  }
  if (kind.check !== undefined) {
    if (form === 'struct') throw filter.error('typed_config', `must be a ${type} itself, not a TypedStruct`);
    // A39: "the fields in the filter config will be validated", whether it is optional or not.
    yield* kind.check(config);
  }
  const lacking = kind.lacking(config, disabled);
  if (lacking === undefined) return kind;
  if (optional) return undefined;
  unsupported.add(filter.error('typed_config', `filter "${type}" is not supported by a ${side}: ${lacking}`));
  return kind;
}

/** `typed_per_filter_config` of a virtual host, route or cluster weight: an override that would have an effect must be understood. */
export function checkFilterOverrides(owner: Message): void {
  for (const [, value] of owner.map('typed_per_filter_config')) {
    const wrapped = extension(value).type === OVERRIDE_WRAPPER;
    if (wrapped && value.flag('disabled')) continue;
    checkOverride(value, wrapped ? value.message('config') : value, wrapped && value.flag('is_optional'));
  }
}

function checkOverride(owner: Message, config: Message | undefined, optional: boolean): void {
  const { type, kind: form } = config === undefined ? { type: '', kind: 'message' } : extension(config);
  const override = OVERRIDES.get(type);
  if (config === undefined || override === undefined) {
    // gRFC A39: a known filter's "top-level config type" is no override of it, and is_optional is for types that are not known.
    if (optional && !FILTERS.has(type)) return;
    const what = `override for filter "${type}" is not supported`;
    throw (config ?? owner).error('', `${what}; remove it, or wrap it in a FilterConfig with is_optional`);
  }
  if (form === 'struct') throw config.error('', `must be a ${type} itself, not a TypedStruct`);
  if (override.check !== undefined) runToEnd(override.check(config));
  const lacking = override.lacking(config, false);
  if (lacking !== undefined && !optional)
    throw config.error('', `override for filter "${type}" is not supported: ${lacking}`);
}
