import type { Logger } from '../../core/log.js';
import type { ApertureConfig, SubsetConfig } from '../../core/model/balancer.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { HealthStatus } from '../../core/model/endpoint.js';
import type { Random } from '../../core/random.js';
import { type Hash64, requireHash64 } from '../balancer/hash.js';
import { localityKey } from '../balancer/locality.js';
import { deterministicAperture } from './deterministic-aperture.js';
import type { Endpoint } from './endpoint.js';
import type { MembersChange } from './members.js';
import { drawSeed, randomSubsetting } from './random-subsetting.js';

/** Some of the endpoints, and how much of each: 1, or less where an end of an arc cuts through it. */
export interface Part {
  readonly endpoints: readonly Endpoint[];
  readonly shares: readonly number[];
}

export type Choose = (endpoints: readonly Endpoint[]) => Part;

export interface ApertureEnv {
  readonly random: Random;
  readonly hash64?: Hash64 | undefined;
  /** This client's place among its peers, when the configuration does not give it. */
  readonly peer?: { readonly index: number; readonly count: number } | undefined;
  readonly logger: Pick<Logger, 'error'>;
  /** The same for the client's life, another for each client. Undefined: drawn. */
  readonly seed?: bigint | undefined;
}

export type ApertureRule = Pick<ClusterConfig, 'name' | 'aperture' | 'subsets'>;

/** What an update has changed about those that this client uses. */
export interface Turnover {
  /** New among them, or configured otherwise than before. */
  readonly changed: readonly Endpoint[];
  /** Configured still, and among them no more. */
  readonly left: readonly Endpoint[];
  /** Priorities that any of them is of, or was. */
  readonly priorities: ReadonlySet<number>;
}

/**
 * Which of a cluster's endpoints this client uses, so that connections do not grow as clients × endpoints. Chosen before anything connects, as in gRPC,
 * where the policies below a subset know no others (gRFC A68): levels, health watches, active checks, connections wanted ahead all see these only. Chosen
 * by what is configured, and nothing else: one that fails moves no client to another.
 *
 * So many of each priority; of those that the control plane calls unhealthy, degraded, or draining beside the others, as they are used when there are no
 * others; and of each combination of the labels that calls may ask for, else one that few endpoints have would be in few clients' subsets.
 */
export class Aperture {
  #used: readonly Endpoint[] = [];
  /** Of the rule that they were chosen by; undefined: all are used. */
  #key: string | undefined;
  #choose: Choose | undefined;
  #seed: bigint | undefined;

  constructor(private readonly env: ApertureEnv) {
    this.#seed = env.seed;
  }

  get used(): readonly Endpoint[] {
    return this.#used;
  }

  /** `change`: what is new about `all`. Undefined: nothing is new about those that are used. */
  update(rule: ApertureRule, all: readonly Endpoint[], change: MembersChange | undefined): Turnover | undefined {
    const names = labelNames(rule.subsets);
    const key = rule.aperture && JSON.stringify([rule.aperture, names]);
    if (key === this.#key) {
      if (change === undefined) return undefined;
      if (key === undefined) {
        this.#used = all;
        return { changed: change.changed, left: [], priorities: change.priorities };
      }
    } else {
      this.#choose = rule.aperture && this.#chooser(rule.name, rule.aperture);
      this.#key = key;
    }
    return this.#turnOver(all, names, change);
  }

  #turnOver(all: readonly Endpoint[], names: readonly string[], change: MembersChange | undefined): Turnover {
    const before = new Set(this.#used);
    for (const endpoint of all) endpoint.sample = undefined;
    if (this.#choose === undefined) this.#used = all;
    else {
      sample(all, names, this.#choose);
      this.#used = all.filter(({ sample }) => sample !== undefined);
    }
    const now = new Set(this.#used);
    for (const endpoint of all) if (!now.has(endpoint)) endpoint.weight = 0;
    const configured = new Set(change?.changed);
    const gone = new Set(change?.removed);
    return {
      changed: this.#used.filter((endpoint) => !before.has(endpoint) || configured.has(endpoint)),
      left: [...before].filter((endpoint) => !now.has(endpoint) && !gone.has(endpoint)),
      priorities: new Set([...(change?.priorities ?? []), ...all.map(({ config }) => config.priority)]),
    };
  }

  /** Undefined when what it needs is not there, which is told of: calls go on, to all endpoints. */
  #chooser(cluster: string, config: ApertureConfig): Choose | undefined {
    const { env } = this;
    try {
      const hash64 = requireHash64(env, config.kind);
      const random = (size: number): Choose => {
        this.#seed ??= drawSeed(env.random);
        return randomSubsetting(size, this.#seed, hash64);
      };
      if (config.kind === 'random_subsetting') return random(config.size);
      const peer = config.peer ?? env.peer;
      return peer === undefined ? random(config.floor) : deterministicAperture(config.floor, peer, hash64);
    } catch (error) {
      env.logger.error(`cluster "${cluster}": its subset cannot be chosen; all endpoints are used`, {
        error: String(error),
      });
      return undefined;
    }
  }
}

/** How many endpoints these are, or stand for. */
export function standingFor(endpoints: readonly Endpoint[]): number {
  if (endpoints.every(({ sample }) => sample === undefined)) return endpoints.length;
  const sum = endpoints.reduce((total, { sample }) => total + (sample?.count ?? 1), 0);
  // Parts of endpoints add up to whole ones but for what rounding does to them.
  return Math.round(sum * 1e6) / 1e6;
}

/** Chooses of each kind of endpoints by itself, and writes what those chosen stand for. */
function sample(all: readonly Endpoint[], names: readonly string[], choose: Choose): void {
  const kinds = grouped(all, ({ config: { priority, health, labels } }) =>
    JSON.stringify([
      priority,
      KINDS[health],
      ...names.map((name) => (Object.hasOwn(labels, name) ? labels[name] : null)),
    ]),
  );
  const counts = new Map<Endpoint, number>();
  for (const kind of kinds.values()) {
    const { endpoints, shares } = choose(kind);
    const total = shares.reduce((sum, share) => sum + share, 0);
    for (const [i, endpoint] of endpoints.entries())
      counts.set(endpoint, ((shares[i] as number) * kind.length) / total);
  }
  const places = grouped(all, ({ config }) => `${config.priority}/${localityKey(config.locality)}`);
  for (const endpoints of places.values()) {
    let there = 0;
    let chosen = 0;
    for (const endpoint of endpoints) {
      there += endpoint.config.weight;
      chosen += endpoint.config.weight * (counts.get(endpoint) ?? 0);
    }
    const place = chosen / there;
    for (const endpoint of endpoints) {
      const count = counts.get(endpoint);
      if (count !== undefined) endpoint.sample = { count, place };
    }
  }
}

const KINDS: Readonly<Record<HealthStatus, string>> = {
  unknown: 'usable',
  healthy: 'usable',
  degraded: 'degraded',
  unhealthy: 'unhealthy',
  draining: 'draining',
};

/** Labels that decide which subset an endpoint is in. */
function labelNames(subsets: SubsetConfig | undefined): readonly string[] {
  if (subsets === undefined) return [];
  return [...new Set([...subsets.selectors.flatMap(({ keys }) => keys), ...Object.keys(subsets.defaultSubset)])].sort();
}

function grouped(endpoints: readonly Endpoint[], keyOf: (endpoint: Endpoint) => string) {
  const groups = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const key = keyOf(endpoint);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [endpoint]);
    else group.push(endpoint);
  }
  return groups;
}
