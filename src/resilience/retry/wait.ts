import { askedToWaitMs } from '../../core/asked-to-wait.js';
import { fullJitter } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import { headerValue } from '../../core/headers.js';
import type { Protocol } from '../../core/call.js';
import type { RateLimitedBackOff, RetryConfig } from '../../core/model/route.js';
import type { Random } from '../../core/random.js';
import type { Reply } from '../../core/reply.js';

export interface WaitEnv {
  readonly clock: Pick<Clock, 'wallTime'>;
  readonly random: Random;
}

/**
 * The waits between the attempts of one call. What the server says goes before the policy's own back-off. Without `rateLimitedBackOff` a `Retry-After`
 * is waited for only where no other endpoint can serve meanwhile; else the balancer leaves alone the one that said so.
 */
export class Waits {
  /** Repetitions that the back-off has grown over. Reset by pushback. */
  #repetitions = 0;

  constructor(
    private readonly config: RetryConfig,
    private readonly protocol: Protocol,
    private readonly env: WaitEnv,
  ) {}

  /**
   * Milliseconds before the next attempt; `reply` is what the last one got, `others` whether another endpoint can serve. Undefined: the server
   * forbids another, or asks for more time than anybody is kept waiting.
   */
  next(reply: Reply | undefined, others: boolean): number | undefined {
    const { config, env } = this;
    const pushback = this.protocol === 'grpc' && reply !== undefined ? headerValue(reply.headers, PUSHBACK) : undefined;
    if (pushback !== undefined) {
      // "For subsequent retries, the delay period will be reset to the `initialBackoff`" - gRFC A6
      this.#repetitions = 0;
      // "If the value ... is negative or unparseble, then it will be seen as ... asking the client not to retry at all." - A6
      const ms = /^(?:0|[1-9]\d{0,9})$/.test(pushback) ? Number(pushback) : undefined;
      return ms === undefined || ms > LONGEST_WAIT_MS ? undefined : ms;
    }
    this.#repetitions++;
    const { rateLimitedBackOff } = config;
    const asked =
      rateLimitedBackOff === undefined || reply === undefined
        ? undefined
        : askedInterval(rateLimitedBackOff, reply, env.clock);
    // JitteredLowerBoundBackOffStrategy (Envoy): from what was asked to half as much again, so that callers do not come back at once.
    if (asked !== undefined) return asked * (1 + env.random.next() / 2);
    if (!others && reply !== undefined && rateLimitedBackOff === undefined) {
      const after = askedToWaitMs(reply.headers, undefined, env.clock);
      if (after !== undefined && after > LONGEST_WAIT_MS) return undefined;
      if (after !== undefined && after > 0) return after * (1 + env.random.next() / 2);
    }
    return fullJitter(config, this.#repetitions, env.random);
  }
}

const PUSHBACK = 'grpc-retry-pushback-ms';
/** Who asks for more is not waited for: 5 minutes (Envoy `RateLimitedRetryBackOff.max_interval`, Linkerd's cap on Retry-After). */
const LONGEST_WAIT_MS = 300_000;

/** In milliseconds, by the first header that says so; longer than `maxMs` is not believed (`RateLimitedRetryBackOff`). */
function askedInterval(
  { headers, maxMs }: RateLimitedBackOff,
  reply: Reply,
  clock: Pick<Clock, 'wallTime'>,
): number | undefined {
  for (const { name, format } of headers) {
    const value = reply.headers[name];
    const text = typeof value === 'string' ? value : value?.[0];
    if (text === undefined || !/^\d{1,15}$/.test(text)) continue;
    const seconds = format === 'seconds' ? Number(text) : Number(text) - Math.floor(clock.wallTime() / 1_000);
    // A moment that has passed, or now, asks for no wait: the policy's own stands (Envoy asks for more than a millisecond).
    if (seconds > 0 && seconds * 1_000 <= maxMs) return seconds * 1_000;
  }
  return undefined;
}
