import type { Call } from '../../core/call.js';
import { keepAlive } from '../../core/clock.js';
import type { ClientEnv } from '../env.js';

/** Calls that may wait for clusters of one destination; more fall back no further. As Envoy's `max_pending_requests`. */
const MAX_WAITING = 1_024;
/** A call without a deadline waits this long, in milliseconds: xDS's does-not-exist timer (A57). */
export const LATE_CLUSTER_MS = 15_000;

/** Calls that have failed and wait to hear of the cluster that they fall back to. */
export class LateClusters {
  readonly #waiting = new Map<() => void, string>();

  constructor(private readonly env: Pick<ClientEnv, 'clock' | 'deadlines'>) {}

  /** Resolves when something is heard of the cluster, or nobody waits any more: look then. */
  heard(name: string, call: Call): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING || call.cancellation.cancelled) return Promise.resolve();
    const { clock, deadlines } = this.env;
    const waiting = new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        call.cancellation.remove(wake);
        timer.stop();
        resolve();
      };
      const timer = deadlines.watch(clock.now() + LATE_CLUSTER_MS, wake);
      this.#waiting.set(wake, name);
      call.cancellation.add(wake);
    });
    return keepAlive(clock, waiting);
  }

  tell(name: string): void {
    for (const [wake, of] of [...this.#waiting]) if (of === name) wake();
  }

  close(): void {
    for (const wake of [...this.#waiting.keys()]) wake();
  }
}
