import type { connectivityState } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';

export type ConnectivityState = connectivityState;

/** grpc/doc/connectivity-semantics-and-api.md; grpc-js's numbers, so that grpc-js is not loaded for them. */
const CONNECTING = 1 as ConnectivityState;
const READY = 2 as ConnectivityState;
const TRANSIENT_FAILURE = 3 as ConnectivityState;
const SHUTDOWN = 4 as ConnectivityState;

/** What a channel tells of its state: CONNECTING until the mesh has configuration, then READY, SHUTDOWN once closed. */
export class Connectivity {
  state: ConnectivityState;
  readonly #watchers = new Set<(error?: Error) => void>();

  constructor(
    private readonly clock: Clock,
    ready: Promise<void> | undefined,
  ) {
    this.state = ready === undefined ? READY : CONNECTING;
    ready?.then(
      () => this.#become(READY),
      () => this.#become(TRANSIENT_FAILURE),
    );
  }

  get closed(): boolean {
    return this.state === SHUTDOWN;
  }

  close(): void {
    this.#become(SHUTDOWN);
  }

  /** Calls back once the state is another than `current`, or with an error at `deadline` (wall time in milliseconds). */
  watch(current: ConnectivityState, deadline: number, callback: (error?: Error) => void): void {
    if (this.state === SHUTDOWN) throw new Error('the channel was closed');
    if (this.state !== current) {
      process.nextTick(callback);
      return;
    }
    const left = deadline - this.clock.wallTime();
    if (left <= 0) {
      process.nextTick(callback, new Error('deadline passed without a change of the connectivity state'));
      return;
    }
    let stop: (() => void) | undefined;
    const done = (error?: Error): void => {
      stop?.();
      this.#watchers.delete(done);
      callback(error);
    };
    this.#watchers.add(done);
    if (left !== Number.POSITIVE_INFINITY) {
      stop = this.clock.after(left, () =>
        done(new Error('deadline passed without a change of the connectivity state')),
      );
    }
  }

  #become(state: ConnectivityState): void {
    if (this.closed || this.state === state) return;
    this.state = state;
    for (const watcher of [...this.#watchers]) watcher();
  }
}
