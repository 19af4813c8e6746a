/** The only source of time. Whatever waits or measures is given one. */
export interface Clock {
  /** Monotonic milliseconds, with fractions. Never wall time. */
  now(): number;
  /** Wall time in milliseconds since the epoch: for logs and certificates only, never for measuring. */
  wallTime(): number;
  /** Runs `task` once after `delayMs`; call the result to cancel. `background` timers let the process exit. */
  after(delayMs: number, task: () => void, options?: { background?: boolean }): () => void;
}

/** The longest delay Node's timers can hold; longer ones fire at once, so we clamp (2^31 - 1 ms, about 24.8 days). */
const MAX_DELAY_MS = 2_147_483_647;

/** The global is a getter of Node's, which costs 5 ns each time. */
const { performance } = globalThis;

/** The process's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after(delayMs, task, options) {
    const timer = setTimeout(task, Math.min(Math.max(delayMs, 0), MAX_DELAY_MS));
    if (options?.background) timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The same clock for what may go on for ever beside the work of a process: none of its timers keeps the process alive. */
export const inBackground = (clock: Clock): Clock => ({
  now: () => clock.now(),
  wallTime: () => clock.wallTime(),
  after: (delayMs, task) => clock.after(delayMs, task, { background: true }),
});

/** Keeps the process from ending while `work` is under way, for waits on what does not (background timers, unreferenced sockets). */
export function keepAlive<T>(clock: Clock, work: Promise<T>): Promise<T> {
  const stop = clock.after(MAX_DELAY_MS, () => {});
  return work.finally(stop);
}
