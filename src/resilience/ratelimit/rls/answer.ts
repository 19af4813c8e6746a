import { appendHeader, type HeaderFields, headerFields, isHopByHop } from '../../../core/headers.js';
import type { LimitServiceAnswer, ServiceLimitState } from '../../../core/limits.js';
import { RLS_OVER_LIMIT, RLS_UNIT_MS, type RlsPair, type RlsResponse, type RlsStatus } from '../../../core/rls.js';

/**
 * What a response means. Only OVER_LIMIT refuses: a code that is not known, or none, lets the request through, as Envoy has it
 * (source/extensions/filters/common/ratelimit/ratelimit_impl.cc). Statuses beyond the descriptors that were asked are nobody's.
 */
export function answerOf(response: RlsResponse, asked: number): LimitServiceAnswer {
  const { rawBody } = response;
  return {
    allowed: response.overallCode !== RLS_OVER_LIMIT,
    states: response.statuses.slice(0, asked).map(stateOf),
    replyHeaders: fieldsOf(response.responseHeaders),
    requestHeaders: fieldsOf(response.requestHeaders),
    // Its own memory: what it was cut out of may be a whole chunk.
    body: rawBody.byteLength === 0 ? undefined : Uint8Array.from(rawBody),
  };
}

function stateOf({ code, currentLimit, limitRemaining, resetMs }: RlsStatus): ServiceLimitState {
  const allowed = code !== RLS_OVER_LIMIT;
  if (currentLimit === undefined) {
    const limit = Number.POSITIVE_INFINITY;
    const told = { limit, remaining: limit, resetMs: resetMs ?? 0, retryAfterMs: allowed ? 0 : (resetMs ?? 0) };
    return { allowed, ...told, of: undefined, name: undefined };
  }
  const { name, requestsPerUnit, unit } = currentLimit;
  const perMs = RLS_UNIT_MS[unit];
  const reset = resetMs ?? perMs ?? 0;
  return {
    allowed,
    limit: requestsPerUnit,
    remaining: limitRemaining,
    resetMs: reset,
    retryAfterMs: allowed ? 0 : reset,
    of: perMs === undefined ? undefined : { algorithm: 'fixed_window', requests: requestsPerUnit, perMs },
    name: name === '' ? undefined : name,
  };
}

/** RFC 9110 section 5.6.2: token. */
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** RFC 9110 section 5.5, without obs-fold. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What could not be sent, or would change how the message is framed, is left out: a service of limits has no business with it. */
function fieldsOf(pairs: readonly RlsPair[]): HeaderFields | undefined {
  let fields: HeaderFields | undefined;
  for (const [key, value] of pairs) {
    const name = key.toLowerCase();
    if (!NAME.test(name) || !VALUE.test(value) || isHopByHop(name) || name === 'content-length') continue;
    fields ??= headerFields();
    appendHeader(fields, name, value);
  }
  return fields;
}
