import type { Hash64 } from '../balancer/hash.js';
import type { Choose } from './aperture.js';
import type { Endpoint } from './endpoint.js';

export interface Peer {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** Shares of an endpoint below this are errors of rounding. */
const EPSILON = 1e-9;

/**
 * Finagle's deterministic aperture: endpoints and clients are spread evenly on the same ring, and each client uses the endpoints of its own
 * arc. Arcs are as wide as it takes for `floor` endpoints, rounded up to whole client units, so that all arcs together cover the ring the same
 * number of times everywhere: each endpoint has the same load. One that an end of the arc cuts through counts for the part inside.
 */
export function deterministicAperture(floor: number, peer: Peer, hash64: Hash64): Choose {
  return (endpoints) => {
    const count = endpoints.length;
    if (floor >= count) return { endpoints, shares: endpoints.map(() => 1) };
    const order = ringOrder(endpoints, hash64);
    const { from, width } = arcOf(peer, floor, count);
    const shares = new Map<number, number>();
    for (let at = Math.floor(from); at < from + width; at++) {
      const share = Math.min(at + 1, from + width) - Math.max(at, from);
      if (share < EPSILON) continue;
      const position = order[at % count] as number;
      shares.set(position, (shares.get(position) ?? 0) + share);
    }
    const positions = [...shares.keys()];
    return {
      endpoints: positions.map((position) => endpoints[position] as Endpoint),
      shares: positions.map((position) => shares.get(position) as number),
    };
  };
}

/** Where the client's arc begins and how wide it is, in endpoints. */
function arcOf({ index, count: clients }: Peer, floor: number, count: number): { from: number; width: number } {
  // "ceil(clients*aperture/servers) = N", the times that the ring is gone around - Finagle; less what rounding adds to a whole number.
  const units = Math.ceil((clients * floor) / count - EPSILON);
  return { from: ((index % clients) / clients) * count, width: Math.min(count, (units * count) / clients) };
}

/** Positions in an order that all clients agree on and that follows no rack or zone: by hash of the address (Finagle orders by hash, too). */
function ringOrder(endpoints: readonly Endpoint[], hash64: Hash64): readonly number[] {
  const ranks = endpoints.map(({ key }) => Number(hash64(key) >> 11n));
  return endpoints.map((_, i) => i).sort((a, b) => (ranks[a] as number) - (ranks[b] as number));
}
