import type { ConfigSource, ConfigWatcher } from '../core/config-source.js';
import { ConfigUnavailableError, MeshError } from '../core/errors.js';

/** A source that is still being loaded: watches made before it is there are handed on to it. */
export class LateSource implements ConfigSource {
  #source: ConfigSource | undefined;

  constructor(private readonly loading: Promise<ConfigSource>) {
    loading.then(
      (source) => {
        this.#source = source;
      },
      () => {},
    );
  }

  watch(authority: string, watcher: ConfigWatcher): () => void {
    if (this.#source !== undefined) return this.#source.watch(authority, watcher);
    let stopped = false;
    let stop: (() => void) | undefined;
    this.loading.then(
      (source) => {
        if (!stopped) stop = source.watch(authority, watcher);
      },
      (error: unknown) => {
        if (!stopped) watcher.failed(asConfigError(error));
      },
    );
    return () => {
      stopped = true;
      stop?.();
    };
  }

  ready(): Promise<void> {
    return this.loading.then((source) => source.ready());
  }

  async close(): Promise<void> {
    const source = await this.loading.catch(() => undefined);
    await source?.close();
  }
}

function asConfigError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ConfigUnavailableError(`configuration cannot be had: ${message}`, { cause: error });
}
