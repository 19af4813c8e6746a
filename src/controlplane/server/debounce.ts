import type { Clock } from '../../core/clock.js';
import { knownKeys, number, record } from '../../core/decode.js';

export interface DebounceOptions {
  /** Waits until nothing has changed for so long, in milliseconds. Default 100 (istiod PILOT_DEBOUNCE_AFTER). */
  readonly quietMs: number;
  /** Waits no longer than this after the first change, in milliseconds. Default 10_000 (istiod PILOT_DEBOUNCE_MAX). */
  readonly maxMs: number;
}

/** Debounce options as a program gives them, with defaults for those that are left out. */
export function parseDebounce(value: unknown, path: string): DebounceOptions {
  const given = record(value ?? {}, path);
  knownKeys(given, path, ['quietMs', 'maxMs']);
  return {
    quietMs: number(given['quietMs'] ?? 100, `${path}.quietMs`, 0, 60_000),
    maxMs: number(given['maxMs'] ?? 10_000, `${path}.maxMs`, 0, 600_000),
  };
}

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
