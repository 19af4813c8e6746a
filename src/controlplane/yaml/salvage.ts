import * as v from 'valibot';
import type { Path, Report } from './problem.js';

/** Fields that are taken out, one round after the other, before a resource is given up. */
const MAX_ROUNDS = 16;

/** What of a resource can be read in spite of its mistakes. */
export interface Salvaged {
  readonly output: unknown;
  /** Fields that were taken out. */
  readonly removed: readonly Path[];
}

/**
 * Takes out what the schema refuses, until it accepts the rest: so that of a resource with a mistake the references can be looked at, too. An entry of a
 * list is never taken out alone, which would move those behind it. Undefined when nothing useful is left, or it is not sure whose it is.
 */
export function salvage(schema: v.GenericSchema, value: unknown, unknown: readonly Path[]): Salvaged | undefined {
  const rest: unknown = structuredClone(value);
  const removed: Path[] = [];
  const remove = (at: Path): boolean => {
    const path = withoutIndex(at);
    // Without its name, its namespace or its spec a resource says nothing.
    if (path.length < 2 || path[0] === 'metadata') return false;
    removed.push(path);
    return removeAt(rest, path);
  };
  for (const path of unknown) if (!remove(path)) return undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const result = v.safeParse(schema, rest);
    if (result.success) return { output: result.output, removed };
    for (const issue of result.issues) {
      const path: Path = (issue.path ?? []).map((step) => step.key as string | number);
      const missing = issue.input === undefined;
      // Its own place may be gone already, with that of another mistake around it.
      if (!remove(missing ? path.slice(0, -1) : path) && path.length < 3) return undefined;
    }
  }
  return undefined;
}

/** Steps to an entry: `spec.limits[0]`, `spec.experiment.guards`. */
const ENTRY_STEPS = 3;

/** Reports what stands apart from fields that were taken out: of what is in one entry with these, or around them, nothing is sure. */
export function apartFrom(removed: readonly Path[], report: Report): Report {
  const concerns = (path: Path, gone: Path): boolean =>
    gone.length < ENTRY_STEPS || isPrefix(path, gone) || isPrefix(gone.slice(0, ENTRY_STEPS), path);
  return (path, message, hints) => {
    if (!removed.some((gone) => concerns(path, gone))) report(path, message, hints);
  };
}

const isPrefix = (prefix: Path, path: Path): boolean => prefix.every((step, index) => path[index] === step);

function withoutIndex(path: Path): Path {
  let end = path.length;
  while (typeof path[end - 1] === 'number') end -= 1;
  return path.slice(0, end);
}

function removeAt(root: unknown, path: Path): boolean {
  let container = root;
  for (const step of path.slice(0, -1)) container = (container as Record<string, unknown> | undefined)?.[String(step)];
  const last = path[path.length - 1];
  if (typeof container !== 'object' || container === null || last === undefined) return false;
  return Reflect.deleteProperty(container, last);
}
