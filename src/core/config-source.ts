import type { MeshError } from './errors.js';
import type { LoadRecorder } from './load-reports.js';
import type { TargetConfig } from './model/target.js';
import type { ResourcesDump } from './resources.js';

/**
 * What a destination's watcher is told. Three callbacks for three meanings (grpc-go, resource_watcher.go), and one for a name
 * that nobody knows. Called in turns of the event loop of the source's own, never from inside `watch`'s caller twice.
 */
export interface ConfigWatcher {
  /** A complete, consistent configuration: every name it mentions is in it. Replaces the one before. */
  changed(config: TargetConfig): void;
  /** There is none, and one from before is void. */
  failed(error: MeshError): void;
  /** Trouble, but the last configuration stands. */
  ambient(error: MeshError): void;
  /** The source is sure that it does not know the name. */
  unknown(): void;
}

/** Where configuration comes from: embedded YAML, a control plane, or nothing but DNS. The client knows no more of it than this. */
export interface ConfigSource {
  /**
   * Watches one authority, as the application wrote it, or a gRPC target `xds://authority/name`, until the result is called. May call back
   * before it returns.
   */
  watch(authority: string, watcher: ConfigWatcher): () => void;
  /** Resolves with the first configuration (embedded) or first contact (control plane); rejects when there can be none. */
  ready(): Promise<void>;
  /** Who counts load for a control plane that asks; undefined: nobody does. */
  readonly loads?: LoadRecorder | undefined;
  /** The resources behind the configuration, by scope, for people and tools. */
  dump?(): readonly ResourcesDump[];
  /** Ends every watch, connection, timer and file handle. */
  close(): Promise<void>;
}
