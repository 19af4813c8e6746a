import { headerValue } from '../../core/headers.js';
import type { LimitRequest, LimitState } from '../../core/limits.js';
import type { Limit, LimitRule } from '../../core/model/limit.js';
import type { LimitEnv } from './env.js';
import { countName, countPrefix, type KeyValues, keyReader } from './key.js';
import { overridesOf } from './overrides.js';

/** The largest that a header can say, and what counts as one (`LimitRule.cost`). */
const MAX_COST = 1_000_000;

/** A rule that counts a request, and by which name and limit. */
export class Counting {
  /** The name of the count. */
  readonly name: string;
  /** What the count said last. */
  state: LimitState | undefined = undefined;
  /** The count that was taken from, if it was: that of this process may stand in for another. */
  takenFrom: 'local' | 'redis' | undefined = undefined;
  /** The limit of what stands in for a store or service, while that is lost. */
  standIn: Limit | undefined = undefined;

  constructor(
    readonly rule: CompiledRule,
    readonly values: KeyValues,
    readonly cost: number,
    /** Undefined: a service knows it, or the key is not limited. */
    readonly limit: Limit | undefined,
    /** Unlimited keys are metered only. */
    readonly limited: boolean,
  ) {
    this.name = rule.countName(values);
  }
}

/** A rule, ready to be asked of each request. */
export class CompiledRule {
  readonly name: string;
  readonly shadow: boolean;
  /** Counted in this process, enforced, and nobody waits. */
  readonly atOnce: boolean;
  readonly #prefix: string;
  readonly #matches: ((request: LimitRequest) => boolean) | undefined;
  readonly #values: (request: LimitRequest) => KeyValues | undefined;
  readonly #limit: (values: KeyValues) => Limit | 'unlimited' | 'skip' | undefined;
  readonly #cost: (request: LimitRequest) => number;

  constructor(
    readonly config: LimitRule,
    env: Pick<LimitEnv, 'matching' | 'service'>,
  ) {
    this.name = config.name;
    this.shadow = config.mode === 'shadow';
    this.atOnce = !this.shadow && config.store.kind === 'local' && config.queue === undefined;
    this.#prefix = countPrefix(config.name);
    this.#matches = config.when === undefined ? undefined : env.matching.any(config.when);
    this.#values = keyReader(config.key, env);
    this.#limit = overridesOf(config);
    this.#cost = costOf(config);
  }

  /** Undefined: the rule has nothing to do with the request. */
  counting(request: LimitRequest): Counting | undefined {
    if (this.#matches !== undefined && !this.#matches(request)) return undefined;
    const values = this.#values(request);
    if (values === undefined) return undefined;
    const limit = this.#limit(values);
    if (limit === 'skip') return undefined;
    if (limit === 'unlimited') {
      return this.config.meter === undefined
        ? undefined
        : new Counting(this, values, this.#cost(request), undefined, false);
    }
    // A service finds a limit by its descriptor: an empty one asks nothing.
    if (this.config.store.kind === 'rls' ? values.every((value) => value === undefined) : limit === undefined)
      return undefined;
    return new Counting(this, values, this.#cost(request), limit, true);
  }

  countName(values: KeyValues): string {
    return values.length === 0 ? this.#prefix : countName(this.#prefix, values);
  }
}

/** A caller who says 0 would pass whatever the limit; only a rate limit service is told so, as by Envoy, and judges itself (`HitsAddend`, route_components.proto). */
function costOf({ cost, store }: LimitRule): (request: LimitRequest) => number {
  if (typeof cost !== 'object') return () => cost ?? 1;
  const name = cost.header.toLowerCase();
  const least = store.kind === 'rls' ? 0 : 1;
  return ({ headers }) => {
    const text = headerValue(headers, name);
    if (text === undefined || !/^\d{1,7}$/.test(text)) return 1;
    const said = Number(text);
    return said >= least && said <= MAX_COST ? said : 1;
  };
}
