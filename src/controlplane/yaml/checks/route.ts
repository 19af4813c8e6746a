import { formatDuration } from '../duration.js';
import type { Path, Report } from '../problem.js';
import type { GrpcRouteSpec } from '../schema/grpc-route.js';
import type { HttpMatch, HttpRouteSpec } from '../schema/http-route.js';
import type { HttpFilter, ParentRef, Timeouts } from '../schema/route.js';
import { regexProblem } from '../regex.js';

export function checkHttpRoute(spec: HttpRouteSpec, report: Report): void {
  checkParents(spec.parentRefs, report);
  checkRules(spec.rules, report);
  spec.rules.forEach((rule, index) => {
    const at = ['spec', 'rules', index];
    rule.matches.forEach((match, number) => checkHttpMatch(match, [...at, 'matches', number], report));
    checkFilters(rule.filters, rule.matches, [...at, 'filters'], report);
    rule.backendRefs.forEach((ref, number) => {
      const refAt = [...at, 'backendRefs', number];
      checkFilters(ref.filters ?? [], rule.matches, [...refAt, 'filters'], report);
      // Header changes differ by backend in xDS; paths, hosts and redirects belong to the route.
      ref.filters?.forEach((filter, filterIndex) => {
        if (rule.backendRefs.length === 1 || filter.type === 'RequestHeaderModifier' || filter.type === 'ResponseHeaderModifier') return;
        report([...refAt, 'filters', filterIndex, 'type'], `${filter.type} is supported for one of several backends only as a filter of the whole rule: move it there`);
      });
    });
    const redirect = rule.filters.findIndex((filter) => filter.type === 'RequestRedirect');
    // "RequestRedirect filter must not be used together with backendRefs" - HTTPRouteRule.
    if (redirect >= 0 && rule.backendRefs.length > 0) report([...at, 'filters', redirect], 'RequestRedirect cannot be combined with backendRefs: remove one of them');
  });
}

export function checkGrpcRoute(spec: GrpcRouteSpec, report: Report): void {
  checkParents(spec.parentRefs, report);
  checkRules(spec.rules, report);
  spec.rules.forEach((rule, index) => {
    const at = ['spec', 'rules', index];
    rule.matches.forEach((match, number) => {
      const matchAt = [...at, 'matches', number];
      checkValues(match.headers, [...matchAt, 'headers'], report);
      const method = match.method;
      if (method === undefined) return;
      // "At least one of Service and Method MUST be a non-empty string." - GRPCMethodMatch.
      if (!method.service && !method.method) report([...matchAt, 'method'], 'must have a service, a method, or both');
      for (const field of ['service', 'method'] as const) {
        const name = method[field];
        if (!name) continue;
        if (method.type === 'RegularExpression') checkRegex(name, [...matchAt, 'method', field], report);
        else if (!NAMES[field].test(name)) report([...matchAt, 'method', field], `must be the name of a gRPC ${field}, got "${name}"`);
      }
    });
    checkFilterFields(rule.filters, [...at, 'filters'], report);
    rule.backendRefs.forEach((ref, number) => checkFilterFields(ref.filters ?? [], [...at, 'backendRefs', number, 'filters'], report));
  });
}

/** GRPCMethodMatch's own patterns. */
const NAMES = { service: /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i, method: /^[A-Za-z_][A-Za-z_0-9]*$/ };

function checkParents(parents: readonly ParentRef[], report: Report): void {
  parents.forEach((parent, index) => {
    const at = ['spec', 'parentRefs', index];
    if (parent.kind !== 'Service' || (parent.group ?? '') !== '') {
      const what = parent.kind === undefined ? 'is missing, which means Gateway' : `"${[parent.group, parent.kind].filter(Boolean).join('/')}" is not supported by this version of inmesh`;
      report([...at, 'kind'], `${what}: attach the route to a Service with "kind: Service" and "group: \\"\\""`, { expected: 'Service' });
    }
  });
}

interface CommonRule {
  readonly name?: string | undefined;
  readonly timeouts?: Timeouts | undefined;
  readonly retry?: { readonly backoff?: number | undefined } | undefined;
  readonly backendRefs: readonly { readonly kind: string; readonly group: string; readonly weight: number }[];
}

function checkRules(rules: readonly CommonRule[], report: Report): void {
  const names = new Set<string>();
  rules.forEach((rule, index) => {
    const at = ['spec', 'rules', index];
    if (rule.name !== undefined && names.has(rule.name)) report([...at, 'name'], `name "${rule.name}" is there twice`);
    if (rule.name !== undefined) names.add(rule.name);
    const { request, backendRequest } = rule.timeouts ?? {};
    // "the value of BackendRequest must be no more than the value of the Request timeout" - HTTPRouteTimeouts; 0s is no limit.
    if (request && backendRequest && backendRequest > request) {
      report([...at, 'timeouts', 'backendRequest'], `must be at most the ${formatDuration(request)} of timeouts.request, got ${formatDuration(backendRequest)}`);
    }
    if (rule.retry?.backoff === 0) report([...at, 'retry', 'backoff'], 'must be more than 0s', { expected: 'at least 1ms' });
    rule.backendRefs.forEach((ref, number) => {
      if (ref.kind === 'Service' && ref.group === '') return;
      report([...at, 'backendRefs', number, 'kind'], `"${[ref.group, ref.kind].filter(Boolean).join('/')}" is not supported by this version of inmesh: use a Service`, { expected: 'Service' });
    });
    if (rule.backendRefs.length > 0 && rule.backendRefs.every((ref) => ref.weight === 0)) {
      report([...at, 'backendRefs'], 'the weights are all 0, so that no backend gets any traffic: give one a weight of at least 1');
    }
  });
}

