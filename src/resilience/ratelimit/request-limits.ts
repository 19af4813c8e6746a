import type { LimitDecision, LimitRequest, LimitVerdict, RequestLimits } from '../../core/limits.js';
import type { RouteLimits } from '../../core/model/limit.js';
import { mergedHeaders } from './add-headers.js';
import { type Asking, askAll } from './ask-all.js';
import type { LimitEnv } from './env.js';
import { limitHeaders, type Said } from './headers.js';
import { localTake, localTakes, refusedLocally } from './local-takes.js';
import { type Refusal, refusedVerdict } from './refusal.js';
import type { Counting } from './rule.js';
import { RuleSet } from './rule-set.js';
import { shadowCounts } from './shadow.js';
import { takeTurn } from './turn.js';

const NOTHING: LimitDecision = { kind: 'allowed', headers: undefined };

/**
 * The limits of a route, compiled. All rules that a request meets must let it through, and what one refuses counts for none: the counts of this process are
 * looked at together and then taken from together; those that must be asked come after, all at once, and when one of them refuses, what was taken elsewhere
 * is given back. Lines come first of all: who waits has taken from no other count meanwhile. Shadow rules count what the others let through.
 */
export function requestLimits(limits: RouteLimits, env: LimitEnv): RequestLimits {
  for (const { store } of limits.rules) {
    // So that the first request does not wait for a client to be loaded.
    if (store.kind === 'redis') env.stores.redis(store).warm();
    else if (store.kind === 'rls') env.stores.service(store).warm();
  }
  return new Limits(limits, new RuleSet(limits.rules, env), env);
}

class Limits implements RequestLimits {
  readonly #wallTime: () => number;

  constructor(
    private readonly limits: RouteLimits,
    private readonly rules: RuleSet,
    private readonly env: LimitEnv,
  ) {
    this.#wallTime = () => env.clock.wallTime();
  }

  check(request: LimitRequest): LimitDecision | Promise<LimitVerdict> {
    const counted = this.rules.counting(request);
    if (counted === undefined) return NOTHING;
    const { local, lines } = this.env.stores;
    const [first] = counted;
    if (counted.length === 1 && first?.rule.atOnce === true && first.limited) {
      // As most are: there is no other rule to be asked before one takes.
      const refusal = localTake(first, local);
      return refusal === undefined
        ? this.#allowed(request, counted, counted, undefined)
        : this.#refused(request, counted, refusal);
    }
    const enforced = counted.filter(({ rule, limited }) => limited && !rule.shadow);
    const refused = refusedLocally(enforced, local, lines);
    if (refused !== undefined) return this.#refused(request, enforced, refused);
    const simple = enforced.every(({ rule, name, state }) => {
      if (rule.atOnce) return true;
      return rule.config.store.kind === 'local' && state?.allowed === true && !lines.has(name);
    });
    if (!simple) return this.#later(request, counted, enforced);
    localTakes(enforced, local);
    return this.#allowed(request, counted, enforced, undefined);
  }

  async #later(
    request: LimitRequest,
    counted: readonly Counting[],
    enforced: readonly Counting[],
  ): Promise<LimitVerdict> {
    const { stores } = this.env;
    let asking: Asking | undefined;
    for (const counting of enforced) {
      if (counting.rule.config.queue === undefined) continue;
      const refusal = await takeTurn(counting, request, this.env);
      if (refusal === 'gone') {
        for (const taken of enforced) giveBack(taken, stores);
        return { kind: 'gone' };
      }
      if (refusal !== undefined) return this.#refused(request, enforced, refusal);
    }
    const rest = enforced.filter(({ rule }) => rule.config.queue === undefined);
    const here = rest.filter(({ rule }) => rule.config.store.kind === 'local');
    const refusal = refusedLocally(here, stores.local, stores.lines);
    if (refusal !== undefined) return this.#refused(request, enforced, refusal);
    localTakes(here, stores.local);
    const elsewhere = rest.filter(({ rule }) => rule.config.store.kind !== 'local');
    if (elsewhere.length > 0) {
      asking = await askAll(elsewhere, stores);
      if (asking.refusal !== undefined) {
        const verdict = this.#refused(request, enforced, asking.refusal);
        const headers = mergedHeaders(asking.replyHeaders, verdict.headers) ?? verdict.headers;
        return { ...verdict, headers, body: asking.body };
      }
    }
    return this.#allowed(request, counted, enforced, asking);
  }

  #allowed(
    request: LimitRequest,
    counted: readonly Counting[],
    enforced: readonly Counting[],
    asking: Asking | undefined,
  ): LimitDecision {
    const { env } = this;
    if (counted.length > enforced.length) shadowCounts(counted, request, env);
    if (env.uses !== undefined) {
      for (const { rule, values, cost, limit } of counted) {
        const { meter, key } = rule.config;
        if (meter === undefined) continue;
        env.uses.used({ rule: rule.name, plan: meter.plan, names: key.map(({ as }) => as), key: values, cost, limit });
      }
    }
    const headers = limitHeaders(this.limits.headers, said(enforced), this.#wallTime);
    if (asking === undefined) return headers === undefined ? NOTHING : { kind: 'allowed', headers };
    const { replyHeaders, requestHeaders } = asking;
    return { kind: 'allowed', headers: mergedHeaders(headers, replyHeaders), requestHeaders };
  }

  #refused(
    request: LimitRequest,
    enforced: readonly Counting[],
    refusal: Refusal,
  ): Extract<LimitDecision, { kind: 'refused' }> {
    const { stores, meter } = this.env;
    for (const counting of enforced) giveBack(counting, stores);
    const { rule, reason } = refusal;
    meter.event({ kind: 'limit:refused', rule, protocol: request.protocol, shadow: false, reason });
    return refusedVerdict(this.limits, refusal, said(enforced), this.#wallTime);
  }
}

function giveBack(counting: Counting, stores: LimitEnv['stores']): void {
  const { takenFrom, cost, state, name, rule } = counting;
  const limit = counting.standIn ?? counting.limit;
  if (takenFrom === undefined || limit === undefined || state === undefined) return;
  counting.takenFrom = undefined;
  if (takenFrom === 'local') stores.local.giveBack(name, limit, cost, state);
  else if (rule.config.store.kind === 'redis') {
    stores.redis(rule.config.store).tell((store) => store.giveBack?.(name, limit, cost, state));
  }
  stores.lines.wake(name);
}

function said(enforced: readonly Counting[]): Said[] {
  const all: Said[] = [];
  for (const { rule, limit, standIn, state } of enforced) {
    if (state !== undefined) all.push({ rule: rule.name, limit: serviceLimit(state) ?? standIn ?? limit, state });
  }
  return all;
}

/** What a service says that its limit is. */
const serviceLimit = (state: object): Said['limit'] => ('of' in state ? (state.of as Said['limit']) : undefined);
