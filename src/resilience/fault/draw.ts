import type { FaultDelay } from '../../core/model/fault.js';
import type { Random } from '../../core/random.js';

/** Whether a share of chance befalls. A share of 1 always does, one of 0 never; neither asks the generator. */
export const befalls = (share: number, random: Random): boolean => share >= 1 || (share > 0 && random.next() < share);

/** A length of time, in milliseconds, by a delay's distribution. */
export function drawDelay(delay: Exclude<FaultDelay, { readonly kind: 'header' }>, random: Random): number {
  switch (delay.kind) {
    case 'fixed':
      return delay.ms;
    case 'uniform':
      return delay.minMs + random.next() * (delay.maxMs - delay.minMs);
    case 'normal':
      return cut(delay.meanMs + delay.deviationMs * standardNormal(random), delay.maxMs);
    case 'exponential':
      return cut(-delay.meanMs * Math.log(1 - random.next()), delay.maxMs);
  }
}

const cut = (ms: number, maxMs: number): number => Math.min(Math.max(0, ms), maxMs);

/** Box and Muller's transform of two uniform draws (Ann. Math. Statist. 29, 1958); 1 less the first keeps the logarithm finite. */
const standardNormal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
