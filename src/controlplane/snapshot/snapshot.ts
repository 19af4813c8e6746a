import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { RESOURCE_TYPES, type Resource, type ResourceSet, type ResourceType } from '../../core/resources.js';
import { type Inconsistency, InconsistentSetError, inconsistencies } from './consistency.js';

/** One resource as it is served. The object is the same in the next snapshot when its content is. */
export interface SnapshotResource {
  readonly name: string;
  /** Hash of `bytes`: the same content has the same version in every process and after every restart. */
  readonly version: string;
  readonly resource: Resource;
  readonly bytes: Uint8Array;
}

/** All resources of one type. */
export interface TypeSnapshot {
  /** Hash of all names and versions; what `version_info` says. */
  readonly version: string;
  readonly resources: ReadonlyMap<string, SnapshotResource>;
}

/** What is served to everybody at one moment: immutable, consistent, encoded. */
export interface Snapshot {
  /** Hash over the versions of all types. */
  readonly version: string;
  readonly types: Readonly<Record<ResourceType, TypeSnapshot>>;
}

/** Must give the same bytes for the same content. Throws when the resource does not fit its type. */
export type EncodeResource = (type: ResourceType, resource: Resource) => Uint8Array;

/** 64 bits of SHA-256: by the birthday bound, a million versions collide with a chance of 3 in 100 million. */
const VERSION_DIGITS = 16;

/** A version from its parts. Parts are separated by a byte that no name and no hash contains. */
export function versionOf(parts: Iterable<string | Uint8Array>): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, VERSION_DIGITS);
}

/**
 * Encodes a set, so that a resource that cannot be encoded is refused here and not while it is being pushed. What has not changed
 * since `previous` is taken over from there. Throws InconsistentSetError.
 */
export function buildSnapshot(set: ResourceSet, encode: EncodeResource, previous?: Snapshot): Snapshot {
  const problems: Inconsistency[] = inconsistencies(set);
  const built = RESOURCE_TYPES.map(
    (type) => [type, buildType(type, set, encode, previous?.types[type], problems)] as const,
  );
  if (problems.length > 0) throw new InconsistentSetError(problems);
  const types = Object.fromEntries(built) as Record<ResourceType, TypeSnapshot>;
  return Object.freeze({ version: versionOf(built.map(([, { version }]) => version)), types: Object.freeze(types) });
}

function buildType(
  type: ResourceType,
  set: ResourceSet,
  encode: EncodeResource,
  previous: TypeSnapshot | undefined,
  problems: Inconsistency[],
): TypeSnapshot {
  const resources = new Map<string, SnapshotResource>();
  for (const [name, resource] of set[type]) {
    const before = previous?.resources.get(name);
    if (before !== undefined && (before.resource === resource || isDeepStrictEqual(before.resource, resource))) {
      resources.set(name, before);
      continue;
    }
    try {
      const bytes = encode(type, resource);
      resources.set(name, Object.freeze({ name, version: versionOf([bytes]), resource, bytes }));
    } catch (error) {
      problems.push({
        type,
        name,
        message: `cannot be encoded: ${error instanceof Error ? error.message : String(error)}`,
      });
    }
  }
  return Object.freeze({ version: versionOfAll(resources.values()), resources });
}

/** Does not depend on the order: the same resources have the same version however they were listed. */
export function versionOfAll(resources: Iterable<SnapshotResource>): string {
  const lines = Array.from(resources, ({ name, version }) => `${name}\0${version}`);
  return versionOf(lines.sort());
}
