import { ambientClaims } from '../../core/ambient.js';
import { claimPath, claimValues } from '../../core/claims.js';
import { headerValue } from '../../core/headers.js';
import type { HeaderMatch } from '../../core/model/match.js';
import { type Predicate, pseudoHeader, type RequestView } from '../request.js';
import { stringTest } from './strings.js';

/** What a header matcher sees: pseudo-headers by name, repeated fields joined, gRPC's binary ones not at all (gRFC A28). */
function visibleHeader(request: RequestView, name: string): string | undefined {
  const pseudo = pseudoHeader(request, name);
  if (pseudo !== undefined) return pseudo;
  if (request.protocol === 'grpc') {
    if (name === 'content-type') return 'application/grpc';
    if (name.endsWith('-bin')) return undefined;
  }
  return headerValue(request.headers, name);
}

/** Compiles `route.v3.HeaderMatcher` for the fields of a request. */
export function headerTest(match: HeaderMatch): Predicate {
  const { name } = match;
  const test = headerValueTest(match);
  const claim = claimPath(name);
  if (claim !== undefined) return (request) => test(claimOf(request, claim));
  return (request) => test(matchedValue(request, name));
}

/** What a verified token says in place of a header (Istio's `@request.auth.claims`). One of several values may match. */
function claimOf({ claims = ambientClaims() }: RequestView, path: readonly string[]): readonly string[] | undefined {
  const values = claims === undefined ? [] : claimValues(claims, path);
  return values.length === 0 ? undefined : values;
}

/**
 * What a matcher is asked about. Of a field that is there several times any value may match, so that who adds a second one gets round no rule (Envoy);
 * to gRPC they are one, joined (gRFC A28).
 */
export function matchedValue(request: RequestView, name: string): string | readonly string[] | undefined {
  const repeated = request.protocol === 'http' ? request.headers[name] : undefined;
  return typeof repeated === 'object' ? repeated : visibleHeader(request, name);
}

/** The same for a field's value, or its values, undefined when it is absent: of a reply, for instance. */
export function headerValueTest({
  match,
  invert,
  treatMissingAsEmpty,
}: HeaderMatch): (value: string | readonly string[] | undefined) => boolean {
  if (match.kind === 'present') {
    // "present_match: false" asks for absence; "invert_match" turns either round (gRFC A28).
    const wanted = match.present !== invert;
    // One that counts as empty counts as present (Envoy).
    return (value) => (value !== undefined || treatMissingAsEmpty) === wanted;
  }
  const test = match.kind === 'range' ? rangeTest(match.start, match.end) : stringTest(match);
  return (given) => {
    if (typeof given === 'object') return given.some(test) !== invert;
    const value = given ?? (treatMissingAsEmpty ? '' : undefined);
    // An absent header matches no value, and no inverted one either (gRFC A41; Envoy, Go, C-core).
    return value !== undefined && test(value) !== invert;
  };
}

/** "a base 10 integer ... with an optional plus or minus sign" - Envoy HeaderMatcher.range_match. */
function rangeTest(start: number, end: number): (text: string) => boolean {
  return (text) => {
    if (!/^[+-]?\d+$/.test(text)) return false;
    const value = Number(text);
    return value >= start && value < end;
  };
}
