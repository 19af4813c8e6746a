import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/clock.js';
import { DEFAULT_PROVIDER } from '../core/identity.js';
import {
  CLUSTER,
  type DumpedResource,
  ENDPOINT,
  LISTENER,
  RESOURCE_TYPES,
  type Resource,
  type ResourcesDump,
  type ResourceSet,
  type ResourceType,
  type ResourceWatcher,
  ROUTE,
} from '../core/resources.js';
import type { ResourceCache } from './resource-cache.js';
import { noService } from '../core/no-service.js';
import { runToEnd, type Steps } from '../core/steps.js';
import { OWN, type ResourceOrigin } from './origin.js';
import { type DecoderContext, type Decoders, decodersFor } from './resources/decoders.js';

/** A resource that could not be used, and why. */
export interface Refusal {
  readonly type: ResourceType;
  readonly name: string;
  readonly error: Error;
}

/** One resource: as it came last, when (wall time, milliseconds), and the last model value that could be made of it. */
type Entry = { readonly raw: Resource; readonly at: number | undefined } & (
  | { readonly value: object; readonly error: undefined }
  /** Refused; the value, and what it was made of, are of an earlier version. */
  | { readonly value: object | undefined; readonly good: Resource | undefined; readonly error: Error }
);

/** The mesh's own identity is all that embedded configuration can name. */
const OWN_PROVIDERS: ReadonlySet<string> = new Set([DEFAULT_PROVIDER]);

type Entries = Readonly<Record<ResourceType, ReadonlyMap<string, Entry>>>;

/**
 * Resources in memory, for embedded configuration: the part that an ADS client plays where there is no control plane. A refused
 * resource leaves the last good one in its place; one that did not change keeps its decoded object.
 */
export class ResourceStore implements ResourceCache {
  #entries: Entries = { [CLUSTER]: new Map(), [ENDPOINT]: new Map(), [LISTENER]: new Map(), [ROUTE]: new Map() };
  /** Before the first update nothing is known, not even that something does not exist. */
  #loaded = false;
  readonly #watchers = new Map<string, Set<ResourceWatcher>>();

  readonly #decoders: Decoders;

  /** `clock` dates what is dumped; `context` has the names of the policies that the application has registered. */
  constructor(
    private readonly clock?: Pick<Clock, 'wallTime'>,
    context?: Pick<DecoderContext, 'balancers'>,
  ) {
    this.#decoders = decodersFor({ certificateProviders: OWN_PROVIDERS, ...context });
  }

  /** Resources watched now. */
  get watched(): number {
    return this.#watchers.size;
  }