/** What HTTPPathMatch forbids in Exact and PathPrefix values, each with how to say it. */
const PATH_RULES: readonly [RegExp, string][] = [
  [/^(?!\/)/, 'must start with "/"'],
  [/\/\//, 'must not contain "//"'],
  [/\/\.\.?(\/|$)/, 'must not contain "." or ".." as a segment'],
  [/%2f/i, 'must not contain an encoded slash'],
  [/[?]/, 'must not contain a query: use queryParams'],
  [/#/, 'must not contain "#"'],
  [/(%(?![0-9a-f]{2})|[^-A-Za-z0-9/._~!$&'()*+,;=:@%])/i, 'must be percent-encoded where it is not a plain URL path'],
];

function checkHttpMatch(match: HttpMatch, at: Path, report: Report): void {
  const { type, value } = match.path;
  if (type === 'RegularExpression') checkRegex(value, [...at, 'path', 'value'], report);
  else {
    const broken = PATH_RULES.find(([rule]) => rule.test(value));
    if (broken !== undefined) report([...at, 'path', 'value'], `${broken[1]}, got "${value}"`);
  }
  checkValues(match.headers, [...at, 'headers'], report);
  checkValues(match.queryParams, [...at, 'queryParams'], report);
}

function checkValues(matches: readonly { readonly type: string; readonly value: string }[] | undefined, at: Path, report: Report): void {
  matches?.forEach((match, index) => {
    if (match.type === 'RegularExpression') checkRegex(match.value, [...at, index, 'value'], report);
  });
}

function checkRegex(source: string, at: Path, report: Report): void {
  const problem = regexProblem(source);
  if (problem !== undefined) report(at, `must be an RE2 regular expression: ${problem}`, { expected: 'an RE2 regular expression' });
}

const FIELD_OF = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  URLRewrite: 'urlRewrite',
  RequestRedirect: 'requestRedirect',
} as const;

/** "filter.x must be specified for X filter.type", and nothing else; each type at most once. */
function checkFilterFields(filters: readonly Partial<HttpFilter>[], at: Path, report: Report): void {
  const types = new Set<string>();
  filters.forEach((filter, index) => {
    const type = filter.type as HttpFilter['type'];
    if (types.has(type)) report([...at, index, 'type'], `${type} is there twice: put both into one filter`);
    types.add(type);
    for (const [owner, field] of Object.entries(FIELD_OF) as [HttpFilter['type'], (typeof FIELD_OF)[HttpFilter['type']]][]) {
      if (owner === type && filter[field] === undefined) report([...at, index, field], `is missing: a filter of type ${type} needs it`);
      if (owner !== type && filter[field] !== undefined) report([...at, index, field], `belongs to a filter of type ${owner}, not ${type}`);
    }
    const headers = [filter.requestHeaderModifier?.add, filter.requestHeaderModifier?.set, filter.responseHeaderModifier?.add, filter.responseHeaderModifier?.set];
    for (const { name, value } of headers.flatMap((list) => list ?? [])) {
      // RFC 9110 section 5.5: a CR, LF or NUL in a value is an attack or a slip.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
      if (/[\u0000\r\n]/.test(value)) report([...at, index], `the value of header "${name}" must not contain line breaks`);
    }
  });
}

function checkFilters(filters: readonly HttpFilter[], matches: readonly HttpMatch[], at: Path, report: Report): void {
  checkFilterFields(filters, at, report);
  const rewrite = filters.findIndex((filter) => filter.type === 'URLRewrite');
  const redirect = filters.findIndex((filter) => filter.type === 'RequestRedirect');
  if (rewrite >= 0 && redirect >= 0) report([...at, Math.max(rewrite, redirect)], 'URLRewrite and RequestRedirect cannot be combined: remove one of them');
  filters.forEach((filter, index) => {
    for (const field of ['urlRewrite', 'requestRedirect'] as const) {
      const path = filter[field]?.path;
      if (path === undefined) continue;
      const pathAt = [...at, index, field, 'path'];
      const [needed, other] = path.type === 'ReplaceFullPath' ? (['replaceFullPath', 'replacePrefixMatch'] as const) : (['replacePrefixMatch', 'replaceFullPath'] as const);
      if (path[needed] === undefined) report([...pathAt, needed], `is missing: type ${path.type} needs it`);
      if (path[other] !== undefined) report([...pathAt, other], `does not belong to type ${path.type}: remove it`);
      // "exactly one PathPrefix match must be specified" - HTTPRouteRule.
      if (path.type === 'ReplacePrefixMatch' && !(matches.length === 1 && matches[0]?.path.type === 'PathPrefix')) {
        report([...pathAt, 'type'], 'ReplacePrefixMatch needs exactly one match in the rule, with a path of type PathPrefix');
      }
    }
  });
}
