import type { HedgeConfig } from '../../core/model/route.js';
import type { Filter } from '../../core/service.js';
import type { HedgeEnv } from './env.js';
import { Race } from './race.js';

/**
 * Sends calls that may be repeated a second time when the first attempt is slow, and takes the first good answer (J. Dean and L. A. Barroso, "The Tail at
 * Scale": hedged requests). `otherwise` is for all others: those of methods that are not idempotent, and those made for a request that is a repetition.
 */
export const hedge =
  (config: HedgeConfig, env: HedgeEnv, otherwise: Filter): Filter =>
  (next) => {
    const others = otherwise(next);
    return (call) => {
      if (!env.verdicts.repeatable(call)) return others(call);
      call.resendable = env.verdicts.resendable(call);
      env.budget.deposit();
      env.extra.deposit();
      return new Race(config, env, call, next).run();
    };
  };
