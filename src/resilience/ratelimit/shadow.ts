import type { LimitRequest, LimitState } from '../../core/limits.js';
import { descriptorOf } from './ask-all.js';
import type { LimitEnv } from './env.js';
import type { Counting } from './rule.js';

/** Counts a request by the shadow rules among these, and tells of those that would have refused it. Nobody waits for an answer. */
export function shadowCounts(counted: readonly Counting[], request: LimitRequest, env: LimitEnv): void {
  for (const counting of counted) {
    if (counting.rule.shadow && counting.limited) shadowCount(counting, request.protocol, env);
  }
}

function shadowCount(counting: Counting, protocol: LimitRequest['protocol'], env: LimitEnv): void {
  const { rule, name, limit, cost } = counting;
  const { store } = rule.config;
  const { stores } = env;
  const tell = (allowed: boolean | undefined): void => {
    if (allowed !== false) return;
    env.meter.event({ kind: 'limit:refused', rule: rule.name, protocol, shadow: true, reason: 'limit' });
  };
  const told = (
    answer: Pick<LimitState, 'allowed'> | undefined | Promise<Pick<LimitState, 'allowed'> | undefined>,
  ): void => {
    if (answer instanceof Promise) void answer.then((state) => tell(state?.allowed));
    else tell(answer?.allowed);
  };
  if (store.kind === 'rls') {
    told(
      stores.service(store).ask((it) => it.shouldRateLimit(store.domain, [descriptorOf(counting)], store.timeoutMs)),
    );
  } else if (limit !== undefined) {
    told(
      store.kind === 'local'
        ? stores.local.take(name, limit, cost)
        : stores.redis(store).ask((it) => it.take(name, limit, cost)),
    );
  }
}
