import { knownKeys, number, record } from '../../core/decode.js';

export interface AdsServerLimits {
  /** Streams open at once; one more is refused with RESOURCE_EXHAUSTED. Default 1_000. */
  readonly maxStreams: number;
  /** Names that one client may ask for, of each type. Default 10_000. */
  readonly maxNames: number;
  /** How long removed clusters are kept for a client that was sent the new routes and has not taken them up, in milliseconds.
   * Default 15_000: as long as a client waits for a resource it has asked for (gRFC A57). */
  readonly holdMs: number;
  /** How long changed routes wait for a client to ask for the endpoints of new clusters, in milliseconds. Default 5_000. */
  readonly warmingMs: number;
  /** How long `close` waits for clients to go, in milliseconds. Default 5_000. */
  readonly drainMs: number;
}

export const DEFAULT_LIMITS: AdsServerLimits = {
  maxStreams: 1_000,
  maxNames: 10_000,
  holdMs: 15_000,
  warmingMs: 5_000,
  drainMs: 5_000,
};

/** Counts are bounded by what one process can hold, waits by an hour. */
const RANGES: Readonly<Record<keyof AdsServerLimits, readonly [number, number]>> = {
  maxStreams: [1, 100_000],
  maxNames: [1, 1_000_000],
  holdMs: [0, 3_600_000],
  warmingMs: [0, 3_600_000],
  drainMs: [0, 3_600_000],
};

/** Limits as a program gives them, with defaults for those that are left out. */
export function parseLimits(value: unknown, path: string): AdsServerLimits {
  const given = record(value ?? {}, path);
  const names = Object.keys(RANGES) as (keyof AdsServerLimits)[];
  knownKeys(given, path, names);
  const entries = names.map((name) => [
    name,
    number(given[name] ?? DEFAULT_LIMITS[name], `${path}.${name}`, ...RANGES[name]),
  ]);
  return Object.fromEntries(entries) as Record<keyof AdsServerLimits, number>;
}
