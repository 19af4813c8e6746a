import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Resource, ResourceType, ResourceWatcher } from '../../core/resources.js';
import type { XdsServer } from '../bootstrap/bootstrap.js';
import type { DiscoveryResponse } from '../wire/messages.js';
import { CacheEntry, type FailureReason, type ResourceState } from './cache-entry.js';
import type { Unpacked } from './response.js';

/** "the client should assume that the resource does not exist if the server has not sent it within 15 seconds" - A57 */
export const RESOURCE_TIMEOUT_MS = 15_000;
/** "The timer will be set for 30 seconds instead of 15" when it means slowness, not absence - A88 */
export const TRANSIENT_RESOURCE_TIMEOUT_MS = 30_000;

/** gRPC statuses of `resource_errors` that speak of the resource and not of the server (xRFC TP3). */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;

/** One resource in a dump. */
export interface DumpedResource {
  readonly type: ResourceType;
  readonly name: string;
  /** Of the value in use; '' when there is none. */
  readonly version: string;
  readonly state: ResourceState;
  /** ISO 8601; undefined while the server has said nothing. */
  readonly updatedAt: string | undefined;
  readonly error: string | undefined;
}

export interface CacheOptions {
  readonly server: XdsServer;
  readonly node: Resource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is watched, with its last good value. It holds what has a watcher and nothing else, so its size is the application's. */
export class Cache {
  readonly #entries = new Map<string, CacheEntry>();
  /** Entries that came or lost their last watcher since `settle`. */
  readonly #unsettled = new Set<CacheEntry>();

  constructor(private readonly options: CacheOptions) {}

  /** Tells what is known before it returns. */
  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void {
    const key = keyOf(type, name);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = new CacheEntry(type, name);
      this.#entries.set(key, entry);
      this.#unsettled.add(entry);
    }
    const watched = entry;
    const guarded = guard(watcher, this.options.logger);
    watched.watchers.add(guarded);
    watched.replay(guarded);
    return () => {
      if (watched.watchers.delete(guarded) && watched.watchers.size === 0) this.#unsettled.add(watched);
    };
  }

  /**
   * Decides on what changed hands: an entry without watchers goes. Not done at once, because who goes and comes back in one turn of the
   * loop has asked for nothing new, and would be answered with nothing.
   */
  settle(tell: (type: ResourceType, name: string, wanted: boolean) => void): void {
    for (const entry of this.#unsettled) {
      const wanted = entry.watchers.size > 0;
      if (!wanted) {
        entry.stopTimer?.();
        this.#entries.delete(keyOf(entry.type, entry.name));
      }
      tell(entry.type, entry.name, wanted);
    }
    this.#unsettled.clear();
  }

  has(type: ResourceType, name: string): boolean {
    return this.#entries.has(keyOf(type, name));
  }

  digest(type: ResourceType, name: string): string {
    return this.#entries.get(keyOf(type, name))?.digest ?? '';
  }

  /** These names were sent on a live connection: the wait for those of which nothing is known begins. */
  asked(type: ResourceType, names: readonly string[]): void {
    for (const name of names) {
      const entry = this.#entries.get(keyOf(type, name));
      if (entry?.state === 'REQUESTED' && entry.stopTimer === undefined) this.#await(entry);
    }
  }

  /** Nobody is asked any more: nothing can time out. */
  streamEnded(): void {
    for (const entry of this.#entries.values()) {
      entry.stopTimer?.();
      entry.stopTimer = undefined;
    }
  }

  unreachable(details: string): void {
    for (const entry of [...this.#entries.values()]) entry.transientError(this.#error(entry, details));
  }

  /** Takes over what a response brought and tells watchers; returns how many resources are new or other ones. */
  apply(
    type: ResourceType,
    unpacked: Unpacked,
    resourceErrors: NonNullable<DiscoveryResponse['resource_errors']>,
    fullSet: boolean,
  ): number {
    const now = this.options.clock.wallTime();
    const reported = this.#applyErrors(type, unpacked, resourceErrors, now);
    const changed = this.#applyGood(type, unpacked, now);
    // What has no name may be any of those that seem to be missing.
    if (fullSet && unpacked.nameless.length === 0) this.#applyAbsence(type, unpacked, reported, now);
    return changed;
  }

  dump(): readonly DumpedResource[] {
    return [...this.#entries.values()].map((entry) => ({
      type: entry.type,
      name: entry.name,
      version: entry.version,
      state: entry.state,
      updatedAt: entry.updatedAt === undefined ? undefined : new Date(entry.updatedAt).toISOString(),
      error: entry.error?.message,
    }));
  }

