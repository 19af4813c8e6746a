import type { Path, Report } from '../problem.js';
import type { HttpMatch } from '../schema/http-route.js';
import type { CorsSpec } from '../schema/cors.js';
import type { HeaderModifier, HttpFilter, RequestMirror } from '../schema/route.js';
import { checkBackendKind } from './route.js';

const FIELD_OF = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  URLRewrite: 'urlRewrite',
  RequestRedirect: 'requestRedirect',
  RequestMirror: 'requestMirror',
  CORS: 'cors',
} as const;

/** "filter.x must be specified for X filter.type", and nothing else; each type at most once. */
export function checkFilterFields(filters: readonly Partial<HttpFilter>[], at: Path, report: Report): void {
  const types = new Set<string>();
  filters.forEach((filter, index) => {
    const type = filter.type as HttpFilter['type'];
    // "This filter can be used multiple times within the same rule." - HTTPRequestMirrorFilter.
    if (types.has(type) && type !== 'RequestMirror')
      report([...at, index, 'type'], `${type} is there twice: put both into one filter`);
    types.add(type);
    for (const [owner, field] of Object.entries(FIELD_OF) as [
      HttpFilter['type'],
      (typeof FIELD_OF)[HttpFilter['type']],
    ][]) {
      if (owner === type && filter[field] === undefined)
        report([...at, index, field], `is missing: a filter of type ${type} needs it`);
      if (owner !== type && filter[field] !== undefined)
        report([...at, index, field], `belongs to a filter of type ${owner}, not ${type}`);
    }
    checkHeaders(filter.requestHeaderModifier, [...at, index, 'requestHeaderModifier'], report);
    checkHeaders(filter.responseHeaderModifier, [...at, index, 'responseHeaderModifier'], report);
    if (filter.requestMirror !== undefined) checkMirror(filter.requestMirror, [...at, index, 'requestMirror'], report);
    if (filter.cors !== undefined) checkCors(filter.cors, [...at, index, 'cors'], report);
  });
}

function checkMirror({ backendRef, percent, fraction }: RequestMirror, at: Path, report: Report): void {
  checkBackendKind(backendRef, [...at, 'backendRef', 'kind'], report);
  if (percent !== undefined && fraction !== undefined)
    report([...at, 'fraction'], 'cannot be combined with percent: keep one of them');
  if (fraction !== undefined && fraction.numerator > fraction.denominator)
    report(
      [...at, 'fraction', 'numerator'],
      `must be at most the denominator, which is ${fraction.denominator}, got ${fraction.numerator}`,
    );
}

function checkCors(cors: CorsSpec, at: Path, report: Report): void {
  for (const field of ['allowOrigins', 'allowMethods', 'allowHeaders', 'exposeHeaders'] as const) {
    const values: readonly string[] = cors[field] ?? [];
    if (values.includes('*') && values.length > 1)
      report([...at, field], '"*" stands for all of them: keep it alone, or remove it');
    // Of methods and headers of requests, those are repeated that the browser asks for; of replies it asks for none.
    if (values.includes('*') && cors.allowCredentials && field === 'exposeHeaders')
      report([...at, field], 'browsers take "*" for a name when allowCredentials is true: name the headers');
  }
}

function checkHeaders(modifier: HeaderModifier | undefined, at: Path, report: Report): void {
  for (const list of ['set', 'add'] as const) {
    modifier?.[list]?.forEach(({ name, value }, index) => {
      checkHeaderName(name, [...at, list, index, 'name'], report);
      // RFC 9110 section 5.5; Node refuses to send anything else.
      if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
        report([...at, list, index, 'value'], 'must be Latin-1 text without control characters');
    });
  }
  modifier?.remove?.forEach((name, index) => {
    checkHeaderName(name, [...at, 'remove', index], report);
  });
}

function checkHeaderName(name: string, at: Path, report: Report): void {
  if (name.toLowerCase() === 'host') report(at, 'the Host header is changed with URLRewrite.hostname');
}

export function checkFilters(
  filters: readonly HttpFilter[],
  matches: readonly HttpMatch[],
  at: Path,
  report: Report,
): void {
  checkFilterFields(filters, at, report);
  const rewrite = filters.findIndex((filter) => filter.type === 'URLRewrite');
  const redirect = filters.findIndex((filter) => filter.type === 'RequestRedirect');
  if (rewrite >= 0 && redirect >= 0)
    report(
      [...at, Math.max(rewrite, redirect)],
      'URLRewrite and RequestRedirect cannot be combined: remove one of them',
    );
  filters.forEach((filter, index) => {
    for (const field of ['urlRewrite', 'requestRedirect'] as const) {
      const path = filter[field]?.path;
      if (path === undefined) continue;
      const pathAt = [...at, index, field, 'path'];
      const [needed, other] =
        path.type === 'ReplaceFullPath'
          ? (['replaceFullPath', 'replacePrefixMatch'] as const)
          : (['replacePrefixMatch', 'replaceFullPath'] as const);
      if (path[needed] === undefined) report([...pathAt, needed], `is missing: type ${path.type} needs it`);
      if (path[other] !== undefined) report([...pathAt, other], `does not belong to type ${path.type}: remove it`);
      // "exactly one PathPrefix match must be specified" - HTTPRouteRule.
      if (path.type === 'ReplacePrefixMatch' && !(matches.length === 1 && matches[0]?.path.type === 'PathPrefix')) {
        report(
          [...pathAt, 'type'],
          'ReplacePrefixMatch needs exactly one match in the rule, with a path of type PathPrefix',
        );
      }
    }
  });
}
