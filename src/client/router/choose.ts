import type { Call } from '../../core/call.js';
import type { ForwardAction } from '../../core/model/route.js';
import type { Random } from '../../core/random.js';
import type { Service } from '../../core/service.js';

/** Chooses one of an action's clusters for each call, by weight. `services` are theirs, in the same order. Retries remain in the cluster that was chosen. */
export function chooseByWeight(action: ForwardAction, services: readonly Service[], random: Random): Service {
  const { clusters, totalWeight, weightedByHash, weightedByHeader } = action;
  const choices = clusters.map(({ weight }, i) => ({ weight, service: services[i] as Service }));
  const [only, ...others] = choices.filter(({ weight }) => weight > 0);
  if (only === undefined) return (services as [Service])[0];
  if (others.length === 0) return only.service;
  const pick = (at: number): Service => {
    let left = at;
    for (const { weight, service } of choices) {
      left -= weight;
      if (left < 0) return service;
    }
    return only.service;
  };
  // "one uniform pick over the sum" - gRFC A28.
  const byChance = (): Service => pick(random.next() * totalWeight);
  if (weightedByHeader !== undefined) {
    return (call) => {
      const value = wholeNumber(call.headers[weightedByHeader]);
      return (value === undefined ? byChance() : pick(rest(value, totalWeight)))(call);
    };
  }
  if (weightedByHash) {
    return (call: Call) => (call.hash === undefined ? byChance() : pick(rest(call.hash, totalWeight)))(call);
  }
  return (call) => byChance()(call);
}

const rest = (value: bigint, total: number): number => Number(value % BigInt(total));

/** "We expect single-valued header here" - Envoy, weighted_cluster_specifier.cc; what is no whole number of 64 bits is left to chance. */
const wholeNumber = (value: string | string[] | undefined): bigint | undefined =>
  typeof value === 'string' && /^\d{1,20}$/.test(value) ? BigInt.asUintN(64, BigInt(value)) : undefined;
