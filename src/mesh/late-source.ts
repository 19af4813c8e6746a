import type { ConfigWatcher } from '../core/config-source.js';
import { ConfigUnavailableError, MeshError } from '../core/errors.js';
import type { LoadRecorder } from '../core/load-reports.js';
import type { Locality } from '../core/model/endpoint.js';
import type { ResourcesDump } from '../core/resources.js';
import type { ServerConfigWatcher, ServerKey } from '../core/server-config.js';
import { serversOf } from './servers.js';
import type { MeshSource } from './source.js';

/** A source that is still being loaded: watches made before it is there are handed on to it. */
export class LateSource implements MeshSource {
  #source: MeshSource | undefined;

  constructor(private readonly loading: Promise<MeshSource>) {
    loading.then(
      (source) => {
        this.#source = source;
      },
      () => {},
    );
  }

  watch(authority: string, watcher: ConfigWatcher): () => void {
    return this.#onceLoaded(
      (source) => source.watch(authority, watcher),
      (error) => watcher.failed(error),
    );
  }

  /** Clusters come from the source, so it is there when they are to be counted. */
  get loads(): LoadRecorder | undefined {
    return this.#source?.loads;
  }

  get locality(): Locality | undefined {
    return this.#source?.locality;
  }

  /** What names one came from the source, so it is there when one is wanted. */
  get certificateProviders(): MeshSource['certificateProviders'] {
    return this.#source?.certificateProviders;
  }

  /** Clusters come from the source, so it is there when one is to be held. */
  holdCluster(authority: string, cluster: string): (() => void) | undefined {
    return this.#source?.holdCluster?.(authority, cluster);
  }

  watchCluster(cluster: string, watcher: ConfigWatcher): () => void {
    return this.#onceLoaded(
      (source) => {
        if (source.watchCluster !== undefined) return source.watchCluster(cluster, watcher);
        watcher.unknown();
        return () => {};
      },
      (error) => watcher.failed(error),
    );
  }

  dump(): readonly ResourcesDump[] {
    return this.#source?.dump?.() ?? [];
  }

  watchServer(server: ServerKey, watcher: ServerConfigWatcher): () => void {
    return this.#onceLoaded(
      (source) => serversOf(source)(server, watcher),
      (error) => watcher.failed(error),
    );
  }

  /** Begins the watch, now or when the source is there; returns its end. */
  #onceLoaded(watch: (source: MeshSource) => () => void, failed: (error: MeshError) => void): () => void {
    if (this.#source !== undefined) return watch(this.#source);
    let stopped = false;
    let stop: (() => void) | undefined;
    this.loading.then(
      (source) => {
        if (!stopped) stop = watch(source);
      },
      (error: unknown) => {
        if (!stopped) failed(asConfigError(error));
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
