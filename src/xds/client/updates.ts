import type { Clock } from '../../core/clock.js';
import { isOwnListener, MESH_INBOUND, type ResourceType } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import type { ServerFeatures } from '../bootstrap/bootstrap.js';
import type { ResourceError } from '../wire/messages.js';
import type { Cache } from './cache.js';
import type { CacheEntry, Trouble } from './cache-entry.js';
import { canonicalName } from './names.js';
import type { GoodResource, Unpacked } from './unpack.js';

/** "the client should assume that the resource does not exist if the server has not sent it within 15 seconds" - A57 */
export const RESOURCE_TIMEOUT_MS = 15_000;
/** "The timer will be set for 30 seconds instead of 15" when it means slowness, not absence - A88 */
export const TRANSIENT_RESOURCE_TIMEOUT_MS = 30_000;
/** A wait that ends so much later than it should, in milliseconds, was not watched: the process was stopped, or its loop was blocked. */
export const STALL_MS = 1_000;

/** gRPC statuses of `resource_errors` that speak of the resource and not of the server (xRFC TP3). */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;

/** A server, as far as what it says about resources depends on it. */
export interface Source {
  readonly key: string;
  readonly uri: string;
  readonly features: ServerFeatures;
  /** It is still asked for the resource. */
  serves(entry: CacheEntry): boolean;
  /** It has the last word on the resource: a server that is being fallen back from has not, until it delivers (gRFC A71). */
  decides(entry: CacheEntry): boolean;
  /** Its word counts that there is no such resource. */
  judges(entry: CacheEntry): boolean;
  /** It delivered the resource, which is about to be taken over from `before`, the key of the server that the last value is of. */
  delivered(entry: CacheEntry, before: string | undefined): void;
  /** `Subscription.doubtfulUntil`. */
  doubtfulUntil(entry: CacheEntry): number | undefined;
}

/** What a response says beside its resources. */
export interface Absences {
  readonly errors: readonly ResourceError[];
  /** Names that are gone by the server's word. */
  readonly removed: readonly string[];
  /** All names that were asked for, when the response is the full set, and what is not in it is gone. */
  readonly complete: ReadonlySet<string> | undefined;
}

type Kind = Pick<Trouble, 'state' | 'reason'>;
const DOES_NOT_EXIST: Kind = { state: 'DOES_NOT_EXIST', reason: 'does-not-exist' };
const TIMEOUT: Kind = { state: 'TIMEOUT', reason: 'unreachable' };
const NACKED: Kind = { state: 'NACKED', reason: 'invalid' };
const RECEIVED_ERROR: Kind = { state: 'RECEIVED_ERROR', reason: 'invalid' };

/**
 * Where there are no policies for a service's own servers, those let everybody in. So a control plane has to say that there are none; that it says nothing, as one
 * that hangs does, is no word about them. What is for the whole mesh counts only where it has said so of the service's own; of a name that is not theirs other control planes say nothing.
 */
const needsWord = ({ name }: CacheEntry): boolean => isOwnListener(name) && name !== MESH_INBOUND;

export interface UpdatesOptions {
  /** `node.id`, for whoever reads the server's log. */
  readonly nodeId: string;
  readonly clock: Clock;
}

/** What servers say, and what they do not say in time, carried into the cache by the rules of A53, A57, A71 and A88. */
export class Updates {
  /** Entries whose watchers were told that their server cannot be reached. Those that nobody wants any more are taken out by `forget`. */
  readonly #outOfContact = new Set<CacheEntry>();

  constructor(
    private readonly cache: Cache,
    private readonly options: UpdatesOptions,
  ) {}

