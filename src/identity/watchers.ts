import { MeshClosedError, type MeshError } from '../core/errors.js';
import type { IdentitySource, IdentityState, IdentityWatcher } from '../core/identity.js';

/** Those who watch a source, and what they were told last: what every source of identity has in common. */
export class Watchers {
  readonly #watchers = new Set<IdentityWatcher>();
  #current: IdentityState | undefined;
  /** Set by trouble, reset by the next state: who comes now hears of it as well. */
  #trouble: MeshError | undefined;
  #closed = false;

  constructor(readonly name: string) {}

  get current(): IdentityState | undefined {
    return this.#current;
  }

  /** The last since the present state. */
  get trouble(): MeshError | undefined {
    return this.#trouble;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** `IdentitySource.watch`. */
  watch(watcher: IdentityWatcher): () => void {
    if (this.#closed) throw new MeshClosedError(`identity source "${this.name}" is closed`);
    // Of its own: one watcher may be given twice.
    const own: IdentityWatcher = {
      changed: (state) => watcher.changed(state),
      failed: (error) => watcher.failed(error),
    };
    this.#watchers.add(own);
    if (this.#current !== undefined) own.changed(this.#current);
    if (this.#trouble !== undefined && this.#watchers.has(own)) own.failed(this.#trouble);
    return () => void this.#watchers.delete(own);
  }

  /** Nothing is told after `close`. */
  changed(state: IdentityState): void {
    if (this.#closed) return;
    this.#current = state;
    this.#trouble = undefined;
    for (const watcher of [...this.#watchers]) {
      // A newer one came while this one was told.
      if (this.#current !== state) return;
      if (this.#watchers.has(watcher)) watcher.changed(state);
    }
  }

  failed(error: MeshError): void {
    if (this.#closed) return;
    this.#trouble = error;
    for (const watcher of [...this.#watchers]) if (this.#watchers.has(watcher)) watcher.failed(error);
  }

  close(): void {
    this.#closed = true;
    this.#watchers.clear();
  }
}

/** The part of a source that is the same in all: over its watchers, with what ends it. */
export function sourceOf(watchers: Watchers, close: () => void | Promise<void> = () => {}): IdentitySource {
  let closing: Promise<void> | undefined;
  return {
    name: watchers.name,
    get current() {
      return watchers.current;
    },
    watch: (watcher) => watchers.watch(watcher),
    close() {
      closing ??= (async () => {
        watchers.close();
        await close();
      })();
      return closing;
    },
  };
}
