import type { DumpedResource, ResourceState, ResourceType, ResourceWatcher } from '../../core/resources.js';
import type { Arrivals } from './arrivals.js';

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
  /** A response with all that there is came without it since it was asked for. Written by `Updates`. */
  leftOut = false;
  /** Wall time of the last change of state, in milliseconds; undefined before the first. */
  #updatedAt: number | undefined;
  #arrival: Arrival | undefined;
  #error: Error | undefined;
  /** What the error means for who has no value; undefined when there is one, or nothing is known yet. */
  #reason: FailureReason | undefined;
  #refused: { readonly version: string; readonly raw: Uint8Array | undefined } | undefined;
  #failedAt = 0;
  /** The server says that there is no such resource any more, and the value stands all the same (A88). */
  #deleted: Trouble | undefined;
  /** The server cannot be reached. Set beside whatever else is known to be wrong; reset when the server is heard again. */
  #contactError: Error | undefined;

  /** `name` is the canonical one; `authority` its key, undefined for an old-style name (gRFC A47). */
  constructor(
    readonly type: ResourceType,
    readonly name: string,
    readonly authority: string | undefined,
    private readonly arrivals: Arrivals,
    /** Whether its value may go on to be used when the server has deleted it. */
    private readonly outlives: () => boolean = () => true,
  ) {}

  get arrival(): Arrival | undefined {
    return this.#arrival;
  }

  /** "Cached resources include: resources that have been successfully received" and those "considered non-existent" - A71 */
  get isCached(): boolean {
    return this.#arrival !== undefined || this.#reason === 'does-not-exist';
  }

  /** No server has had a last word on it yet: neither a value, nor that there is none, nor one that was refused. */
  get isOpen(): boolean {
    return !this.isCached && this.#reason !== 'invalid';
  }

  /** The last that is known of it is that its server cannot be reached. */
  get isOutOfContact(): boolean {
    return this.#contactError !== undefined;
  }

  /** Tells a new watcher what the others know: "both the valid resource and the ambient error, in that order" - A88 */
  replay(watcher: ResourceWatcher): void {
    if (this.#arrival !== undefined) watcher.changed(this.#arrival.value);
    this.#tellTrouble(watcher);
  }

  /** A good resource; true when it is another one. Watchers hear of that, and of an end to trouble. */
  accept(arrival: Arrival, now: number): boolean {
    const changed = this.#arrival === undefined || arrival.value !== this.#arrival.value;
    const recovered = this.#current !== undefined;
    this.#arrive(arrival);
    this.#error = undefined;
    this.#reason = undefined;
    this.#refused = undefined;
    this.#deleted = undefined;
    this.#settle('ACKED', now);
    if (changed || recovered) this.#tell((watcher) => watcher.changed(arrival.value));
    return changed;
  }

  /**
   * Something is wrong with the resource itself (gRFC A88, data error): "we will ignore all data errors by default", unless the server
   * feature says to `drop`, or it may not be gone on with.
   */
  dataError(trouble: Trouble, now: number): void {
    const before = this.#current;
    this.#settle(trouble.state, now);
    this.#failedAt = now;
    this.#refused = trouble.refused;
    const hadValue = this.#arrival !== undefined;
    const isDeleted = trouble.reason === 'does-not-exist';
    if (trouble.drop || (isDeleted && !this.outlives())) this.#forget();
    const hasValue = this.#arrival !== undefined;
    const isKnown = before?.message === trouble.error.message && hadValue === hasValue;
    const isSame = isKnown && (hasValue || this.#reason === trouble.reason);
    this.#error = trouble.error;
    this.#reason = hasValue ? undefined : trouble.reason;
    this.#deleted = hasValue && isDeleted ? trouble : undefined;
    // "each is sent once", however often it is met.
    if (!isSame) this.#tell((watcher) => this.#tellTrouble(watcher));
  }

  /** What `outlives` says may be another than when the server deleted it. */
  reconsiderDeleted(now: number): void {
    if (this.#deleted !== undefined && !this.outlives()) this.dataError(this.#deleted, now);
  }

  /** The server cannot be reached. What is known stands: a value, and also that something does not exist or is not valid. */
  transientError(error: Error): void {
    if (this.#reason === 'does-not-exist' || this.#reason === 'invalid') return;
    const before = this.#current;
    this.#contactError = error;
    if (before?.message !== error.message) this.#tell((watcher) => this.#tellTrouble(watcher));
  }

  /** The server is heard again. "The error condition is considered to be cleared when either OnResourceChanged() is invoked" or a newer error is - A88 */
  contactRestored(): void {
    if (this.#contactError === undefined) return;
    this.#contactError = undefined;
    const value = this.#arrival?.value;
    if (this.#error !== undefined) this.#tell((watcher) => this.#tellTrouble(watcher));
    else if (value !== undefined) this.#tell((watcher) => watcher.changed(value));
  }

  /** Nobody waits for it any more. */
  close(): void {
    this.stopTimer?.();
    this.#forget();
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

  /** What watchers were told last, if it was trouble. */
  get #current(): Error | undefined {
    return this.#contactError ?? this.#error;
  }

  #forget(): void {
    this.#arrive(undefined);
    this.stopExpiry?.();
    this.stopExpiry = undefined;
  }

  #arrive(arrival: Arrival | undefined): void {
    this.arrivals.moved(this, this.#arrival, arrival);
    this.#arrival = arrival;
  }

  /** The order is that in which they came. One that was stopped by another while it waited for its turn is not called any more. */
  #tell(event: (watcher: ResourceWatcher) => void): void {
    for (const watcher of [...this.watchers]) if (this.watchers.has(watcher)) event(watcher);
  }

  #tellTrouble(watcher: ResourceWatcher): void {
    const error = this.#current;
    if (error === undefined) return;
    if (this.#arrival === undefined) watcher.failed(error, this.#reason ?? 'unreachable');
    else watcher.ambient(error);
  }

  #settle(state: ResourceState, now: number): void {
    this.stopTimer?.();
    this.stopTimer = undefined;
    this.state = state;
    this.#updatedAt = now;
    this.#contactError = undefined;
  }
}
