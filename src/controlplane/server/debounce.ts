import type { Clock } from '../../core/clock.js';

export interface DebounceOptions {
  /** Waits until nothing has changed for so long, in milliseconds. Default 100 (istiod PILOT_DEBOUNCE_AFTER). */
  readonly quietMs: number;
  /** Waits no longer than this after the first change, in milliseconds. Default 10_000 (istiod PILOT_DEBOUNCE_MAX). */
  readonly maxMs: number;
}

export const DEFAULT_DEBOUNCE: DebounceOptions = { quietMs: 100, maxMs: 10_000 };

/** Makes one push of many changes in a row. */
export class Debounce {
  /** Monotonic milliseconds of the first change that has not been acted on. */
  #since: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly options: DebounceOptions,
    private readonly task: () => void,
  ) {}

  trigger(): void {
    const now = this.clock.now();
    this.#since ??= now;
    this.#cancel?.();
    const delay = Math.min(this.options.quietMs, this.#since + this.options.maxMs - now);
    this.#cancel = this.clock.after(Math.max(0, delay), () => {
      this.close();
      this.task();
    });
  }

  /** Forgets what is pending. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#since = undefined;
  }
}
