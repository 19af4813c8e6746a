import type { Call } from '../../core/call.js';
import type { HeaderFields } from '../../core/headers.js';
import type { LimitDecision, LimitRequest } from '../../core/limits.js';
import type { RouteLimits } from '../../core/model/limit.js';
import type { Reply } from '../../core/reply.js';
import type { Filter, Service } from '../../core/service.js';
import { addLimitHeaders, mergedHeaders } from './add-headers.js';
import type { LimitEnv } from './env.js';
import { RateLimitedError } from './errors.js';
import { requestLimits } from './request-limits.js';

export interface LimitedEnv extends LimitEnv {
  /** SPIFFE ID of the application of this process, for keys by `identity`; calls that are passed on have none. */
  readonly principal?: string | undefined;
}

/**
 * Counts calls before any attempt of them, and refuses those beyond a limit. Undefined: there is no limit, or nobody to count. `hold`: has the mesh end the
 * call when it closes, and lets go of it.
 */
export function limited(
  limits: RouteLimits | undefined,
  env: LimitedEnv | undefined,
  hold: (call: Call) => () => void,
): Filter | undefined {
  if (limits === undefined || limits.rules.length === 0 || env === undefined) return undefined;
  const checks = requestLimits(limits, env);
  return (next) => (call) => {
    const verdict = checks.check(new CallView(call, env.principal));
    if (!(verdict instanceof Promise)) return decided(verdict, call, next);
    const release = hold(call);
    return verdict.then((later) => {
      // Its deadline may be what has passed, and then whoever watches that says so at any moment.
      if (later.kind === 'gone') return cancelled(call).finally(release);
      release();
      // Its caller gave up while it waited.
      const { reason } = call.cancellation;
      return reason === undefined ? decided(later, call, next) : Promise.reject(reason);
    });
  };
}

/** Rejects with the reason when the call is cancelled, or has been. */
const cancelled = ({ cancellation }: Call): Promise<never> =>
  new Promise((_, reject) => {
    cancellation.add(reject);
  });

function decided(verdict: LimitDecision, call: Call, next: Service): Promise<Reply> {
  const { headers } = verdict;
  if (verdict.kind === 'refused') {
    call.record.changeReply((reply) => addLimitHeaders(reply.headers, verdict.headers));
    return Promise.reject(new RateLimitedError(verdict));
  }
  call.headers = mergedHeaders(call.headers, verdict.requestHeaders) ?? call.headers;
  return headers === undefined ? next(call) : telling(next(call), call, headers);
}

/** The reply says what the limits do, also one that a face makes of an error. */
const telling = (replying: Promise<Reply>, call: Call, headers: HeaderFields): Promise<Reply> =>
  replying.then(
    (reply) => {
      addLimitHeaders(reply.headers, headers);
      return reply;
    },
    (error: unknown) => {
      call.record.changeReply((reply) => addLimitHeaders(reply.headers, headers));
      throw error;
    },
  );

/** A call as limits look at it. */
class CallView implements LimitRequest {
  constructor(
    private readonly call: Call,
    private readonly self: string | undefined,
  ) {}

  get protocol(): Call['protocol'] {
    return this.call.protocol;
  }
  get scheme(): Call['scheme'] {
    return this.call.scheme;
  }
  get method(): string {
    return this.call.method;
  }
  get path(): string {
    return this.call.path;
  }
  get host(): string {
    return this.call.host;
  }
  get headers(): HeaderFields {
    return this.call.headers;
  }
  get remote(): string | undefined {
    const remote = this.call.downstream?.remote;
    return remote === undefined ? undefined : withoutPort(remote);
  }
  get principal(): string | undefined {
    return this.call.downstream === undefined ? this.self : undefined;
  }
  readonly claims = undefined;
  get route(): string | undefined {
    return this.call.record.route;
  }
  get destination(): string | undefined {
    return this.call.record.cluster;
  }
  get deadline(): number {
    return Math.min(this.call.deadline, this.call.headBy);
  }
  get cancellation(): Call['cancellation'] {
    return this.call.cancellation;
  }
  get asksLimits(): boolean {
    return this.call.asksLimits;
  }
}

/** `10.0.0.1:80` and `[::1]:80` without the port. */
function withoutPort(address: string): string {
  if (address.startsWith('[')) return address.slice(1, address.indexOf(']'));
  const colon = address.lastIndexOf(':');
  return colon < 0 || address.indexOf(':') !== colon ? address : address.slice(0, colon);
}
