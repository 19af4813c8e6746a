import type { LimitRequest, LimitState } from '../../core/limits.js';
import type { Limit } from '../../core/model/limit.js';
import type { LimitEnv } from './env.js';
import type { Taking, Turn, WaitFor } from './queue/line.js';
import type { Refusal } from './refusal.js';
import type { Counting } from './rule.js';

/** Takes from the count of a rule with a line, and waits for its turn if it must. Undefined: it has taken; or the store is lost and nobody minds. */
export async function takeTurn(
  counting: Counting,
  request: LimitRequest,
  env: LimitEnv,
): Promise<Refusal | 'gone' | undefined> {
  const { rule, limit, name, cost } = counting;
  const { queue, store } = rule.config;
  if (limit === undefined || queue === undefined || store.kind === 'rls') return undefined;
  const { lines, local } = env.stores;
  const redis = store.kind === 'redis' ? env.stores.redis(store) : undefined;
  const take = (): Taking =>
    redis === undefined
      ? local.take(name, limit, cost)
      : redis.ask(
          (it) => it.take(name, limit, cost),
          (it, late) => it.giveBack?.(name, limit, cost, late),
        );
  const giveBack = (taken: LimitState): void => {
    if (redis === undefined) local.giveBack(name, limit, cost, taken);
    else redis.tell((it) => it.giveBack?.(name, limit, cost, taken));
  };
  let turnMs = 0;
  if (!lines.has(name)) {
    const state = await take();
    if (state === undefined) return withoutStore(counting, limit, env);
    counting.state = state;
    if (state.allowed) {
      counting.takenFrom = redis === undefined ? 'local' : 'redis';
      return undefined;
    }
    turnMs = state.retryAfterMs;
  }
  const flow = request.principal ?? request.remote ?? '';
  const { deadline, cancellation } = request;
  const what: WaitFor = { limit, cost, queue, flow, deadline, cancellation, take, giveBack };
  const turn = await lines.wait(name, what, turnMs);
  if (turn.kind === 'no-answer') return withoutStore(counting, limit, env);
  return ended(counting, limit, turn, redis === undefined ? 'local' : 'redis', env);
}

function ended(
  counting: Counting,
  limit: Limit,
  turn: Exclude<Turn, { kind: 'no-answer' }>,
  from: 'local' | 'redis',
  env: LimitEnv,
): Refusal | 'gone' | undefined {
  const { name: rule } = counting.rule;
  if (turn.kind === 'taken') {
    counting.state = turn.state;
    counting.takenFrom = from;
    env.meter.event({ kind: 'limit:queued', rule, waitedMs: turn.waitedMs });
    return undefined;
  }
  if (turn.kind === 'gone') return 'gone';
  const { state } = counting;
  const said = state === undefined ? undefined : { rule, limit, state };
  return { rule, reason: turn.reason, said, retryAfterMs: turn.retryAfterMs };
}

/** What `onStoreFailure` says when a store has no answer: undefined lets the request through. */
export function withoutStore(
  counting: Counting,
  limit: Limit | undefined,
  env: Pick<LimitEnv, 'stores'>,
): Refusal | undefined {
  const { rule, name, cost } = counting;
  const { onStoreFailure } = rule.config;
  if (onStoreFailure === 'deny') return { rule: rule.name, reason: 'store', said: undefined, retryAfterMs: undefined };
  // What nobody has said of a limit cannot be counted here.
  if (onStoreFailure === 'allow' || limit === undefined) return undefined;
  const state = env.stores.local.take(name, limit, cost);
  counting.state = state;
  counting.standIn = limit;
  if (state.allowed) {
    counting.takenFrom = 'local';
    return undefined;
  }
  return {
    rule: rule.name,
    reason: 'limit',
    said: { rule: rule.name, limit, state },
    retryAfterMs: state.retryAfterMs,
  };
}
