import { RESOURCE_TYPES, type ResourceType } from '../../core/resources.js';
import type { Snapshot, TypeSnapshot } from '../snapshot/snapshot.js';

/** What of one type is another in a later snapshot. */
export interface TypeChanges {
  /** Names of what is new or has another content. */
  readonly changed: readonly string[];
  /** Names of what is gone. */
  readonly removed: readonly string[];
}

export type Changes = Readonly<Record<ResourceType, TypeChanges>>;

const NONE: TypeChanges = { changed: [], removed: [] };

/** By the later snapshot, then by the earlier one: nearly all clients go from the same one to the same one. */
const found = new WeakMap<Snapshot, WeakMap<Snapshot, Changes>>();

/**
 * What a client that was served `from` has to look at again under `to`. Found once for all clients, so that an update costs each of
 * them what changed, and not what exists.
 */
export function changesBetween(from: Snapshot, to: Snapshot): Changes {
  let byEarlier = found.get(to);
  if (byEarlier === undefined) {
    byEarlier = new WeakMap();
    found.set(to, byEarlier);
  }
  let changes = byEarlier.get(from);
  if (changes === undefined) {
    const entries = RESOURCE_TYPES.map((type) => [type, changesOf(from.types[type], to.types[type])] as const);
    changes = Object.fromEntries(entries) as Record<ResourceType, TypeChanges>;
    byEarlier.set(from, changes);
  }
  return changes;
}

function changesOf(before: TypeSnapshot, after: TypeSnapshot): TypeChanges {
  if (before.version === after.version) return NONE;
  const changed: string[] = [];
  for (const { name, version } of after.resources.values()) {
    if (before.resources.get(name)?.version !== version) changed.push(name);
  }
  const removed = [...before.resources.keys()].filter((name) => !after.resources.has(name));
  return { changed, removed };
}
