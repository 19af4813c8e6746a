import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import { EdfSchedule } from './edf.js';
import { areEqual } from './lottery.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';

/** Draws before it is looked for an endpoint not tried: as many as a call has attempts, nearly always. */
const DRAWS = 8;

/**
 * Each in turn, by weight. Equal weights are a plain rotation that starts at a random endpoint, so that many clients starting together do not
 * march in step (gRFC A42 says the same of WRR); others a schedule, in which a heavy endpoint's turns are spread evenly. An update keeps how long
 * each endpoint that remains has waited for its turn.
 */
export function roundRobin(env: BalancerEnv): Policy {
  let endpoints: readonly Endpoint[] = [];
  let weights: Weights = [];
  /** Undefined when all weights are equal. */
  let schedule: EdfSchedule | undefined;
  let last = 0;

  const draw = (): Endpoint | undefined => {
    if (schedule === undefined) {
      last = last + 1 < endpoints.length ? last + 1 : 0;
      return endpoints[last];
    }
    const turn = schedule.next();
    if (turn === undefined) return undefined;
    schedule.reschedule(weights[turn] as number);
    return endpoints[turn];
  };

  /** Share of its period that each endpoint has yet to wait. */
  const waits = (): Map<Endpoint, number> => {
    const shares = new Map<Endpoint, number>();
    const count = endpoints.length;
    for (let i = 0; i < count; i++) {
      const share =
        schedule === undefined
          ? ((i - last - 1 + count) % count) / count
          : ((schedule.deadlines[i] as number) - schedule.now) * (weights[i] as number);
      shares.set(endpoints[i] as Endpoint, share);
    }
    return shares;
  };

  return {
    update(list, newWeights) {
      const equal = areEqual(newWeights, list.length);
      // Nearly always: all weigh the same, and whose turn it is is still there.
      const next =
        schedule === undefined && equal ? list.indexOf(endpoints[(last + 1) % endpoints.length] as Endpoint) : -1;
      if (next >= 0) {
        endpoints = list;
        weights = newWeights;
        last = (next - 1 + list.length) % list.length;
        return;
      }
      const wait = waits();
      endpoints = list;
      weights = newWeights;
      if (equal) {
        schedule = undefined;
        last = firstOf(list, wait) ?? env.random.int(Math.max(1, list.length));
        last = (last - 1 + list.length) % Math.max(1, list.length);
        return;
      }
      // "each subchannel's deadline is set to a random value in the range [0, period] when first inserted" - gRFC A58
      schedule = new EdfSchedule(
        Float64Array.from(list, (endpoint, i) => (wait.get(endpoint) ?? env.random.next()) / (weights[i] as number)),
      );
    },
    pick: ({ tried }) => avoiding(tried, endpoints, DRAWS, draw),
  };
}

/** Position of the endpoint that has waited longest; undefined when none has. */
function firstOf(list: readonly Endpoint[], waits: ReadonlyMap<Endpoint, number>): number | undefined {
  let first: number | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < list.length; i++) {
    const wait = waits.get(list[i] as Endpoint);
    if (wait === undefined || wait >= least) continue;
    least = wait;
    first = i;
  }
  return first;
}
