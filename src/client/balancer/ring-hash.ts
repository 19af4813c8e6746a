import { headerValue } from '../../core/headers.js';
import type { BalancerConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { BoundedLoad } from './bounded-load.js';
import { highWord, lowWord, requireHash64 } from './hash.js';
import { HashedList } from './hash-key.js';
import type { BalancerEnv, PickRequest, Policy } from './policy.js';
import { type Ring, RingBuilder } from './ring.js';

export type RingHashConfig = Extract<BalancerConfig, { kind: 'ring_hash' }>;

const WORD = 2 ** 32;
/** "The default cap is 4096" - gRFC A42: a larger ring costs memory and, at each change, time. */
export const DEFAULT_RING_SIZE_CAP = 4_096;

/**
 * Calls of one hash go to one endpoint, and when endpoints come or go few hashes move: the ring of Envoy and gRPC (A42, A76), entry by entry, so
 * that clients of either kind agree. A pick is a binary search; from there on around the ring past endpoints that were tried or cannot be reached.
 */
export function ringHash(config: RingHashConfig, env: BalancerEnv): Policy {
  const hash64 = requireHash64(env, 'ring_hash');
  const cap = env.ringSizeCap ?? DEFAULT_RING_SIZE_CAP;
  // "If either of these values are greater than the client-side cap, they will be treated as the client-side cap." - gRFC A42
  const size = { minSize: Math.min(config.minSize, cap), maxSize: Math.min(config.maxSize, cap) };
  const builder = new RingBuilder(size, hash64);
  const { requestHashHeader } = config;
  const bounded = config.balanceFactor === undefined ? undefined : new BoundedLoad(config.balanceFactor, env);
  const hashed = new HashedList();
  let endpoints: readonly Endpoint[] = [];
  let ring: Ring | undefined;
  /** The last endpoint not yet connected that was connected to for a call with a random hash. */
  let connecting: Endpoint | undefined;

  const ownerAt = (ring: Ring, entry: number): Endpoint => endpoints[ring.owners[entry] as number] as Endpoint;

  /** The first that is not tried and can be reached, else the first not tried, else the first. */
  const walk = (ring: Ring, from: number, tried: readonly string[] | undefined): Endpoint => {
    const first = ownerAt(ring, from);
    if (first.reach !== 'unreachable' && tried?.includes(first.key) !== true) return first;
    let untried: Endpoint | undefined;
    for (let i = 0; i < ring.size; i++) {
      const endpoint = ownerAt(ring, (from + i) % ring.size);
      if (tried?.includes(endpoint.key) === true) continue;
      if (endpoint.reach !== 'unreachable') return endpoint;
      untried ??= endpoint;
    }
    // A light endpoint beside heavy ones may have no entry at all.
    return untried ?? endpoints.find(({ key }) => tried?.includes(key) !== true) ?? first;
  };

  /**
   * "it will walk the ring from this hash, and pick the first READY endpoint", and connect to "at most one endpoint that is in IDLE state along the
   * way", if none is connecting - gRFC A76. Where nobody is READY the call goes to the one that is connected to.
   */
  const walkAtRandom = (ring: Ring, from: number, tried: readonly string[] | undefined): Endpoint => {
    const busy = isConnecting(connecting) ? connecting : undefined;
    let idle: Endpoint | undefined;
    for (let i = 0; i < ring.size; i++) {
      const endpoint = ownerAt(ring, (from + i) % ring.size);
      if (tried?.includes(endpoint.key) === true || endpoint.reach === 'unreachable') continue;
      if (endpoint.reach !== 'reached') {
        idle ??= endpoint;
        continue;
      }
      if (idle !== undefined && busy === undefined) {
        connecting = idle;
        void idle.look(env.clock);
      }
      return endpoint;
    }
    if (busy !== undefined && tried?.includes(busy.key) !== true) return busy;
    if (idle !== undefined) connecting = idle;
    return idle ?? walk(ring, from, tried);
  };

  const hashOf = ({ hash, headers }: PickRequest): bigint | undefined => {
    if (requestHashHeader === undefined) return hash;
    const value = headers === undefined ? undefined : headerValue(headers, requestHashHeader);
    return value === undefined || value === '' ? undefined : hash64(value);
  };

  return {
    update(list, weights) {
      endpoints = list;
      if (connecting !== undefined && !list.includes(connecting)) connecting = undefined;
      bounded?.update(list, weights);
      if (!hashed.update(list, weights, config.useHostname)) return;
      ring = list.length === 0 ? undefined : builder.build(hashed.keys, weights);
    },
    pick(request) {
      if (ring === undefined) return undefined;
      const hash = hashOf(request);
      const high = hash === undefined ? env.random.int(WORD) : highWord(hash);
      const low = hash === undefined ? env.random.int(WORD) : lowWord(hash);
      const from = (ring.find(high, low) + (request.draw ?? 0)) % ring.size;
      const chosen =
        hash === undefined && requestHashHeader !== undefined
          ? walkAtRandom(ring, from, request.tried)
          : walk(ring, from, request.tried);
      return bounded === undefined ? chosen : bounded.pass(chosen, high, low, request.tried);
    },
  };
}

const isConnecting = (endpoint: Endpoint | undefined): boolean =>
  endpoint?.reach === 'untried' && (endpoint.looking !== undefined || endpoint.inflight > 0);
