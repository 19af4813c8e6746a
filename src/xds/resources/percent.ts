import type { Message } from './message.js';

const DENOMINATORS = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const;

/** `type.v3.FractionalPercent` as a share in [0, 1]; more than the whole is the whole, as in Envoy. */
export function fractionalPercent(percent: Message): number {
  const denominator = DENOMINATORS[percent.choice('denominator', ['HUNDRED', 'TEN_THOUSAND', 'MILLION'])];
  return Math.min(1, percent.uint32('numerator') / denominator);
}