  /**
   * Replaces everything by `set`; returns what was refused. Everything is in place before anybody is told: first what is new or
   * changed (clusters and endpoints before what leads to them), then what is gone, the other way round.
   */
  update(set: ResourceSet): readonly Refusal[] {
    const before = this.#entries;
    const first = !this.#loaded;
    const now = this.clock?.wallTime();
    const next = (type: ResourceType) => decodeAll(this.#decoders[type], set[type], before[type], now);
    this.#entries = {
      [CLUSTER]: next(CLUSTER),
      [ENDPOINT]: next(ENDPOINT),
      [LISTENER]: next(LISTENER),
      [ROUTE]: next(ROUTE),
    };
    this.#loaded = true;
    for (const type of RESOURCE_TYPES) {
      for (const [name, entry] of this.#entries[type]) if (before[type].get(name) !== entry) this.#notify(type, name);
    }
    for (const type of [...RESOURCE_TYPES].reverse()) {
      for (const name of before[type].keys()) if (!this.#entries[type].has(name)) this.#notify(type, name);
    }
    if (first) this.#notifyAbsent();
    return this.#refusals();
  }

  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void {
    const key = watchKey(type, name);
    let watchers = this.#watchers.get(key);
    if (watchers === undefined) {
      watchers = new Set();
      this.#watchers.set(key, watchers);
    }
    watchers.add(watcher);
    if (this.#loaded) tell(watcher, type, name, this.#entries);
    const joined = watchers;
    return () => {
      joined.delete(watcher);
      if (joined.size === 0 && this.#watchers.get(key) === joined) this.#watchers.delete(key);
    };
  }

  /** What is watched, as the ADS client would show it; there are no versions, and no node. */
  dump(): ResourcesDump {
    const resources = [...this.#watchers.keys()].map((key) => {
      const [type, name] = JSON.parse(key) as [ResourceType, string];
      return dumped(type, name, this.#entries[type].get(name), this.#loaded);
    });
    return { node: undefined, scope: '', resources };
  }

  #notify(type: ResourceType, name: string): void {
    const watchers = this.#watchers.get(watchKey(type, name));
    if (watchers === undefined) return;
    for (const watcher of [...watchers]) if (watchers.has(watcher)) tell(watcher, type, name, this.#entries);
  }

  /** What was watched before the first update, and turns out not to exist. */
  #notifyAbsent(): void {
    for (const key of [...this.#watchers.keys()]) {
      const [type, name] = JSON.parse(key) as [ResourceType, string];
      if (!this.#entries[type].has(name)) this.#notify(type, name);
    }
  }

  #refusals(): Refusal[] {
    const found: Refusal[] = [];
    for (const type of RESOURCE_TYPES) {
      for (const [name, { error }] of this.#entries[type]) if (error !== undefined) found.push({ type, name, error });
    }
    return found;
  }
}

const watchKey = (type: ResourceType, name: string): string => JSON.stringify([type, name]);

/** A decoder that is not told of what was before: what did not change is not decoded again. */
type Read = (resource: Resource, name: string, origin: ResourceOrigin) => Steps<object>;

function decodeAll(
  read: Read,
  set: ReadonlyMap<string, Resource>,
  before: ReadonlyMap<string, Entry>,
  now: number | undefined,
): ReadonlyMap<string, Entry> {
  const decoded = new Map<string, Entry>();
  for (const [name, raw] of set) {
    const old = before.get(name);
    const isSame = old !== undefined && isDeepStrictEqual(old.raw, raw);
    decoded.set(name, isSame ? old : decode(read, name, raw, old, now));
  }
  return decoded;
}

function decode(read: Read, name: string, raw: Resource, old: Entry | undefined, at: number | undefined): Entry {
  try {
    return { raw, at, value: runToEnd(read(raw, name, OWN)), error: undefined };
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    return { raw, at, value: old?.value, good: old === undefined ? undefined : goodOf(old), error };
  }
}

const goodOf = (entry: Entry): Resource | undefined => (entry.error === undefined ? entry.raw : entry.good);

function dumped(type: ResourceType, name: string, entry: Entry | undefined, loaded: boolean): DumpedResource {
  const base = { type, name, version: '' };
  if (entry === undefined) {
    const state = loaded ? 'DOES_NOT_EXIST' : 'REQUESTED';
    return { ...base, state, updatedAt: undefined, raw: undefined, error: undefined };
  }
  const { raw, at: updatedAt, error } = entry;
  if (error === undefined) return { ...base, state: 'ACKED', updatedAt, raw, error: undefined };
  const refused = { details: error.message, version: '', attemptedAt: updatedAt ?? 0, raw };
  return { ...base, state: 'NACKED', updatedAt, raw: entry.good, error: refused };
}

function tell(watcher: ResourceWatcher, type: ResourceType, name: string, entries: Entries): void {
  const entry = entries[type].get(name);
  if (entry === undefined) {
    const why = type === LISTENER ? noService(name, entries[LISTENER]) : undefined;
    const what = `${type.slice(type.lastIndexOf('.') + 1)} "${name}" does not exist`;
    watcher.failed(new Error(why === undefined ? what : `${what}: ${why}`), 'does-not-exist');
  } else if (entry.error === undefined) watcher.changed(entry.value);
  else if (entry.value === undefined) watcher.failed(entry.error, 'invalid');
  else {
    watcher.changed(entry.value);
    watcher.ambient(entry.error);
  }
}