  close(): void {
    this.streamEnded();
    this.#entries.clear();
    this.#unsettled.clear();
  }

  #applyGood(type: ResourceType, { good }: Unpacked, now: number): number {
    let changed = 0;
    for (const [name, { value, digest, version }] of good) {
      const entry = this.#entries.get(keyOf(type, name));
      if (entry === undefined) continue;
      if (value !== undefined) changed += entry.accept(value.decoded, digest, version, now) ? 1 : 0;
      else if (entry.digest === digest) entry.confirm(version, now);
    }
    return changed;
  }

  /** Refused by us, or by the server's own word. Returns the names of the latter. */
  #applyErrors(
    type: ResourceType,
    { bad }: Unpacked,
    resourceErrors: NonNullable<DiscoveryResponse['resource_errors']>,
    now: number,
  ): ReadonlySet<string> {
    for (const [name, error] of bad)
      this.#dataError(type, name, 'NACKED', 'invalid', `is refused: ${error.message}`, now);
    const reported = new Set<string>();
    for (const { resource_name: resource, error_detail: status } of resourceErrors) {
      const name = resource?.name ?? '';
      const entry = this.#entries.get(keyOf(type, name));
      if (entry === undefined) continue;
      reported.add(name);
      const problem = `the control plane has an error for it, status ${status?.code ?? 0}: ${status?.message || 'no message'}`;
      if (status?.code === NOT_FOUND) this.#dataError(type, name, 'RECEIVED_ERROR', 'does-not-exist', problem, now);
      else if (status?.code === PERMISSION_DENIED)
        this.#dataError(type, name, 'RECEIVED_ERROR', 'invalid', problem, now);
      else entry.dataError('RECEIVED_ERROR', this.#error(entry, problem), 'unreachable', false, now);
    }
    return reported;
  }

  #applyAbsence(
    type: ResourceType,
    { good, bad, untouched }: Unpacked,
    reported: ReadonlySet<string>,
    now: number,
  ): void {
    for (const entry of [...this.#entries.values()]) {
      const { name } = entry;
      if (entry.type !== type || !entry.hasValue || entry.state === 'DOES_NOT_EXIST') continue;
      if (good.has(name) || bad.has(name) || untouched.has(name) || reported.has(name)) continue;
      this.#dataError(type, name, 'DOES_NOT_EXIST', 'does-not-exist', 'was deleted by the control plane', now);
    }
  }

  #dataError(
    type: ResourceType,
    name: string,
    state: ResourceState,
    reason: FailureReason,
    problem: string,
    now: number,
  ): void {
    const entry = this.#entries.get(keyOf(type, name));
    entry?.dataError(state, this.#error(entry, problem), reason, this.options.server.features.failOnDataErrors, now);
  }

  #await(entry: CacheEntry): void {
    const { clock, server } = this.options;
    const isTransient = server.features.resourceTimerIsTransientError;
    const delayMs = isTransient ? TRANSIENT_RESOURCE_TIMEOUT_MS : RESOURCE_TIMEOUT_MS;
    const expire = (): void => {
      const error = this.#error(entry, `the control plane ${server.uri} sent nothing for it in ${delayMs} ms`);
      const [state, reason] = isTransient
        ? (['TIMEOUT', 'unreachable'] as const)
        : (['DOES_NOT_EXIST', 'does-not-exist'] as const);
      entry.dataError(state, error, reason, false, clock.wallTime());
    };
    entry.stopTimer = clock.after(delayMs, expire, { background: true });
  }

  /** Names the resource and, for whoever reads the server's log, the node (gRFC A74). */
  #error(entry: CacheEntry, problem: string): Error {
    const kind = entry.type.slice(entry.type.lastIndexOf('.') + 1);
    return new Error(`${kind} "${entry.name}": ${problem} (node "${String(this.options.node['id'])}")`);
  }
}

const keyOf = (type: ResourceType, name: string): string => `${type} ${name}`;

/** A watcher's mistake is its own: the others are told all the same, and the stream goes on. */
function guard(watcher: ResourceWatcher, logger: Logger): ResourceWatcher {
  const attempt = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      logger.error('a watcher of an xDS resource failed', { error: String(error) });
    }
  };
  return {
    changed: (resource) => attempt(() => watcher.changed(resource)),
    failed: (error, reason) => attempt(() => watcher.failed(error, reason)),
    ambient: (error) => attempt(() => watcher.ambient(error)),
  };
}
