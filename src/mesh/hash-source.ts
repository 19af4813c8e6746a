import { needsHash64 } from '../client/balancer/balancer.js';
import { type Hash64, loadHash64 } from '../client/balancer/hash.js';
import type { ConfigWatcher } from '../core/config-source.js';
import { MeshError } from '../core/errors.js';
import { changedKeys } from '../core/layered-map.js';
import type { Logger } from '../core/log.js';
import type { TargetConfig } from '../core/model/target.js';
import type { MeshSource } from './source.js';

/** XXH64 for those who hash, loaded with the first configuration that asks for it: that one is held back until it is there. */
export class HashLoader {
  #hash64: Hash64 | undefined;
  #loading: Promise<void> | undefined;

  constructor(
    private readonly logger: Logger,
    private readonly load: () => Promise<Hash64> = loadHash64,
  ) {}

  get hash64(): Hash64 | undefined {
    return this.#hash64;
  }

  /** The source's `watch`, whose watchers are told of what hashes when there is a hash. */
  watch(source: Pick<MeshSource, 'watch'>): MeshSource['watch'] {
    return (authority, watcher) => {
      const gate = new Gate(watcher, (config, before) => this.#wait(config, before));
      const stop = source.watch(authority, gate);
      return () => {
        gate.close();
        stop();
      };
    };
  }

  /** Undefined: the configuration can be used. */
  #wait(config: TargetConfig, before: TargetConfig | undefined): Promise<void> | undefined {
    if (this.#hash64 !== undefined || !hashes(config, before)) return undefined;
    this.#loading ??= this.load().then(
      (hash64) => {
        this.#hash64 = hash64;
      },
      (error: unknown) => {
        // The next configuration tries again; until then calls are spread as if no policy said anything.
        this.#loading = undefined;
        this.logger.error('the hash function cannot be loaded: hash policies and ring hash do not hold', {
          error: String(error),
        });
      },
    );
    return this.#loading;
  }
}

/** Whether anything hashes that is not in `before`, which hashes nothing. */
function hashes(config: TargetConfig, before: TargetConfig | undefined): boolean {
  const routes = config.routes === before?.routes ? [] : config.routes;
  for (const { action } of routes) {
    if (action.kind === 'forward' && (action.weightedByHash || (action.hashPolicies?.length ?? 0) > 0)) return true;
  }
  for (const name of changedKeys(before?.clusters ?? new Map(), config.clusters)) {
    const cluster = config.clusters.get(name);
    if (cluster === undefined || cluster instanceof MeshError || cluster.kind !== 'leaf') continue;
    if (needsHash64(cluster)) return true;
  }
  return false;
}

/** Hands on what a watcher is told, in order; while one configuration waits, what comes after it waits too. */
class Gate implements ConfigWatcher {
  /** What is handed on when the wait is over; undefined while nobody waits. */
  #held: (() => void)[] | undefined;
  #last: TargetConfig | undefined;
  #closed = false;

  constructor(
    private readonly watcher: ConfigWatcher,
    private readonly wait: (config: TargetConfig, before: TargetConfig | undefined) => Promise<void> | undefined,
  ) {}

  changed(config: TargetConfig): void {
    // It is complete, and void is what came before: what is held back of that is not news any more.
    if (this.#held !== undefined) {
      this.#held = [() => this.changed(config)];
      return;
    }
    const waiting = this.wait(config, this.#last);
    if (waiting === undefined) {
      this.#use(config);
      return;
    }
    this.#held = [() => this.#use(config)];
    void waiting.then(() => {
      const held = this.#held ?? [];
      this.#held = undefined;
      if (!this.#closed) for (const tell of held) tell();
    });
  }

  failed(error: MeshError): void {
    this.#tell(() => this.watcher.failed(error));
  }

  ambient(error: MeshError): void {
    this.#tell(() => this.watcher.ambient(error));
  }

  unknown(): void {
    this.#tell(() => this.watcher.unknown());
  }

  close(): void {
    this.#closed = true;
  }

  #use(config: TargetConfig): void {
    this.#last = config;
    this.watcher.changed(config);
  }

  #tell(tell: () => void): void {
    if (this.#held === undefined) tell();
    else this.#held.push(() => this.#tell(tell));
  }
}
