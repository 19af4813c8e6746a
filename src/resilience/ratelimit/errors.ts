import { MeshError } from '../../core/errors.js';
import type { HeaderFields } from '../../core/headers.js';
import type { LimitDecision } from '../../core/limits.js';

/** A limit of the route refused the call before it was sent. */
export class RateLimitedError extends MeshError {
  override readonly name = 'RateLimitedError';
  readonly code = 'RATE_LIMITED';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag: 'RL' | 'RLSE';
  readonly grpcStatus: number;
  readonly httpStatus: number;
  /** Name of the rule. */
  readonly rule: string;
  /** Milliseconds until it would be let through; undefined: never, or nobody knows. */
  readonly retryAfterMs: number | undefined;
  /** What a reply says of the limit: `retry-after`, `x-ratelimit-*`, `ratelimit`. */
  readonly headers: HeaderFields;
  /** What a rate limit service wants in the body of the reply; undefined: nothing. */
  readonly body: Uint8Array | undefined;

  constructor(refused: Extract<LimitDecision, { kind: 'refused' }>) {
    const { rule, flag, status, grpcStatus, retryAfterMs, headers, body } = refused;
    super(flag === 'RL' ? overLimit(rule, retryAfterMs) : noAnswer(rule));
    this.flag = flag;
    this.httpStatus = status;
    this.grpcStatus = grpcStatus;
    this.rule = rule;
    this.retryAfterMs = retryAfterMs;
    this.headers = headers;
    this.body = body;
  }
}

function overLimit(rule: string, retryAfterMs: number | undefined): string {
  const when = retryAfterMs === undefined ? '' : `; the next is let through in ${Math.ceil(retryAfterMs)} ms`;
  return `rate limit "${rule}" is reached${when}`;
}

const noAnswer = (rule: string): string =>
  `rate limit "${rule}": its store does not answer, and onStoreFailure is "deny"`;
