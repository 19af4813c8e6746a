import { type HeaderFields, headerFields, headerValue } from '../core/headers.js';
import type { CorsPolicy } from '../core/model/route.js';
import type { Random } from '../core/random.js';
import { stringTest } from './match/strings.js';
import type { RequestView } from './request.js';

/** What CORS makes of a request. */
export type CorsDecision =
  /** The answer to a preflight: status 200, these fields, no body. It is not sent on. */
  | { readonly kind: 'preflight'; readonly headers: HeaderFields }
  /** Fields that the reply gets, in place of those that it has. */
  | { readonly kind: 'reply'; readonly headers: HeaderFields };

/** Undefined for a request that it does not concern. */
export type Cors = (request: Pick<RequestView, 'method' | 'headers'>) => CorsDecision | undefined;

/** Compiles Envoy's CORS filter (`cors_filter.cc`) with one policy: of the route, else of its virtual host. */
export function compileCors(policy: CorsPolicy, random: Random): Cors | undefined {
  // Shadow mode only counts, and changes nothing.
  if (policy.enabled <= 0) return undefined;
  const origins = policy.allowOrigin.map(stringTest);
  const allowed = (origin: string): boolean => origins.some((test) => test('*') || test(origin));
  return ({ method, headers }) => {
    const origin = headerValue(headers, 'origin');
    if (origin === undefined || origin === '') return undefined;
    if (policy.enabled < 1 && random.next() >= policy.enabled) return undefined;
    const known = allowed(origin);
    const asked = headerValue(headers, 'access-control-request-method');
    // A preflight: "OPTIONS", with an origin and the method that is to follow (Fetch standard, "CORS-preflight request").
    if (method === 'OPTIONS' && asked !== undefined && asked !== '') {
      if (!known && policy.forwardNotMatchingPreflights) return undefined;
      return { kind: 'preflight', headers: preflight(policy, headers, known ? origin : undefined, asked) };
    }
    return known ? { kind: 'reply', headers: grant(policy, origin) } : undefined;
  };
}

function preflight(
  policy: CorsPolicy,
  request: HeaderFields,
  origin: string | undefined,
  method: string,
): HeaderFields {
  const fields = headerFields();
  if (origin !== undefined) fields['access-control-allow-origin'] = origin;
  if (policy.allowCredentials) fields['access-control-allow-credentials'] = 'true';
  const put = (name: string, value: string): void => {
    if (value !== '') fields[name] = value;
  };
  // With credentials a "*" is no wildcard to browsers; so what was asked for is repeated.
  put('access-control-allow-methods', policy.allowMethods === '*' ? method : policy.allowMethods);
  const headers = headerValue(request, 'access-control-request-headers') ?? '';
  put('access-control-allow-headers', policy.allowHeaders === '*' ? headers : policy.allowHeaders);
  put('access-control-max-age', policy.maxAge);
  // Of no use to a browser here; but Envoy's filter sees its own answer as one more reply.
  if (origin !== undefined) put('access-control-expose-headers', policy.exposeHeaders);
  if (policy.allowPrivateNetwork && headerValue(request, 'access-control-request-private-network') === 'true') {
    fields['access-control-allow-private-network'] = 'true';
  }
  return fields;
}

function grant(policy: CorsPolicy, origin: string): HeaderFields {
  const fields = headerFields({ 'access-control-allow-origin': origin });
  if (policy.allowCredentials) fields['access-control-allow-credentials'] = 'true';
  if (policy.exposeHeaders !== '') fields['access-control-expose-headers'] = policy.exposeHeaders;
  return fields;
}
