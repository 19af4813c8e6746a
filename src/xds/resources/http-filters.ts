import type { AdaptiveConcurrency } from '../../core/model/server.js';
import { runToEnd, type Steps } from '../../core/steps.js';
import { extension } from './any.js';
import { FILTERS, type FilterKind, OVERRIDE_WRAPPER, OVERRIDES, ROUTER } from './filter-kinds.js';
import type { Message } from './message.js';
import { concurrencyOf, type RouteFilters, routeFilters } from './route-filters.js';
import type { Side } from './side.js';

/** What a listener's filters come to. */
export interface HttpFilters {
  /** Those that count for routes. */
  readonly routes: RouteFilters;
  readonly adaptiveConcurrency: AdaptiveConcurrency | undefined;
}

/** `HttpConnectionManager.http_filters` by the rules of gRFC A39: checked, and read. `scope` names the listener, or the chain of it. */
export function* httpFilters(hcm: Message, side: Side, scope: string): Steps<HttpFilters> {
  const names = new Set<string>();
  const kept: { readonly filter: Message; readonly kind: FilterKind }[] = [];
  for (const filter of hcm.each('http_filters')) {
    const name = filter.requiredText('name');
    // gRFC A39: "Every filter in the list must have a unique instance name."
    if (names.has(name))
      throw filter.error('name', `must not be repeated in http_filters, got "${name.slice(0, 80)}" again`);
    names.add(name);
    const kind = yield* checkFilter(filter, side);
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
  return { routes: routeFilters(filters, scope), adaptiveConcurrency: concurrencyOf(filters) };
}

/** One `HttpFilter`; undefined when it is left out. */
function* checkFilter(filter: Message, side: Side): Steps<FilterKind | undefined> {
  const optional = filter.flag('is_optional');
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
    if ((form === 'struct') !== (kind.struct === true)) throw wrongForm(filter, 'typed_config', type, form);
    // A39: "the fields in the filter config will be validated", whether it is optional or not.
    yield* kind.check(config);
  }
  return kind;
}

function wrongForm(owner: Message, field: string, type: string, form: 'struct' | 'message'): Error {
  return owner.error(
    field,
    `must be a ${form === 'struct' ? `${type} itself, not a TypedStruct` : `TypedStruct of ${type}`}`,
  );
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
  const { type, kind: form } = config === undefined ? { type: '', kind: 'message' as const } : extension(config);
  const override = OVERRIDES.get(type);
  if (config === undefined || override === undefined) {
    // gRFC A39: a known filter's "top-level config type" is no override of it, and is_optional is for types that are not known.
    if (optional && !FILTERS.has(type)) return;
    const what = `override for filter "${type}" is not supported`;
    throw (config ?? owner).error('', `${what}; remove it, or wrap it in a FilterConfig with is_optional`);
  }
  if ((form === 'struct') !== (override.struct === true)) throw wrongForm(config, '', type, form);
  if (override.check !== undefined) runToEnd(override.check(config));
}
