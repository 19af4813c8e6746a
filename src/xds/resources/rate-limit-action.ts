import type { LimitKey } from '../../core/model/limit.js';
import { headerMatch } from './header-match.js';
import { keyHeader } from './limit-key.js';
import type { Unsupported } from './listener-unsupported.js';
import type { Message } from './message.js';
import { queryMatch } from './string-match.js';

const SUPPORTED = [
  'source_cluster',
  'destination_cluster',
  'request_headers',
  'query_parameters',
  'remote_address',
  'generic_key',
  'header_value_match',
  'masked_remote_address',
  'query_parameter_value_match',
] as const;
const UNSUPPORTED = ['dynamic_metadata', 'metadata', 'extension'] as const;

/**
 * `route.v3.RateLimit.Action`: one entry of a descriptor. "If an action cannot append a descriptor entry, no descriptor is generated for the configuration",
 * but for those with `skip_if_absent`. Undefined when it is not supported; a newer kind of action looks like none.
 */
export function limitAction(action: Message, unsupported: Unsupported): LimitKey | undefined {
  const kind = action.oneof(...SUPPORTED, ...UNSUPPORTED);
  if (kind === undefined || isUnsupported(kind)) {
    unsupported.add(action.error(kind ?? '', `is not supported; use one of ${SUPPORTED.join(', ')}`));
    return undefined;
  }
  const config = action.required(kind);
  const absent = 'skip-rule';
  switch (kind) {
    case 'source_cluster':
      return { kind: 'source', as: kind, absent };
    case 'destination_cluster':
      return { kind: 'destination', as: kind, absent };
    case 'request_headers':
      return {
        kind: 'header',
        name: keyHeader(config, 'header_name'),
        as: config.requiredText('descriptor_key'),
        absent: skipIfAbsent(config),
      };
    case 'query_parameters':
      return {
        kind: 'query',
        name: config.requiredText('query_parameter_name'),
        as: config.requiredText('descriptor_key'),
        absent: skipIfAbsent(config),
      };
    case 'remote_address':
      return { kind: 'remote_address', as: kind, absent };
    case 'masked_remote_address':
      return {
        kind: 'remote_address',
        as: kind,
        absent,
        v4Bits: maskLength(config, 'v4_prefix_mask_len', 32),
        v6Bits: maskLength(config, 'v6_prefix_mask_len', 128),
      };
    case 'generic_key':
      return {
        kind: 'generic',
        as: config.text('descriptor_key') || kind,
        value: config.requiredText('descriptor_value'),
      };
    case 'header_value_match':
      return {
        kind: 'match',
        as: config.text('descriptor_key') || 'header_match',
        absent,
        ...matchOf(config),
        headers: atLeastOne(config, 'headers').map(headerMatch),
        query: [],
      };
    case 'query_parameter_value_match':
      return {
        kind: 'match',
        as: config.text('descriptor_key') || 'query_match',
        absent,
        ...matchOf(config),
        headers: [],
        query: atLeastOne(config, 'query_parameters').map(queryMatch),
      };
  }
}

const isUnsupported = (kind: string): kind is (typeof UNSUPPORTED)[number] =>
  (UNSUPPORTED as readonly string[]).includes(kind);

const skipIfAbsent = (config: Message): 'skip-entry' | 'skip-rule' =>
  config.flag('skip_if_absent') ? 'skip-entry' : 'skip-rule';

/** "The default value is true." */
const matchOf = (config: Message) => ({
  value: config.requiredText('descriptor_value'),
  expect: config.boolValue('expect_match') ?? true,
});

/** "min_items: 1" */
function atLeastOne(config: Message, field: string): Message[] {
  const found = config.messages(field);
  if (found.length === 0) throw config.error(field, 'must have at least one');
  return found;
}

function maskLength(config: Message, field: string, max: number): number {
  const bits = config.uint32Value(field) ?? max;
  if (bits > max) throw config.error(field, `must be at most ${max}, got ${bits}`);
  return bits;
}
