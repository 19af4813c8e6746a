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
 * How long to wait before repetition `repetition`, from 1, in milliseconds; undefined when the server forbids it. What the server says goes before
 * the policy's own back-off. Without `rateLimitedBackOff` a `Retry-After` is not waited for here: other endpoints can serve meanwhile, and the
 * balancer leaves alone the one that said so.
 */
export function waitBefore(
  repetition: number,
  config: RetryConfig,
  protocol: Protocol,
  reply: Reply | undefined,
  env: WaitEnv,
): number | undefined {
  if (reply !== undefined) {
    const pushback = protocol === 'grpc' ? headerValue(reply.headers, 'grpc-retry-pushback-ms') : undefined;
    // "If the value ... is negative or unparseable, then it will be seen as the server asking the client not to retry at all." - gRFC A6
    if (pushback !== undefined) return /^\d{1,9}$/.test(pushback) ? Number(pushback) : undefined;
    const { rateLimitedBackOff } = config;
    const asked = rateLimitedBackOff === undefined ? undefined : askedInterval(rateLimitedBackOff, reply, env.clock);
    // JitteredLowerBoundBackOffStrategy (Envoy): from what was asked to half as much again, so that callers do not come back at once.
    if (asked !== undefined) return asked * (1 + env.random.next() / 2);
  }
  return fullJitter(config, repetition, env.random);
}

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
