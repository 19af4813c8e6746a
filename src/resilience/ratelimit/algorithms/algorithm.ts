import type { Slots } from './slots.js';

/**
 * One limit's arithmetic on a slot. Times are monotonic milliseconds, costs whole numbers. Reading never changes what is counted, so that several rules can
 * be asked before any of them takes.
 */
export interface Algorithm {
  /** The most that is let through at once. */
  readonly capacity: number;
  /** Algorithms of one shape read each other's slots: those that differ in the number of requests only. */
  readonly shape: string;
  /** Until `cost` would be let through: 0 is now, Infinity never. */
  waitMs(slots: Slots, slot: number, now: number, cost: number): number;
  take(slots: Slots, slot: number, now: number, cost: number): void;
  /** Takes back what was taken at `at`, when the state said `window`; nothing when that window is over, and no more than still counts. */
  giveBack(slots: Slots, slot: number, now: number, cost: number, window: number, at: number): void;
  /** Names the window that a request taken now counts in. */
  window(slots: Slots, slot: number, now: number): number;
  /** What counts now. */
  used(slots: Slots, slot: number, now: number): number;
  /** Writes a slot, cleared before, in which `used` counts now: what another algorithm knew. */
  adopt(slots: Slots, slot: number, now: number, used: number): void;
  /** Whole requests that would be let through now. */
  remaining(slots: Slots, slot: number, now: number): number;
  /** Until the state is as if nothing had been. */
  resetMs(slots: Slots, slot: number, now: number): number;
}
