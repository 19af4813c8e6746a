import { RESOURCE_TYPES, type ResourceSet, type ResourceType } from '../../core/resources.js';
import { type Reference, referencesOf, resourceName } from './references.js';

/** One thing that keeps a set from being served. */
export interface Inconsistency {
  readonly type: ResourceType;
  readonly name: string;
  readonly message: string;
}

/** So many are listed in the message; all of them are in `problems`. */
const LISTED = 10;

/** `Cluster`, from the last part of its type URL: how people call a type. */
export const shortType = (type: string): string => type.slice(type.lastIndexOf('.') + 1);

/** A resource set that no client could apply as a whole. The one that was served before goes on being served. */
export class InconsistentSetError extends Error {
  override readonly name = 'InconsistentSetError';
  /** One line for every problem. */
  readonly lines: readonly string[];
  constructor(readonly problems: readonly Inconsistency[]) {
    const lines = problems.map(({ type, name, message }) => `${shortType(type)} "${name}": ${message}`);
    const rest = lines.length - LISTED;
    super(
      `the resources do not fit together: ${lines.slice(0, LISTED).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`,
    );
    this.lines = lines;
  }
}

/**
 * What is wrong between the resources of a set: a key that is not the resource's own name, or a name that is mentioned and not there
 * (go-control-plane's `Snapshot.Consistent`, which looks at counts of EDS and RDS names only; ours follows every reference).
 */
export function inconsistencies(set: ResourceSet): Inconsistency[] {
  const problems: Inconsistency[] = [];
  for (const type of RESOURCE_TYPES) {
    for (const [name, resource] of set[type]) {
      const own = resourceName(type, resource);
      if (name === '' || own !== name)
        problems.push({ type, name, message: `is listed under this name, and calls itself "${own}"` });
      for (const reference of referencesOf(type, resource)) {
        if (!set[reference.type].has(reference.name)) problems.push({ type, name, message: dangling(reference) });
      }
    }
  }
  return problems;
}

const dangling = ({ type, name, path }: Reference): string =>
  `${path} names ${shortType(type)} "${name}", which does not exist: add it or remove the reference`;
