import type { ConfigSource, ConfigWatcher } from '../../src/core/config-source.js';

/** A source of configuration that a test drives by hand. */
export class HandSource implements ConfigSource {
  readonly watchers = new Map<string, ConfigWatcher>();
  readonly unwatched: string[] = [];

  watch(authority: string, watcher: ConfigWatcher): () => void {
    this.watchers.set(authority, watcher);
    return () => this.unwatched.push(authority);
  }

  /** The watcher of `authority`; it must have been asked for. */
  of(authority: string): ConfigWatcher {
    const watcher = this.watchers.get(authority);
    if (watcher === undefined) throw new Error(`nobody watches ${authority}`);
    return watcher;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