  /**
   * The server was asked on a live connection: the wait begins, unless something is known or waited for already. "If the ADS stream fails and
   * is restarted, the client should apply this same timeout, but only if the resource is not already cached." - A57
   */
  asked(entry: CacheEntry, source: Source): void {
    if (!entry.isOpen || entry.stopTimer !== undefined) return;
    const isTransient = source.features.resourceTimerIsTransientError;
    const delayMs = isTransient ? TRANSIENT_RESOURCE_TIMEOUT_MS : RESOURCE_TIMEOUT_MS;
    const problem = `the control plane ${source.uri} sent nothing for it in ${delayMs} ms`;
    entry.leftOut = false;
    this.#await(entry, delayMs, () => {
      const isSilence = needsWord(entry) ? !entry.leftOut : isTransient;
      this.#trouble(entry, problem, isSilence ? TIMEOUT : DOES_NOT_EXIST, false);
    });
  }

  /** Nobody is asked any more: it cannot time out. */
  stopWaiting(entry: CacheEntry): void {
    entry.stopTimer?.();
    entry.stopTimer = undefined;
  }

  unreachable(entry: CacheEntry, details: string): void {
    entry.transientError(this.#error(entry, details));
    if (entry.isOutOfContact) this.#outOfContact.add(entry);
  }

  /** Nobody wants it any more. */
  forget(entry: CacheEntry): void {
    this.#outOfContact.delete(entry);
  }

  /** Takes over what a response brought and tells watchers, with pauses; returns how many resources are new or other ones. */
  *apply(type: ResourceType, unpacked: Unpacked, absences: Absences, source: Source): Steps<number> {
    let changed = 0;
    for (const [name, good] of unpacked.good) {
      const entry = this.#served(type, name, source);
      if (entry !== undefined && this.#accept(entry, good, source)) changed++;
      yield;
    }
    for (const [name, { version, ttlMs }] of unpacked.heartbeats) {
      const entry = this.#decided(type, name, source);
      // "These resources will not be treated as resource updates, but only as TTL updates." - xds_protocol
      if (entry?.arrival?.version === version && entry.arrival.server === source.key) this.#expire(entry, ttlMs);
      yield;
    }
    for (const [name, { error, version, raw }] of unpacked.bad) {
      const entry = this.#decided(type, name, source);
      const refused = { version, raw };
      if (entry !== undefined) this.#dataError(entry, source, `is refused: ${error.message}`, NACKED, refused);
      yield;
    }
    yield* this.#applyAbsences(type, unpacked, absences, source);
    return changed;
  }

  /** The server is heard on a stream that carries these types: what it decides on is not out of reach any more. */
  *contactRestored(types: readonly ResourceType[], source: Source): Steps<void> {
    for (const entry of this.#outOfContact) {
      if (types.includes(entry.type) && source.decides(entry)) {
        this.#outOfContact.delete(entry);
        entry.contactRestored();
      }
      yield;
    }
  }

  #served(type: ResourceType, name: string, source: Source): CacheEntry | undefined {
    const entry = this.cache.get(type, name);
    return entry !== undefined && source.serves(entry) ? entry : undefined;
  }

  #decided(type: ResourceType, name: string, source: Source): CacheEntry | undefined {
    const entry = this.cache.get(type, name);
    return entry !== undefined && source.decides(entry) ? entry : undefined;
  }

  #accept(entry: CacheEntry, good: GoodResource, source: Source): boolean {
    source.delivered(entry, entry.arrival?.server);
    const { value, raw, version, resourceName } = good;
    const arrival = { value, raw, version, resourceName, server: source.key };
    const changed = entry.accept(arrival, this.options.clock.wallTime());
    this.#expire(entry, good.ttlMs);
    return changed;
  }

  *#applyAbsences(type: ResourceType, unpacked: Unpacked, absences: Absences, source: Source): Steps<void> {
    const reported = new Set<string>();
    const reasons = new Map(absences.removed.map((name) => [name, '']));
    for (const { resource_name: resource, error_detail: status } of absences.errors) {
      const name = resource?.name ?? '';
      // Of our own control plane: a removal, which may be older than the request that names it anew, with its reason.
      if (isOwnListener(name) && reasons.has(name)) reasons.set(name, status?.message ?? '');
      else
        for (const entry of this.#named(type, name, source)) {
          reported.add(entry.name);
          this.#received(entry, source, status?.code ?? 0, status?.message || 'no message');
        }
      yield;
    }
    for (const [given, reason] of reasons) {
      for (const entry of this.#named(type, given, source)) {
        // In delta the word is explicit, for every type: also of what the client has never seen.
        if (!reported.has(entry.name)) this.#gone(entry, source, reason);
      }
      yield;
    }
    // What has no name may be any of those that seem to be missing.
    if (absences.complete === undefined || unpacked.nameless.length > 0) return;
    const { good, bad, heartbeats } = unpacked;
    for (const name of [...absences.complete]) {
      if (good.has(name) || bad.has(name) || heartbeats.has(name) || reported.has(name)) continue;
      const entry = this.cache.get(type, name);
      if (entry !== undefined && source.judges(entry)) this.#absent(entry, source);
      yield;
    }
  }

  /** An error in place of the resource: gRFC A88, "Support for Errors Provided by the xDS server". */
  #received(entry: CacheEntry, source: Source, code: number, message: string): void {
    const problem = `the control plane has an error for it, status ${code}: ${message}`;
    if (code === NOT_FOUND) this.#dataError(entry, source, problem, { ...RECEIVED_ERROR, reason: 'does-not-exist' });
    else if (code === PERMISSION_DENIED) this.#dataError(entry, source, problem, RECEIVED_ERROR);
    else this.#trouble(entry, problem, { ...RECEIVED_ERROR, reason: 'unreachable' }, false);
  }

  /** Entries that the server knows by this name: one that was asked for so, and (xds_protocol, aliases) those that were by another. */
  #named(type: ResourceType, given: string, source: Source): CacheEntry[] {
    const name = canonicalName(type, given);
    const found = new Set(this.cache.arrivals.called(type, name));
    const entry = this.cache.get(type, name);
    if (entry !== undefined) found.add(entry);
    return [...found].filter((other) => source.judges(other));
  }

  /** Not in a full set. "it may not be possible for the client to know that a resource does not exist" if it was never there - xds_protocol */
  #absent(entry: CacheEntry, source: Source): void {
    if (entry.state === 'DOES_NOT_EXIST') return;
    // One that may be older than the request is no answer to it; the wait is longer than a response is under way.
    if (entry.arrival === undefined) entry.leftOut = source.doubtfulUntil(entry) === undefined;
    if (entry.arrival !== undefined || (needsWord(entry) && entry.state === 'TIMEOUT')) this.#gone(entry, source);
  }

  #gone(entry: CacheEntry, source: Source, reason = ''): void {
    const until = source.doubtfulUntil(entry);
    if (until === undefined) this.#deleted(entry, source, reason);
    else if (entry.stopTimer === undefined) {
      // The response may be older than the request that names it anew: gone only if no other comes that has it.
      this.#await(entry, until - this.options.clock.now(), () => this.#deleted(entry, source, reason));
    }
  }

  #deleted(entry: CacheEntry, source: Source, reason: string): void {
    const problem =
      entry.arrival === undefined ? 'does not exist, says the control plane' : 'was deleted by the control plane';
    // A data error like any other: of A53's feature A88 says that "gRPC will ignore that server feature".
    this.#dataError(entry, source, reason === '' ? problem : `${problem}: ${reason}`, DOES_NOT_EXIST);
  }

  #dataError(
    entry: CacheEntry,
    { features }: Source,
    problem: string,
    kind: Pick<Trouble, 'state' | 'reason'>,
    refused?: Trouble['refused'],
  ): void {
    // Policies for a service's own servers, and settings of the mesh, are there or not: when the last one goes, it is because somebody took it out.
    const gone = kind.reason === 'does-not-exist' && isOwnListener(entry.name);
    this.#trouble(
      entry,
      problem,
      refused === undefined ? kind : { ...kind, refused },
      gone || features.failOnDataErrors,
    );
  }

  #trouble(
    entry: CacheEntry,
    problem: string,
    kind: Pick<Trouble, 'state' | 'reason' | 'refused'>,
    drop: boolean,
  ): void {
    entry.dataError({ ...kind, error: this.#error(entry, problem), drop }, this.options.clock.wallTime());
  }

  /** "To update the TTL associated with a Resource, the management server resends the resource with a new TTL." */
  #expire(entry: CacheEntry, ttlMs: number | undefined): void {
    entry.stopExpiry?.();
    entry.stopExpiry = undefined;
    if (ttlMs === undefined) return;
    const { clock } = this.options;
    const due = clock.now() + ttlMs;
    const expire = (): void => {
      entry.stopExpiry = undefined;
      // A clock may end a wait early that is longer than its timers can hold, of some 25 days.
      const leftMs = due - clock.now();
      if (leftMs > 0) entry.stopExpiry = clock.after(leftMs, expire, { background: true });
      // The very purpose of a TTL is that the value does not outlive it.
      else {
        const kind = isOwnListener(entry.name) ? TIMEOUT : DOES_NOT_EXIST;
        this.#trouble(entry, `its time to live of ${ttlMs} ms has passed`, kind, true);
      }
    };
    entry.stopExpiry = clock.after(ttlMs, expire, { background: true });
  }

  /** Timers run before sockets are read, so that after a stall the answer may be here, unread: it gets the time to be. */
  #await(entry: CacheEntry, delayMs: number, expire: () => void): void {
    const { clock } = this.options;
    const due = clock.now() + delayMs;
    const end = (): void => {
      if (clock.now() - due < STALL_MS) expire();
      else entry.stopTimer = clock.after(STALL_MS, expire, { background: true });
    };
    entry.stopTimer = clock.after(delayMs, end, { background: true });
  }

  /** Names the resource and, for whoever reads the server's log, the node (gRFC A74). */
  #error(entry: CacheEntry, problem: string): Error {
    const kind = entry.type.slice(entry.type.lastIndexOf('.') + 1);
    return new Error(`${kind} "${entry.name}": ${problem} (node "${this.options.nodeId}")`);
  }
}
