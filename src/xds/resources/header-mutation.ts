import type { HeaderMutation } from '../../core/model/route.js';
import { formatProblem } from '../../routing/format/format.js';
import { isHeaderName, isHeaderValue } from './header-name.js';
import type { Message } from './message.js';

type Addition = HeaderMutation['set'][number];

const ACTIONS = {
  APPEND_IF_EXISTS_OR_ADD: 'append',
  ADD_IF_ABSENT: 'addIfAbsent',
  OVERWRITE_IF_EXISTS_OR_ADD: 'overwrite',
  OVERWRITE_IF_EXISTS: 'overwriteIfExists',
} as const;

/** Headers that one level may add, and remove. */
const MAX_HEADERS = 1_000;

/**
 * `request_headers_to_add` and `_remove` (or `response_…`) of one level: cluster weight, route, virtual host or route configuration.
 * Undefined when there are none.
 */
export function headerMutation(level: Message, direction: 'request' | 'response'): HeaderMutation | undefined {
  const set: Addition[] = [];
  const added = `${direction}_headers_to_add`;
  for (const option of level.messages(added)) {
    // "max_items: 1000" - route_components.proto, and for health checks health_check.proto: calls go through all of them.
    if (set.length >= MAX_HEADERS) throw level.error(added, `must have at most ${MAX_HEADERS} headers`);
    const addition = headerOption(option);
    if (addition !== undefined) set.push(addition);
  }
  const field = `${direction}_headers_to_remove`;
  // No rule of Envoy's; but what it costs a call is the same.
  if (level.texts(field).length > MAX_HEADERS) throw level.error(field, `must have at most ${MAX_HEADERS} headers`);
  const remove = level.texts(field).map((name, i) => mutableName(name, () => level.error(`${field}[${i}]`, MUTABLE)));
  return set.length === 0 && remove.length === 0 ? undefined : { remove, set };
}

/** All levels as one, in the order in which they are evaluated. */
export function mergeMutations(levels: readonly (HeaderMutation | undefined)[]): HeaderMutation | undefined {
  return levels.reduceRight<HeaderMutation | undefined>((next, level) => {
    if (level === undefined) return next;
    return next === undefined ? level : { ...level, next };
  }, undefined);
}

/** A header to remove, by the name in `field`. */
export function removedName(owner: Message, field: string): string {
  return mutableName(owner.requiredText(field), () => owner.error(field, MUTABLE));
}

/** `core.v3.HeaderValueOption`; undefined for one that does nothing. */
export function headerOption(option: Message): Addition | undefined {
  const header = option.required('header');
  const name = mutableName(header.requiredText('key'), () => header.error('key', MUTABLE));
  const field = header.oneof('value', 'raw_value') ?? 'value';
  const value = field === 'value' ? format(header) : escaped(header.bytes('raw_value'));
  if (!isHeaderValue(value))
    throw header.error(field, 'must be a header value: Latin-1 without control characters (RFC 9110)');
  // An empty value adds nothing unless it is asked for (base.proto, keep_empty_value).
  const keepEmpty = option.flag('keep_empty_value');
  if (value === '' && !keepEmpty) return undefined;
  return keepEmpty ? { name, value, action: action(option), keepEmpty } : { name, value, action: action(option) };
}

function action(option: Message): Addition['action'] {
  // `append` is the deprecated spelling: true appends, false overwrites; it counts when it is there.
  const append = option.boolValue('append');
  if (append !== undefined) {
    if (option.has('append_action')) throw option.error('append', 'must not be set together with append_action');
    return append ? 'append' : 'overwrite';
  }
  return ACTIONS[
    option.choice('append_action', [
      'APPEND_IF_EXISTS_OR_ADD',
      'ADD_IF_ABSENT',
      'OVERWRITE_IF_EXISTS_OR_ADD',
      'OVERWRITE_IF_EXISTS',
    ])
  ];
}

/** A substitution format string. Envoy looks for what is wrong with it when it loads the configuration, too. */
function format(header: Message): string {
  const value = header.text('value');
  const problem = formatProblem(value);
  if (problem !== undefined) throw header.error('value', problem);
  return value;
}

/** `raw_value` is no format: what would be one is escaped. */
const escaped = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1').replaceAll('%', '%%');

const MUTABLE = 'must be a header name that may be changed: no pseudo-header and not "host" (use host_rewrite_literal)';

// Envoy refuses pseudo-headers and host as well (header_parser.cc): rewriting has fields of its own.
function mutableName(name: string, error: () => Error): string {
  const lower = name.toLowerCase();
  if (lower === 'host' || !isHeaderName(lower)) throw error();
  return lower;
}
