import type { ConfigWatcher } from '../../src/core/config-source.js';
import type { MeshError } from '../../src/core/errors.js';
import type { TargetConfig } from '../../src/core/model/target.js';
import { ENDPOINT, type Resource, type ResourceType, type ResourceWatcher } from '../../src/core/resources.js';
import type { ResourceCache } from '../../src/xds/resource-cache.js';
import { decoders } from './decoders.js';

type Reason = Parameters<ResourceWatcher['failed']>[1];
type Known = { readonly value: unknown } | { readonly error: Error; readonly reason: Reason };

const short = (type: ResourceType): string => type.slice(type.lastIndexOf('.') + 1);

/** A ResourceCache that knows what the test tells it, when it tells it: the part of an ADS client. */
export class ScriptedCache implements ResourceCache {
  readonly #known = new Map<string, Known>();
  readonly #watchers = new Map<string, Set<ResourceWatcher>>();

  /** `Cluster/a`, sorted. */
  get watched(): string[] {
    return [...this.#watchers.keys()].sort();
  }

  put(type: ResourceType, resource: Resource): void {
    const name = String(resource[type === ENDPOINT ? 'cluster_name' : 'name']);
    this.#learn(type, name, { value: decoders[type](resource, name) });
  }

  fail(type: ResourceType, name: string, reason: Reason = 'does-not-exist'): void {
    this.#learn(type, name, { error: new Error(`${name} ${reason}`), reason });
  }

  ambient(type: ResourceType, name: string, message: string): void {
    for (const watcher of this.#watchers.get(`${short(type)}/${name}`) ?? []) watcher.ambient(new Error(message));
  }

  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void {
    const key = `${short(type)}/${name}`;
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(watcher));
    this.#tell(watcher, this.#known.get(key));
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(key) === watchers) this.#watchers.delete(key);
    };
  }

  #learn(type: ResourceType, name: string, known: Known): void {
    const key = `${short(type)}/${name}`;
    this.#known.set(key, known);
    for (const watcher of [...(this.#watchers.get(key) ?? [])]) this.#tell(watcher, known);
  }

  #tell(watcher: ResourceWatcher, known: Known | undefined): void {
    if (known === undefined) return;
    if ('value' in known) watcher.changed(known.value);
    else watcher.failed(known.error, known.reason);
  }
}

/** Writes down what it is told. */
export class RecordingWatcher implements ConfigWatcher {
  readonly configs: TargetConfig[] = [];
  /** `config`, `unknown`, `failed: …`, `ambient: …`, in order. */
  readonly events: string[] = [];

  get last(): TargetConfig {
    const config = this.configs.at(-1);
    if (config === undefined) throw new Error(`no configuration yet; told: ${this.events.join(', ') || 'nothing'}`);
    return config;
  }

  changed(config: TargetConfig): void {
    this.configs.push(config);
    this.events.push('config');
  }
  failed(error: MeshError): void {
    this.events.push(`failed: ${error.message}`);
  }
  ambient(error: MeshError): void {
    this.events.push(`ambient: ${error.message}`);
  }
  unknown(): void {
    this.events.push('unknown');
  }
}
