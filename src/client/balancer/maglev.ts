import type { BalancerConfig } from '../../core/model/cluster.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { highWord, lowWord, requireHash64 } from './hash.js';
import { HashedList } from './hash-key.js';
import { type MaglevTable, maglevTable, slotOf } from './maglev-table.js';
import type { BalancerEnv, Policy } from './policy.js';

export type MaglevConfig = Extract<BalancerConfig, { kind: 'maglev' }>;

const WORD = 2 ** 32;
/** Other slots looked at for a call whose endpoint was tried, before any other endpoint will do. */
const REHASHES = 8;

/**
 * Calls of one hash go to one endpoint, by one look into a table: Envoy's Maglev. Spreads better than a ring and picks in constant time; moves a
 * few more hashes than a ring when endpoints come or go. To fill it anew at each change costs about 10 ms for the default 65,537 slots, and one or two
 * seconds for the 5,000,011 that Envoy allows.
 */
export function maglev(config: MaglevConfig, env: BalancerEnv): Policy {
  const hash64 = requireHash64(env, 'maglev');
  const { tableSize, useHostname } = config;
  const hashed = new HashedList();
  let endpoints: readonly Endpoint[] = [];
  let table: MaglevTable = new Uint16Array(0);
  const at = (high: number, low: number): Endpoint =>
    endpoints[table[slotOf(high, low, tableSize)] as number] as Endpoint;
  return {
    update(list, weights) {
      endpoints = list;
      if (!hashed.update(list, weights, useHostname)) return;
      table = list.length === 0 ? new Uint16Array(0) : maglevTable(hashed.keys, weights, tableSize, hash64);
    },
    pick({ hash, tried }) {
      if (endpoints.length === 0) return undefined;
      const high = hash === undefined ? env.random.int(WORD) : highWord(hash);
      const low = hash === undefined ? env.random.int(WORD) : lowWord(hash);
      const first = at(high, low);
      const others = tried !== undefined && tried.length > 0;
      if (first.reach !== 'unreachable' && !(others && tried.includes(first.key))) return first;
      // "mutate the hash to choose an alternate host": its bits turned over, a little differently each time - Envoy.
      for (let attempt = 1; attempt <= REHASHES; attempt++) {
        const endpoint = at(~high >>> 0, (low ^ -attempt) >>> 0);
        if (endpoint.reach !== 'unreachable' && !(others && tried.includes(endpoint.key))) return endpoint;
      }
      return (others ? endpoints.find(({ key }) => !tried.includes(key)) : undefined) ?? first;
    },
  };
}
