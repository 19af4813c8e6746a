import type { HeaderMatch, QueryMatch, RouteMatch, StringMatch } from '../../core/model/match.js';
import { matchedValue } from '../match/headers.js';
import { queryNames, queryValue, type RequestView } from '../request.js';
import { type AnyOf, requiredText } from './required-text.js';

/**
 * Where in a request there is text by which routes can be told apart: its path, who makes it, the values of a header or of a query parameter, the names of
 * all headers or of all query parameters. A header or a parameter may have any name: only its place has a blank in it.
 */
export type Place = 'path' | 'principal' | 'headers' | 'parameters' | `header ${string}` | `query ${string}`;

/** A text of a place that a route cannot do without. */
export interface Clue {
  readonly place: Place;
  /** The whole text, or a part of it, is one of these. */
  readonly how: 'is' | 'has';
  readonly texts: AnyOf;
  /** They are in lower case, and are looked for in text in lower case. */
  readonly ignoreCase: boolean;
}

/** All that a match cannot do without, beside what the index of paths has of it. */
export function cluesOf({ path, headers, query, source }: RouteMatch): Clue[] {
  const clues: Clue[] = [];
  if (path.kind === 'regex') clues.push(...textClues('path', path));
  for (const header of headers) clues.push(...headerClues(header));
  for (const parameter of query) clues.push(...queryClues(parameter));
  for (const { match, invert } of source?.principals ?? []) if (!invert) clues.push(...textClues('principal', match));
  return clues;
}

function headerClues({ name, match, invert, treatMissingAsEmpty }: HeaderMatch): Clue[] {
  if (treatMissingAsEmpty) return [];
  if (match.kind === 'present') return match.present !== invert && isCarried(name) ? [named('headers', name)] : [];
  // An absent header matches no value, and no inverted one either.
  const there = isCarried(name) ? [named('headers', name)] : [];
  return invert || match.kind === 'range' ? there : [...textClues(`header ${name}`, match), ...there];
}

/** Whether a header that matchers see is among the fields: pseudo-headers are not, and the content type of gRPC is seen where there is none. */
const isCarried = (name: string): boolean => !name.startsWith(':') && name !== 'host' && name !== 'content-type';

function queryClues({ name, match }: QueryMatch): Clue[] {
  const there = name.includes('=') ? [] : [named('parameters', name)];
  if (match.kind !== 'present') return [...textClues(`query ${name}`, match), ...there];
  return match.present ? there : [];
}

const named = (place: Place, name: string): Clue => ({ place, how: 'is', texts: [name], ignoreCase: false });

function textClues(place: Place, match: StringMatch): Clue[] {
  if (match.kind === 'regex') {
    const { all, ignoreCase } = requiredText(match.regex.source);
    return all.map((texts) => ({ place, how: 'has', texts, ignoreCase }));
  }
  const { kind, ignoreCase } = match;
  if (kind !== 'exact' && match.value === '') return [];
  const text = ignoreCase ? match.value.toLowerCase() : match.value;
  return [{ place, how: kind === 'exact' ? 'is' : 'has', texts: [text], ignoreCase }];
}

/** What a request has in a place; undefined: nothing. */
export type ReadPlace = (request: RequestView, path: string) => string | readonly string[] | undefined;

/** `path` is given without the query. */
export function readerOf(place: Place): ReadPlace {
  switch (place) {
    case 'path':
      return (_request, path) => path;
    case 'principal':
      return ({ source }) => source?.principal;
    case 'headers':
      return ({ headers }) => Object.keys(headers);
    case 'parameters':
      return ({ path }) => queryNames(path);
    default: {
      const name = place.slice(place.indexOf(' ') + 1);
      return place.startsWith('header ')
        ? (request) => matchedValue(request, name)
        : ({ path }) => queryValue(path, name);
    }
  }
}
