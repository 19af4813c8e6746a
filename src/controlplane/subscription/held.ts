import { type SnapshotResource, type TypeSnapshot, versionOf } from '../snapshot/snapshot.js';

/** What there is of one type for one client. */
export interface Available {
  /** Hash of it all. */
  readonly version: string;
  get(name: string): SnapshotResource | undefined;
  values(): Iterable<SnapshotResource>;
}

interface Held {
  readonly resource: SnapshotResource;
  /** Monotonic milliseconds after which the client no longer gets it; undefined while the new routes are still on their way. */
  until: number | undefined;
}

/**
 * What the configuration no longer has and one client may still use. It stays in what that client is served until it has what takes its
 * place ("Stale CDS clusters and related EDS endpoints (ones no longer being referenced) can then be removed" - xds_protocol, make
 * before break). One for each type of a stream.
 */
export class HeldResources {
  readonly #held = new Map<string, Held>();

  get size(): number {
    return this.#held.size;
  }

  /** Keeps `resource` as the client has it. */
  hold(resource: SnapshotResource): void {
    this.#held.set(resource.name, { resource, until: undefined });
  }

  drop(name: string): void {
    this.#held.delete(name);
  }

  /** What the client is to be served: `target` and everything that is held, under a version of its own. */
  over(target: TypeSnapshot): Available {
    const { resources } = target;
    if (this.#held.size === 0) {
      return { version: target.version, get: (name) => resources.get(name), values: () => resources.values() };
    }
    const held = this.#held;
    return {
      get version() {
        const all = [...held.values()].map(({ resource }) => resource).sort((a, b) => (a.name < b.name ? -1 : 1));
        return versionOf([target.version, ...all.flatMap(({ name, version }) => [name, version])]);
      },
      get: (name) => resources.get(name) ?? held.get(name)?.resource,
      *values() {
        yield* resources.values();
        for (const { resource } of held.values()) yield resource;
      },
    };
  }

  /** Drops what `stillNeeded` does not claim; says what that was. */
  release(stillNeeded: (name: string) => boolean): readonly string[] {
    return this.#dropAll((name) => !stillNeeded(name));
  }

  /** All that is new has been sent: from now on nothing is kept for longer than `holdMs`. */
  startBound(now: number, holdMs: number): void {
    for (const held of this.#held.values()) held.until ??= now + holdMs;
  }

  /** Drops what has been kept for long enough; says what that was. */
  expire(now: number): readonly string[] {
    return this.#dropAll((_name, { until }) => until !== undefined && until <= now);
  }

  /** When the next one expires; undefined when none will. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const { until } of this.#held.values()) {
      if (until !== undefined && (next === undefined || until < next)) next = until;
    }
    return next;
  }

  #dropAll(goes: (name: string, held: Held) => boolean): readonly string[] {
    const dropped: string[] = [];
    for (const [name, held] of this.#held) {
      if (!goes(name, held)) continue;
      this.#held.delete(name);
      dropped.push(name);
    }
    return dropped;
  }
}
