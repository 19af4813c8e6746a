/**
 * How many requests may be under way, learnt from how long they take. Asked for each that comes, told of each that ends. Takes its time from the samples and
 * sets no timers.
 */
export interface Limit {
  /** Requests, a whole number, at `now` in monotonic milliseconds. */
  at(now: number): number;
  /**
   * A request is over. `startedAt` in monotonic milliseconds, `rttMs` how long it took; `inFlight` how many were under way when it began, itself among
   * them; `dropped` when its caller did not wait for the answer.
   */
  sample(startedAt: number, rttMs: number, inFlight: number, dropped: boolean): void;
}

/** What the requests of one window had in common. */
export interface WindowSample {
  /** Mean, in milliseconds. */
  readonly rttMs: number;
  /** The most that were under way. */
  readonly inFlight: number;
  /** Whether one of them was not waited for. */
  readonly dropped: boolean;
}

/** A limit that moves once a window (window.ts). */
export interface WindowedLimit {
  readonly limit: number;
  update(window: WindowSample): void;
}

/** Bounds of a limit, and what it begins with: requests. */
export interface LimitBounds {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
}
