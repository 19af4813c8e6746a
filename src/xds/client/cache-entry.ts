import type { ResourceType, ResourceWatcher } from '../../core/resources.js';

/** Envoy `ClientResourceStatus`, with the two that gRFC A88 adds. */
export type ResourceState = 'REQUESTED' | 'DOES_NOT_EXIST' | 'ACKED' | 'NACKED' | 'RECEIVED_ERROR' | 'TIMEOUT';

export type FailureReason = Parameters<ResourceWatcher['failed']>[1];

/** One resource that somebody watches: the last good value, what went wrong since, and who wants to know. */
export class CacheEntry {
  readonly watchers = new Set<ResourceWatcher>();
  state: ResourceState = 'REQUESTED';
  version = '';
  /** Wall time of the last change of state, in milliseconds; undefined before the first. */
  updatedAt: number | undefined;
  /** Digest of the bytes that `value` was made from; empty when there is no value. */
  digest = '';
  /** Ends the wait for a first answer; undefined when nothing is waited for. */
  stopTimer: (() => void) | undefined;
  #value: unknown;
  #error: Error | undefined;
  /** Why there is no value; undefined when there is one, or nothing is known yet. */
  #reason: FailureReason | undefined;

  constructor(
    readonly type: ResourceType,
    readonly name: string,
  ) {}

  get hasValue(): boolean {
    return this.digest !== '';
  }

  get error(): Error | undefined {
    return this.#error;
  }

  /** Tells a new watcher what the others know. */
  replay(watcher: ResourceWatcher): void {
    if (this.hasValue) watcher.changed(this.#value);
    if (this.#error === undefined) return;
    if (this.hasValue) watcher.ambient(this.#error);
    else if (this.#reason !== undefined) watcher.failed(this.#error, this.#reason);
  }

  /** A good resource; true when it is another one. Watchers hear of that, and of an end to trouble. */
  accept(value: unknown, digest: string, version: string, now: number): boolean {
    const changed = digest !== this.digest;
    const recovered = this.#error !== undefined;
    this.#value = value;
    this.digest = digest;
    this.version = version;
    this.#error = undefined;
    this.#reason = undefined;
    this.#settle('ACKED', now);
    if (changed || recovered) for (const watcher of [...this.watchers]) watcher.changed(value);
    return changed;
  }

  /** The bytes that the value was made from have come again. */
  confirm(version: string, now: number): void {
    this.accept(this.#value, this.digest, version, now);
  }

  /**
   * Something is wrong with the resource itself (gRFC A88, data error). "By default, we will ignore the error and continue using the
   * cached version"; `drop` is the server feature that decides otherwise.
   */
  dataError(state: ResourceState, error: Error, reason: FailureReason, drop: boolean, now: number): void {
    this.#settle(state, now);
    if (drop) {
      this.#value = undefined;
      this.digest = '';
      this.version = '';
    }
    this.#trouble(error, reason);
  }

  /** The server cannot be reached. What is known stands: a value, and also that something does not exist or is not valid. */
  transientError(error: Error): void {
    const isKnown = this.#reason === 'does-not-exist' || this.#reason === 'invalid';
    if (!isKnown) this.#trouble(error, 'unreachable');
  }

  /** Tells watchers once of each trouble, however often it is met. */
  #trouble(error: Error, reason: FailureReason): void {
    const now = this.hasValue ? undefined : reason;
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
    this.updatedAt = now;
  }
}
