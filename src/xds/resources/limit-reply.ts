import { grpcStatusOfHttp } from '../../core/grpc-status.js';
import { DEFAULT_LIMIT_REPLY, type RouteLimits } from '../../core/model/limit.js';
import { headerOption } from './header-mutation.js';
import { errorStatus } from './http-status.js';
import type { Message } from './message.js';

/** What a refusal and the headers of replies look like. */
export type LimitReply = Omit<RouteLimits, 'rules'>;

const MAX_HEADERS = 10;

/**
 * What Envoy's two filters that limit have in common; `status` is the field of the status, "If this is set to < 400, 429 will be used instead." Only the one
 * that asks a service says `x-envoy-ratelimited` (source/extensions/filters/http/ratelimit/ratelimit.cc, and not local_ratelimit.cc beside it).
 */
export function limitReply(filter: Message, status: 'status' | 'rate_limited_status'): LimitReply {
  const headers = filter.messages('response_headers_to_add');
  // "max_items: 10"
  if (headers.length > MAX_HEADERS)
    throw filter.error('response_headers_to_add', `must have at most ${MAX_HEADERS}, got ${headers.length}`);
  const version = filter.choice('enable_x_ratelimit_headers', ['OFF', 'DRAFT_VERSION_03']);
  const httpStatus = errorStatus(filter, status, DEFAULT_LIMIT_REPLY.status);
  return {
    status: httpStatus,
    grpcStatus: filter.flag('rate_limited_as_resource_exhausted') ? 8 : grpcStatusOfHttp(httpStatus),
    headers: { xRateLimit: version === 'OFF' ? 'off' : 'seconds', standard: false, xEnvoyRateLimited: false },
    ...(headers.length > 0 && { refusalHeaders: headers.flatMap(literalHeader) }),
  };
}

/** A refusal has no request and no reply that a value could be taken from. */
function literalHeader(option: Message): { readonly name: string; readonly value: string }[] {
  const found = headerOption(option);
  if (found === undefined) return [];
  const value = found.value.replaceAll('%%', '');
  if (value.includes('%'))
    throw option.error('header', 'must have a value without substitutions; write %% for a percent sign');
  return [{ name: found.name, value: found.value.replaceAll('%%', '%') }];
}
