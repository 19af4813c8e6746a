import type { Random } from '../../../src/core/random.js';

/** A time as real ones are: log-normal, so half of them are below `medianMs`, and few are many times as long. */
export function logNormal(medianMs: number, sigma: number, random: Random): number {
  const angle = 2 * Math.PI * random.next();
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return medianMs * Math.exp(sigma * radius * Math.cos(angle));
}
