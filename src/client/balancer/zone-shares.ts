/** How one client's calls go to zones. */
export interface ZoneShares {
  /** The client's own zone. */
  readonly name: string;
  /** Share of calls that stay in it, in [0, 1]. */
  readonly own: number;
  /** Room to spare in the other zones: the rest of the calls goes there in proportion. Never empty. */
  readonly residual: ReadonlyMap<string, number>;
}

/**
 * Envoy's zone-aware routing. A zone with a larger share of the endpoints than of the callers takes all calls of its own callers and has room to
 * spare; one with a smaller share takes as many as are its due. So every endpoint gets the same load, and as little as possible crosses zones.
 *
 * @param upstream usable endpoints by zone; at least two zones.
 * @param local callers by zone; undefined, when nobody says, counts as the same number in each zone that has endpoints or this caller.
 * @param forceLocal from so many own endpoints on, all calls stay (`force_local_zone.min_size`).
 * @returns undefined when zones cannot be weighed against each other: all are alike then.
 */
export function zoneShares(
  own: string,
  upstream: ReadonlyMap<string, number>,
  local: ReadonlyMap<string, number> | undefined,
  forceLocal: number | undefined,
): ZoneShares | undefined {
  const callers = local ?? new Map([...new Set([...upstream.keys(), own])].map((zone) => [zone, 1]));
  const forced = forceLocal !== undefined && (upstream.get(own) ?? 0) >= Math.max(1, forceLocal);
  // "Do not perform locality routing if there are too few local localities", or if they do not know this caller's - Envoy.
  if (!forced && (callers.size < 2 || (callers.get(own) ?? 0) === 0)) return undefined;
  const allCallers = sum(callers);
  const allEndpoints = sum(upstream);
  const callerShare = (zone: string): number => (allCallers === 0 ? 0 : (callers.get(zone) ?? 0) / allCallers);
  const endpointShare = (zone: string): number => (upstream.get(zone) ?? 0) / allEndpoints;

  const others = [...upstream.keys()].filter((zone) => zone !== own);
  const spare = others
    .map((zone) => [zone, endpointShare(zone) - callerShare(zone)] as const)
    .filter(([, room]) => room > 0);
  // Nobody has room, by rounding: "In this case just select random locality" - Envoy.
  const residual = new Map(spare.length > 0 ? spare : others.map((zone) => [zone, 1]));
  const due = callerShare(own) > 0 ? endpointShare(own) / callerShare(own) : 0;
  return { name: own, own: forced ? 1 : Math.min(1, due), residual };
}

const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((total, n) => total + n, 0);
