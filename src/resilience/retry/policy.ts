import type { Call } from '../../core/call.js';
import type { HeaderMatch } from '../../core/model/match.js';
import type { RetryConfig } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';

/** How header matches are compiled: routing's business, and policies do not know routing. */
export interface HeaderTests {
  ofRequest(matches: readonly HeaderMatch[]): (call: Call) => boolean;
  ofReply(matches: readonly HeaderMatch[]): (reply: Reply) => boolean;
}

/** A retry configuration with its header matches compiled. */
export interface RetryPolicy extends RetryConfig {
  /** Whether calls like this are retried at all. Undefined: all are. */
  readonly takes: ((call: Call) => boolean) | undefined;
  /** For `retriable-headers`. Undefined: no reply is meant. */
  readonly retriable: ((reply: Reply) => boolean) | undefined;
}

export function compilePolicy(config: RetryConfig, headers: HeaderTests): RetryPolicy {
  const { on, retriableHeaders = [], retriableRequestHeaders = [] } = config;
  return {
    ...config,
    // "If this route limits retries by request headers, make sure there is a match." - Envoy, retry_state_impl.cc
    takes: retriableRequestHeaders.length === 0 ? undefined : headers.ofRequest(retriableRequestHeaders),
    retriable:
      on.has('retriable-headers') && retriableHeaders.length > 0 ? headers.ofReply(retriableHeaders) : undefined,
  };
}
