import type { Call } from './call.js';

/** "PUT, DELETE, and safe request methods are idempotent" - RFC 9110 section 9.2.2. */
const IDEMPOTENT_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/**
 * Whether doing the call twice does no harm: said by the application or by the method's `idempotency_level`, or known from the HTTP method. The name of
 * a gRPC method says nothing by itself.
 */
export function isIdempotent(call: Call): boolean {
  return call.idempotent ?? (call.protocol === 'http' && IDEMPOTENT_METHODS.has(call.method));
}

/**
 * Whether a policy may send the call twice. `regardlessOfMethod`: it is for every method, since whoever configured it knows the service; a caller who says
 * that this call is not idempotent knows better.
 */
export const isRepeatable = (call: Call, regardlessOfMethod: boolean): boolean =>
  regardlessOfMethod ? call.idempotent !== false : isIdempotent(call);
