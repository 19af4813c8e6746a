import { MeshClosedError } from '../core/errors.js';
import type { IdentitySource } from '../core/identity.js';

interface Shared {
  readonly source: Promise<IdentitySource>;
  users: number;
}

/** One for both builds of the library, that of `import` and that of `require`. */
const REGISTRY = Symbol.for('inmesh.identity-sources');
const holder = globalThis as { [REGISTRY]?: Map<string, Shared> };
holder[REGISTRY] ??= new Map();
const registry = holder[REGISTRY];

/**
 * A source that the meshes of a process have in common: that of the preload and the application's own are one workload, and a join token is good once. Closed with the
 * last of them.
 */
export async function sharedSource(key: string, make: () => Promise<IdentitySource>): Promise<IdentitySource> {
  const shared = registry.get(key) ?? { source: make(), users: 0 };
  registry.set(key, shared);
  shared.users++;
  const leave = (): boolean => {
    shared.users--;
    if (shared.users > 0) return false;
    if (registry.get(key) === shared) registry.delete(key);
    return true;
  };
  let source: IdentitySource;
  try {
    source = await shared.source;
  } catch (error) {
    // Whoever tries again makes it anew.
    if (registry.get(key) === shared) registry.delete(key);
    leave();
    throw error;
  }
  let closed: Promise<void> | undefined;
  const stops = new Set<() => void>();
  return {
    name: source.name,
    get current() {
      return source.current;
    },
    watch(watcher) {
      if (closed !== undefined) throw new MeshClosedError();
      const stop = source.watch(watcher);
      stops.add(stop);
      return () => {
        stops.delete(stop);
        stop();
      };
    },
    close() {
      for (const stop of stops) stop();
      stops.clear();
      closed ??= leave() ? source.close() : Promise.resolve();
      return closed;
    },
  };
}
