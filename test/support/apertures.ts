import { Aperture, type ApertureEnv, type ApertureRule } from '../../src/client/endpoints/aperture.js';
import type { Endpoint } from '../../src/client/endpoints/endpoint.js';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import { hash64 } from './balancing.js';

/** What a client uses of one list of endpoints after the other, as if each list had come by an update. */
export function aperture(
  rule: Omit<ApertureRule, 'name'>,
  env: Partial<ApertureEnv> & { readonly client?: number } = {},
) {
  const { client = 1, ...more } = env;
  const made = new Aperture({ random: seededRandom(client), hash64, logger: silentLogger, ...more });
  let before: readonly Endpoint[] = [];
  return (endpoints: readonly Endpoint[]): readonly Endpoint[] => {
    const removed = before.filter((endpoint) => !endpoints.includes(endpoint));
    made.update({ name: 'reviews', ...rule }, endpoints, { changed: [], removed, priorities: new Set([0]) });
    before = endpoints;
    return made.used;
  };
}
