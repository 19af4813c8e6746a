import type { LimitKey } from '../../core/model/limit.js';
import { headerMatch } from './header-match.js';
import { isHeaderName } from './header-name.js';
import type { Message } from './message.js';
import { boundedMessages, boundedText, onlyFields, wholeIn } from './own-config.js';
import { queryMatch } from './string-match.js';

const MAX_TEXT = 500;
const MAX_CLAIM_PATH = 8;
const MAX_MATCHES = 16;

/** Kinds, and the fields that each has beside `kind`, `as` and `absent`. */
const FIELDS = {
  header: ['name'],
  query: ['name'],
  remote_address: ['v4_bits', 'v6_bits'],
  identity: [],
  claim: ['path'],
  route: [],
  method: [],
  path: [],
  host: [],
  destination: [],
  source: [],
  generic: ['value'],
  match: ['value', 'headers', 'query', 'expect'],
} as const satisfies Record<LimitKey['kind'], readonly string[]>;
type Kind = keyof typeof FIELDS;
const KINDS = Object.keys(FIELDS) as [Kind, ...Kind[]];

/** Names of entries where none is given: Envoy's. */
const NAMES: Partial<Record<Kind, string>> = {
  destination: 'destination_cluster',
  source: 'source_cluster',
  generic: 'generic_key',
  match: 'header_match',
};

/** An entry of `key` of a rule of ours: see `ownLimits`. */
export function limitKey(entry: Message): LimitKey {
  if (!entry.has('kind')) throw entry.error('kind', `must be set to one of ${KINDS.join(', ')}`);
  const kind = entry.choice('kind', KINDS);
  onlyFields(entry, ['kind', 'as', 'absent', ...FIELDS[kind]]);
  const common = {
    as: entry.has('as') ? boundedText(entry, 'as', MAX_TEXT) : defaultName(entry, kind),
    ...(entry.has('absent') && { absent: entry.choice('absent', ['empty', 'skip-entry', 'skip-rule']) }),
  };
  switch (kind) {
    case 'header':
      return { ...common, kind, name: keyHeader(entry, 'name') };
    case 'query':
      return { ...common, kind, name: boundedText(entry, 'name', MAX_TEXT) };
    case 'remote_address': {
      const v4Bits = wholeIn(entry, 'v4_bits', { min: 0, max: 32 }, undefined);
      const v6Bits = wholeIn(entry, 'v6_bits', { min: 0, max: 128 }, undefined);
      return {
        ...common,
        kind,
        ...(v4Bits !== undefined && { v4Bits }),
        ...(v6Bits !== undefined && { v6Bits }),
      };
    }
    case 'claim':
      return { ...common, kind, path: claimPath(entry) };
    case 'generic':
      return { ...common, kind, value: boundedText(entry, 'value', MAX_TEXT) };
    case 'match': {
      const headers = boundedMessages(entry, 'headers', MAX_MATCHES).map(headerMatch);
      const query = boundedMessages(entry, 'query', MAX_MATCHES).map(queryMatch);
      if (headers.length + query.length === 0) throw entry.error('', 'must have headers or query');
      const expect = entry.has('expect') ? entry.flag('expect') : true;
      return { ...common, kind, value: boundedText(entry, 'value', MAX_TEXT), headers, query, expect };
    }
    default:
      return { ...common, kind };
  }
}

function defaultName(entry: Message, kind: Kind): string {
  if (kind === 'header' || kind === 'query') return entry.text('name').toLowerCase();
  return kind === 'claim' ? claimPath(entry).join('.') : (NAMES[kind] ?? kind);
}

/** Name of a header, or of a pseudo-header such as `:path`, in lower case. */
export function keyHeader(owner: Message, field: string): string {
  const name = boundedText(owner, field, MAX_TEXT).toLowerCase();
  if (!isHeaderName(name.startsWith(':') ? name.slice(1) : name))
    throw owner.error(field, 'must be a header name (RFC 9110)');
  return name;
}

function claimPath(entry: Message): readonly string[] {
  const path = entry.texts('path');
  if (path.length === 0 || path.length > MAX_CLAIM_PATH || path.includes(''))
    throw entry.error('path', `must have 1 to ${MAX_CLAIM_PATH} names of claims, none of them empty`);
  return path;
}
