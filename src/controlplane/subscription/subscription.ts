import { CLUSTER, isOwnListener, LISTENER, type ResourceType } from '../../core/resources.js';
import type { SnapshotResource, TypeSnapshot } from '../snapshot/snapshot.js';
import type { TypeChanges } from './changes.js';
import { type Available, HeldResources } from './held.js';

/** How a client answers a response. */
export interface Answer {
  /** Nonce of the response that it answers; empty when it answers none. */
  readonly nonce: string;
  /** Its presence, never a version, says that the response was refused. */
  readonly error: { readonly code: number; readonly message: string } | undefined;
}

export type RequestOutcome =
  /** Answers an older response than the last. */
  | 'stale'
  | 'acked'
  | 'rejected'
  /** Says only what is wanted. */
  | 'subscribed';

/** The last response of the type on this stream. */
export interface LastResponse {
  readonly nonce: string;
  readonly version: string;
  /** What it carried. */
  readonly resources: readonly string[];
  /** Wall time in milliseconds when it was written, and when it was answered. */
  readonly sentAt: number;
  readonly answeredAt: number | undefined;
  readonly answer: 'none' | 'acked' | 'rejected';
}

/** The last refusal, kept after later versions were accepted so that an operator can still read it. */
export interface Rejection {
  readonly version: string;
  readonly code: number;
  readonly message: string;
  readonly at: number;
}

/** Between what the client has and what there is for it. */
export interface Difference {
  /** What it wants and lacks. */
  readonly changed: readonly SnapshotResource[];
  /** Names of what it has or asked for, that do not exist, and of which it was not told. */
  readonly gone: readonly string[];
}

/** What the client is known to have: what was sent, or what it says that it kept from an earlier stream. */
type Sent = SnapshotResource | { readonly version: string };

const isWhole = (sent: Sent): sent is SnapshotResource => 'bytes' in sent;

/** LDS and CDS: "the server must include the complete state of the world" - xds_protocol, Grouping Resources into Responses. */
export const isFullSet = (type: ResourceType): boolean => type === LISTENER || type === CLUSTER;

/**
 * What one client wants of one type, what it was sent, and what it said to that: for the life of one stream, in either protocol. Names
 * whose state at the client may be wrong are `due`; all others are right, and nobody looks at them.
 */
export class Subscription {
  /** Everything of the type is wanted, whatever its name, but for listeners that only inmesh asks for (`isOwnListener`). LDS and CDS only. */
  wildcard = false;
  /** State of the world: something was named on this stream, so that to name nothing no longer means everything. */
  hasNamed = false;
  /** What was asked for by name. Written by `want` and `drop`. */
  readonly names = new Set<string>();
  /** By name: what the client has, refused or not (the same again would be refused again). Only what is wanted. */
  readonly sent = new Map<string, Sent>();
  /** Names asked for of which the client was told that they do not exist. */
  readonly absent = new Set<string>();
  /** Names among `sent` of which the client may still have what it had before: they came in a response that it refused. */
  readonly refused = new Set<string>();
  /** What is gone and kept for this client. */
  readonly held = new HeldResources();
  last: LastResponse | undefined;
  /** Version accepted last. */
  ackedVersion: string | undefined;
  rejection: Rejection | undefined;

  readonly #due = new Set<string>();
  /** Every name that there is, or that the client has, is due. */
  #allDue = false;
  /** Among `#due`: the client is to be told of them even if it has been, for it may have forgotten. */
  readonly #owed = new Set<string>();
  /** Among `#owed`: names that are covered by `*` alone. */
  readonly #dropped = new Set<string>();
  /** No longer asked for, but in the response under way: who asks again before reading that takes it from there, and uses it. */
  readonly #passing = new Map<string, Sent>();
  /** Names in the last response. */
  #carried: ReadonlySet<string> = new Set();

  constructor(
    readonly type: ResourceType,
    /** The client speaks the incremental protocol: it is told what changed, and of every name that does not exist. */
    readonly incremental: boolean,
  ) {}

  /** How many names this client makes us remember. */
  get size(): number {
    return this.names.size + this.#dropped.size;
  }

  /** A response that is not answered yet: nothing more of this type is to be pushed. */
  get isOutstanding(): boolean {
    return this.last?.answer === 'none';
  }

  wants(name: string): boolean {
    return this.names.has(name) || (this.wildcard && !isOwnListener(name));
  }

  /** Asks for `name`, or asks again: the client is told, whatever it was sent before. */
  want(name: string): void {
    this.names.add(name);
    this.#dropped.delete(name);
    this.tellAgain(name);
  }

  /** The name is no longer asked for; `*` may still cover it. */
  drop(name: string): void {
    if (!this.names.delete(name)) return;
    this.absent.delete(name);
    if (!this.wants(name)) this.#letGo(name);
    else if (this.incremental) {
      // "it does not know whether or not to continue to cache the resource. To address this, the server must send a response that
      // includes the specific resource in either the removed_resources field […] or in the resources field" - xds_protocol
      this.#dropped.add(name);
      this.tellAgain(name);
    }
  }

  /** Asks for everything, or asks again. */
  wantAll(): void {
    this.wildcard = true;
    this.#allDue = true;
    for (const name of this.sent.keys()) this.tellAgain(name);
    // A response that is still on its way reaches a client that wants what it carries, though it did not in between.
    if (this.isOutstanding) for (const name of this.last?.resources ?? []) this.tellAgain(name);
  }

