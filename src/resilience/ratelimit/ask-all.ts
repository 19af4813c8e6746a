import type { HeaderFields } from '../../core/headers.js';
import type { LimitDescriptor, LimitServiceAnswer, LimitState } from '../../core/limits.js';
import { mergedHeaders } from './add-headers.js';
import type { Refusal } from './refusal.js';
import type { Counting } from './rule.js';
import type { LimitStores, RedisRef, RlsRef } from './stores.js';
import { withoutStore } from './turn.js';

/** What those that were asked say together. */
export interface Asking {
  /** That of the rule that will refuse for the longest; undefined: all let it through. */
  readonly refusal: Refusal | undefined;
  readonly replyHeaders: HeaderFields | undefined;
  readonly requestHeaders: HeaderFields | undefined;
  readonly body: Uint8Array | undefined;
}

interface Answer {
  readonly refusals: readonly (Refusal | undefined)[];
  readonly service?: LimitServiceAnswer | undefined;
}

/** Asks the stores and services of all of these at once; a service gets all of its descriptors in one request. */
export async function askAll(counted: readonly Counting[], stores: LimitStores): Promise<Asking> {
  const services = new Map<string, { ref: RlsRef; counted: Counting[] }>();
  const asked: Promise<Answer>[] = [];
  for (const counting of counted) {
    const { store } = counting.rule.config;
    if (store.kind === 'redis') asked.push(askRedis(counting, store, stores));
    else if (store.kind === 'rls') {
      const text = JSON.stringify(store);
      const group = services.get(text);
      if (group === undefined) services.set(text, { ref: store, counted: [counting] });
      else group.counted.push(counting);
    }
  }
  for (const { ref, counted: ofService } of services.values()) asked.push(askService(ofService, ref, stores));
  let refusal: Refusal | undefined;
  let replyHeaders: HeaderFields | undefined;
  let requestHeaders: HeaderFields | undefined;
  let body: Uint8Array | undefined;
  for (const { refusals, service } of await Promise.all(asked)) {
    for (const one of refusals) refusal = longer(refusal, one);
    if (service === undefined) continue;
    replyHeaders = mergedHeaders(replyHeaders, service.replyHeaders);
    requestHeaders = mergedHeaders(requestHeaders, service.requestHeaders);
    if (!service.allowed) body ??= service.body;
  }
  return { refusal, replyHeaders, requestHeaders, body };
}

async function askRedis(counting: Counting, ref: RedisRef, stores: LimitStores): Promise<Answer> {
  const { name, limit, cost, rule } = counting;
  if (limit === undefined) return { refusals: [] };
  const state: LimitState | undefined = await stores.redis(ref).ask(
    (store) => store.take(name, limit, cost),
    (store, late) => store.giveBack?.(name, limit, cost, late),
  );
  if (state === undefined) return { refusals: [withoutStore(counting, limit, { stores })] };
  counting.state = state;
  if (!state.allowed) {
    const { retryAfterMs } = state;
    return { refusals: [{ rule: rule.name, reason: 'limit', said: { rule: rule.name, limit, state }, retryAfterMs }] };
  }
  counting.takenFrom = 'redis';
  return { refusals: [] };
}

async function askService(counted: readonly Counting[], ref: RlsRef, stores: LimitStores): Promise<Answer> {
  const descriptors = counted.map(descriptorOf);
  const answer = await stores
    .service(ref)
    .ask((service) => service.shouldRateLimit(ref.domain, descriptors, ref.timeoutMs));
  if (answer === undefined) {
    return {
      refusals: counted.map((counting) => {
        const limit = stores.known.of(counting.rule.name, counting.name);
        return withoutStore(counting, limit ?? counting.limit, { stores });
      }),
    };
  }
  const refusals = counted.map<Refusal | undefined>((counting, i) => {
    const state = answer.states[i];
    counting.state = state;
    const rule = counting.rule.name;
    if (state !== undefined && counting.rule.config.onStoreFailure === 'local')
      stores.known.learn(rule, counting.name, state.of);
    if (state === undefined || state.allowed) return undefined;
    return { rule, reason: 'limit', said: { rule, limit: state.of, state }, retryAfterMs: state.retryAfterMs };
  });
  // One that refuses without saying by which descriptor.
  if (!answer.allowed && !refusals.some((refusal) => refusal !== undefined)) {
    const rule = (counted[0] as Counting).rule.name;
    refusals.push({ rule, reason: 'limit', said: undefined, retryAfterMs: undefined });
  }
  // The service has the last word: it may refuse nothing on the whole and still say that a limit is passed.
  return { refusals: answer.allowed ? [] : refusals, service: answer };
}

/** What a service is asked for a rule. */
export function descriptorOf({ rule, values, cost, limit }: Counting): LimitDescriptor {
  const entries: [string, string][] = [];
  for (const [i, { as }] of rule.config.key.entries()) {
    const value = values[i];
    if (value !== undefined) entries.push([as, value]);
  }
  return { entries, hits: cost, ...(limit !== undefined && { limit }) };
}

function longer(a: Refusal | undefined, b: Refusal | undefined): Refusal | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return (b.retryAfterMs ?? 0) > (a.retryAfterMs ?? 0) ? b : a;
}
