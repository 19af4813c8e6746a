import type { Path, Report } from '../problem.js';
import { KEY_KINDS, type LimitKeySpec } from '../schema/limit.js';
import { checkHeaderMatches } from './header-match.js';
import { checkValues } from './route.js';

/** Envoy's names of the entries of descriptors (`route_components.proto`, RateLimit.Action). */
const ENVOY_NAMES: Readonly<Record<string, string>> = {
  remoteAddress: 'remote_address',
  generic: 'generic_key',
  match: 'header_match',
  destination: 'destination_cluster',
  source: 'source_cluster',
};

/** By what name a part of a key goes. */
export function keyName(entry: LimitKeySpec): string {
  const { as, header, query, claim } = entry;
  if (as !== undefined) return as;
  if (header !== undefined) return header.toLowerCase();
  if (query !== undefined) return query;
  if (claim !== undefined) return typeof claim === 'string' ? claim : claim.join('.');
  const kind = KEY_KINDS.find((name) => entry[name] !== undefined) ?? '';
  return ENVOY_NAMES[kind] ?? kind;
}

export function checkKeys(keys: readonly LimitKeySpec[], at: Path, report: Report): void {
  const names = new Set<string>();
  keys.forEach((entry, index) => {
    const [kind, ...others] = KEY_KINDS.filter((name) => entry[name] !== undefined);
    const here = [...at, index];
    if (kind === undefined)
      report(here, `must have one of ${KEY_KINDS.join(', ')}`, { expected: KEY_KINDS.join(', ') });
    for (const other of others) report([...here, other], `cannot be combined with ${kind}: make two entries of them`);
    const name = keyName(entry);
    if (kind !== undefined && names.has(name)) {
      const where = entry.as === undefined ? here : [...here, 'as'];
      report(where, `"${name}" is there twice: remove one, or give it another name with "as"`);
    }
    names.add(name);
    checkMatchKey(entry, [...here, 'match'], report);
  });
}

function checkMatchKey({ match }: LimitKeySpec, at: Path, report: Report): void {
  if (match === undefined) return;
  if (match.headers === undefined && match.queryParams === undefined)
    report(at, 'must have headers or queryParams', { expected: 'headers, queryParams' });
  checkHeaderMatches(match.headers, [...at, 'headers'], report);
  checkValues(match.queryParams, [...at, 'queryParams'], report);
}
