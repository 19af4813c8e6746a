import type { MeshError } from '../../core/errors.js';
import type { IdentitySource, IdentityState } from '../../core/identity.js';
import { sourceOf, Watchers } from '../watchers.js';

/** An identity that is handed over: for tests, and for those who have a source of their own. */
export interface MemoryIdentity extends IdentitySource {
  /** Replaces what was known. */
  set(state: IdentityState): void;
  /** Tells of trouble; what was known stands. */
  fail(error: MeshError): void;
}

/** `initial`: undefined until there is a first one. */
export function memoryIdentity(initial?: IdentityState, name = 'memory'): MemoryIdentity {
  const watchers = new Watchers(name);
  if (initial !== undefined) watchers.changed(initial);
  const source = sourceOf(watchers);
  return Object.defineProperties(
    { set: (state: IdentityState) => watchers.changed(state), fail: (error: MeshError) => watchers.failed(error) },
    Object.getOwnPropertyDescriptors(source),
  ) as MemoryIdentity;
}