  /** From now on only what was named is wanted. */
  dropAll(): void {
    this.wildcard = false;
    this.#allDue = false;
    for (const name of [...this.sent.keys(), ...this.#due]) if (!this.names.has(name)) this.#letGo(name);
  }

  /** What is wanted of this name goes out with the next response, though it may have been sent before. */
  tellAgain(name: string): void {
    if (!this.wants(name)) return;
    this.#owed.add(name);
    this.#due.add(name);
  }

  /** The client says that it has this version of `name`. Of names that it does not want that means nothing. */
  has(name: string, version: string): void {
    if (!this.wants(name)) return;
    this.sent.set(name, { version });
    this.#owed.delete(name);
    this.#due.add(name);
  }

  /** The configuration has changed. What is gone stays with a client that has it; listeners do not, for nothing uses them. */
  changed({ changed, removed }: TypeChanges): void {
    for (const name of changed) {
      this.held.drop(name);
      if (this.wants(name)) this.#due.add(name);
    }
    for (const name of removed) {
      const had = this.sent.get(name) ?? this.#passing.get(name);
      if (had !== undefined && isWhole(had) && this.type !== LISTENER) this.held.hold(had);
      else if (this.wants(name)) this.#due.add(name);
    }
  }

  /** What is held goes, as far as `stillNeeded` does not claim it, or because it has been held for long enough. */
  release(stillNeeded: (name: string) => boolean, expiredAt?: number): void {
    const released = this.held.release((name) => stillNeeded(name) || this.#passing.has(name));
    const expired = expiredAt === undefined ? [] : this.held.expire(expiredAt);
    for (const name of [...released, ...expired]) this.#due.add(name);
  }

  /** What there is for this client: `target`, and what is held. */
  available(target: TypeSnapshot): Available {
    return this.held.over(target);
  }

  /** The client lacks something of what there is, or has to be told that there is no such thing. */
  isDue(available: Available): boolean {
    this.#spread(available);
    for (const name of this.#due) {
      if (this.#differs(name, available)) return true;
      this.#settle(name);
    }
    return false;
  }

  /** All of it, or so much that its resources have `maxBytes` together, and one of them at least: the rest remains due. */
  difference(available: Available, maxBytes: number): Difference {
    this.#spread(available);
    const changed: SnapshotResource[] = [];
    const gone: string[] = [];
    let bytes = 0;
    for (const name of this.#due) {
      if (!this.#differs(name, available)) {
        this.#settle(name);
        continue;
      }
      const resource = available.get(name);
      if (resource === undefined) gone.push(name);
      else {
        bytes += resource.bytes.length;
        if (bytes > maxBytes && changed.length > 0) break;
        changed.push(resource);
      }
    }
    return { changed, gone };
  }

  /** After `difference` was told, in a response that carried `resources`. */
  responded({ changed, gone }: Difference, response: Omit<LastResponse, 'answer' | 'answeredAt'>): void {
    for (const resource of changed) {
      this.sent.set(resource.name, resource);
      this.absent.delete(resource.name);
      this.#settle(resource.name);
    }
    for (const name of gone) {
      this.sent.delete(name);
      this.refused.delete(name);
      if (this.names.has(name)) this.absent.add(name);
      this.#settle(name);
    }
    this.#carried = new Set(response.resources);
    this.last = { ...response, answer: 'none', answeredAt: undefined };
  }

  /** What a request that arrived at wall time `at` says to the last response. */
  answered({ nonce, error }: Answer, at: number): RequestOutcome {
    const { last } = this;
    // A nonce of another stream is none.
    if (last === undefined || nonce === '') return 'subscribed';
    if (nonce !== last.nonce) return 'stale';
    // Clients that subscribe between two responses repeat the nonce of the first (SotW).
    if (last.answer !== 'none') return 'subscribed';
    for (const [name, sent] of this.#passing) if (error === undefined && this.wants(name)) this.sent.set(name, sent);
    this.#passing.clear();
    this.last = { ...last, answer: error === undefined ? 'acked' : 'rejected', answeredAt: at };
    if (error === undefined) {
      for (const name of last.resources) this.refused.delete(name);
      this.ackedVersion = last.version;
      return 'acked';
    }
    for (const name of last.resources) if (this.sent.has(name)) this.refused.add(name);
    this.rejection = { version: last.version, code: error.code, message: error.message, at };
    return 'rejected';
  }

  #differs(name: string, available: Available): boolean {
    const resource = available.get(name);
    const sent = this.sent.get(name);
    const owed = this.#owed.has(name);
    if (resource !== undefined) {
      if (!this.wants(name)) return false;
      if (sent?.version !== resource.version || owed) return true;
      this.sent.set(name, resource);
      return false;
    }
    // "for other resource types, the API provides no mechanism for the server to tell the client that resources have been deleted"
    if (this.incremental || isFullSet(this.type)) {
      return sent !== undefined || owed || (this.names.has(name) && !this.absent.has(name));
    }
    this.sent.delete(name);
    return false;
  }

  #settle(name: string): void {
    this.#due.delete(name);
    this.#owed.delete(name);
    this.#dropped.delete(name);
  }

  #letGo(name: string): void {
    const sent = this.sent.get(name);
    if (sent !== undefined && this.isOutstanding && this.#carried.has(name)) this.#passing.set(name, sent);
    else if (!this.#passing.has(name)) this.held.drop(name);
    this.sent.delete(name);
    this.refused.delete(name);
    this.#settle(name);
  }

  #spread(available: Available): void {
    if (!this.#allDue) return;
    this.#allDue = false;
    for (const { name } of available.values()) this.#due.add(name);
    for (const name of this.sent.keys()) this.#due.add(name);
  }
}
