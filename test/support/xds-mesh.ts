import type { ConfigSource } from '../../src/core/config-source.js';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import type { ResourceCache } from '../../src/xds/resource-cache.js';
import { xdsConfigSource } from '../../src/xds/source.js';
import { FakeClock } from './fake-clock.js';

/** A ConfigSource on `cache`, with time and name resolution in the test's hands. Listeners are called as the authority is. */
export function sourceOn(cache: ResourceCache): {
  readonly source: ConfigSource;
  readonly clock: FakeClock;
  /** Addresses by host name; a name that is missing cannot be resolved. */
  readonly names: Map<string, readonly string[]>;
} {
  const clock = new FakeClock();
  const names = new Map<string, readonly string[]>();
  const resolve = async (host: string): Promise<readonly string[]> => {
    const found = names.get(host);
    if (found === undefined) throw new Error(`ENOTFOUND ${host}`);
    return found;
  };
  const source = xdsConfigSource({
    cache,
    listenerName: (authority) => authority,
    dns: { resolve, clock, random: seededRandom(1), logger: silentLogger },
    logger: silentLogger,
    ready: async () => {},
    close: async () => {},
  });
  return { source, clock, names };
}
