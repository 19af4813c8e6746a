import type { Protocol } from '../../core/call.js';
import { headerFields } from '../../core/headers.js';
import type { LimitDecision, LimitRequest, LimitVerdict, RequestLimits } from '../../core/limits.js';
import { addLimitHeaders } from '../../resilience/ratelimit/add-headers.js';
import type { InboundContext } from '../context.js';
import type { Gate, Passage } from '../gate.js';
import { clientAddress } from '../remote-address.js';
import { NOBODY_WAITS, type Refusal, TOO_LATE } from '../refusal.js';

/** Counts requests, and refuses those beyond a limit. Each request once, however often it is looked at. */
export class LimitsGate implements Gate {
  readonly #seen = new WeakSet<InboundContext>();

  constructor(
    private readonly limits: RequestLimits,
    /** Name of the route; undefined: there are none. */
    private readonly route: string | undefined,
    /** How the path of a request is written for the limits; undefined: as it came. */
    private readonly pathOf?: (path: string) => string,
  ) {}

  refusal(context: InboundContext, protocol: Protocol): Passage | Promise<Passage> {
    const { view } = context;
    if (view === undefined || this.#seen.has(context)) return undefined;
    this.#seen.add(context);
    const { method, host, scheme, headers } = view;
    const path = this.pathOf === undefined ? view.path : this.pathOf(view.path);
    const request: LimitRequest = {
      protocol,
      scheme,
      method,
      path,
      host,
      headers,
      remote: clientAddress(view.peer, headers['x-forwarded-for'], context.trustedHops),
      principal: context.caller?.principal ?? context.peer?.spiffeId,
      claims: context.caller?.claims,
      route: this.route,
      destination: undefined,
      deadline: context.deadline,
      cancellation: context.cancellation,
    };
    const verdict = this.limits.check(request);
    return verdict instanceof Promise ? verdict.then((later) => decided(later, context)) : decided(verdict, context);
  }
}

function decided(verdict: LimitVerdict, context: InboundContext): Passage {
  if (verdict.kind === 'refused') return refusal(verdict);
  if (verdict.kind === 'gone') return context.isOver ? NOBODY_WAITS : TOO_LATE;
  context.addRequestHeaders(verdict.requestHeaders);
  if (verdict.headers === undefined) return undefined;
  context.replyHeaders ??= headerFields();
  addLimitHeaders(context.replyHeaders, verdict.headers);
  return undefined;
}

const refusal = (verdict: Extract<LimitDecision, { kind: 'refused' }>): Refusal => ({
  status: verdict.status,
  grpcStatus: verdict.grpcStatus,
  code: 'RATE_LIMITED',
  flag: verdict.flag,
  message:
    verdict.flag === 'RL'
      ? `rate limit "${verdict.rule}" is reached`
      : `rate limit "${verdict.rule}": its store does not answer`,
  retryAfterMs: verdict.retryAfterMs,
  headers: verdict.headers,
  body: verdict.body,
});
