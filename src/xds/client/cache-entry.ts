import type { DumpedResource, ResourceState, ResourceType, ResourceWatcher } from '../../core/resources.js';

export type FailureReason = Parameters<ResourceWatcher['failed']>[1];

/** What has gone wrong with a resource itself, or with getting it. */
export interface Trouble {
  readonly state: ResourceState;
  readonly error: Error;
  /** What it means when there is no value. */
  readonly reason: FailureReason;
  /** The value goes as well. */
  readonly drop: boolean;
  /** Of the update that was refused, and what it was. */
  readonly refused?: { readonly version: string; readonly raw: Uint8Array | undefined };
}

/** A value, and where it came from. */
export interface Arrival {
  readonly value: unknown;
  readonly raw: Uint8Array;
  readonly version: string;
  /** As the server calls it. */
  readonly resourceName: string;
  /** Key of the server. */
  readonly server: string;
}

/** One resource that somebody watches: the last good value, what went wrong since, and who wants to know. */
export class CacheEntry {
  readonly watchers = new Set<ResourceWatcher>();
  state: ResourceState = 'REQUESTED';
  /** Ends the wait for a word of the server; undefined when nothing is waited for. */
  stopTimer: (() => void) | undefined;
  /** Ends the time that the value has to live (xds_protocol, TTL); undefined when it has no such limit. */
  stopExpiry: (() => void) | undefined;
  /** Wall time of the last change of state, in milliseconds; undefined before the first. */
  #updatedAt: number | undefined;
  #arrival: Arrival | undefined;
  #error: Error | undefined;
  /** Why there is no value; undefined when there is one, or nothing is known yet. */
  #reason: FailureReason | undefined;
  #refused: { readonly version: string; readonly raw: Uint8Array | undefined } | undefined;
  #failedAt = 0;
  /** The error is that the server cannot be reached, and nothing else is known to be wrong. */
  #lostContact = false;

  /** `name` is the canonical one; `authority` its key, undefined for an old-style name (gRFC A47). */
  constructor(
    readonly type: ResourceType,
    readonly name: string,
    readonly authority: string | undefined,
  ) {}

  get arrival(): Arrival | undefined {
    return this.#arrival;
  }

  /** "Cached resources include: resources that have been successfully received" and those "considered non-existent" - A71 */
  get isCached(): boolean {
    return this.#arrival !== undefined || this.#reason === 'does-not-exist';
  }

  /** Tells a new watcher what the others know: "both the valid resource and the ambient error, in that order" - A88 */
  replay(watcher: ResourceWatcher): void {
    if (this.#arrival !== undefined) watcher.changed(this.#arrival.value);
    if (this.#error === undefined) return;
    if (this.#arrival !== undefined) watcher.ambient(this.#error);
    else if (this.#reason !== undefined) watcher.failed(this.#error, this.#reason);
  }

  /** A good resource; true when it is another one. Watchers hear of that, and of an end to trouble. */
  accept(arrival: Arrival, now: number): boolean {
    const changed = this.#arrival === undefined || arrival.value !== this.#arrival.value;
    const recovered = this.#error !== undefined;
    this.#arrival = arrival;
    this.#error = undefined;
    this.#reason = undefined;
    this.#refused = undefined;
    this.#settle('ACKED', now);
    if (changed || recovered) for (const watcher of [...this.watchers]) watcher.changed(arrival.value);
    return changed;
  }

  /**
   * Something is wrong with the resource itself (gRFC A88, data error): "we will ignore all data errors by default", unless the server
   * feature says to `drop`.
   */
  dataError(trouble: Trouble, now: number): void {
    this.#settle(trouble.state, now);
    this.#failedAt = now;
    this.#refused = trouble.refused;
    if (trouble.drop) this.#forget();
    this.#trouble(trouble.error, trouble.reason);
  }

  /** The server cannot be reached. What is known stands: a value, and also that something does not exist or is not valid. */
  transientError(error: Error, now: number): void {
    if (this.#reason === 'does-not-exist' || this.#reason === 'invalid') return;
    this.#failedAt = now;
    this.#refused = undefined;
    this.#trouble(error, 'unreachable');
    this.#lostContact = true;
  }

  /** The server is heard again: "The error condition is considered to be cleared when OnResourceChanged() is invoked" - A88 */
  contactRestored(): void {
    if (!this.#lostContact) return;
    this.#lostContact = false;
    if (this.#arrival === undefined) return;
    this.#error = undefined;
    for (const watcher of [...this.watchers]) watcher.changed(this.#arrival.value);
  }

  /** Nobody waits for it any more. */
  close(): void {
    this.stopTimer?.();
    this.stopExpiry?.();
  }

  dump(): DumpedResource {
    const error = this.#error && {
      details: this.#error.message,
      version: this.#refused?.version ?? '',
      attemptedAt: this.#failedAt,
      raw: this.#refused?.raw,
    };
    return {
      type: this.type,
      name: this.name,
      state: this.state,
      version: this.#arrival?.version ?? '',
      updatedAt: this.#updatedAt,
      raw: this.#arrival?.raw,
      error,
    };
  }

  #forget(): void {
    this.#arrival = undefined;
    this.stopExpiry?.();
    this.stopExpiry = undefined;
  }

  /** Tells watchers once of each trouble, however often it is met. */
  #trouble(error: Error, reason: FailureReason): void {
    const now = this.#arrival === undefined ? reason : undefined;
    if (this.#error?.message === error.message && this.#reason === now) return;
    this.#error = error;
    this.#reason = now;
    for (const watcher of [...this.watchers]) {
      if (now === undefined) watcher.ambient(error);
      else watcher.failed(error, now);
    }
  }

  #settle(state: ResourceState, now: number): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
    this.state = state;
    this.#updatedAt = now;
    this.#lostContact = false;
  }
}
