import type { Clock } from '../../core/clock.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { Random } from '../../core/random.js';
import type { Balancer, PickRequest } from '../balancer/balancer.js';
import { standingFor } from './aperture.js';
import type { Endpoint } from './endpoint.js';
import { choose } from './failover.js';
import { Level } from './level.js';
import { prioritySpread } from './spread.js';

export interface PrioritiesEnv {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  /** A balancer as the cluster's configuration has it. */
  balancer(): Balancer;
  /** Calls that wait may go on. */
  onChange(): void;
}

export type PrioritiesConfig = Pick<ClusterConfig, 'priorities' | 'panicThreshold'>;

/** Endpoints of one priority. */
interface Group {
  readonly priority: number;
  all: readonly Endpoint[];
  /** All but those that drain. */
  endpoints: readonly Endpoint[];
  /** What the balancers have may be out of date, whatever the lists say: a weight has changed. */
  dirty: boolean;
  /** Those that are usable; in panic, all. */
  readonly main: Level;
  /** Those that are degraded; made when there are some. */
  degraded: Level | undefined;
}

/**
 * The levels of a cluster, by priority and health: which of its endpoints may take calls, and in which order. An endpoint that drains takes none, but
 * for sessions (gRFCs A27, A55); degraded ones come after all that are usable, of whatever priority (Envoy).
 */
export class Priorities {
  #groups: readonly Group[] = [];
  #ranks: readonly Level[] = [];
  /** The level that there is, when there is one: nearly always. */
  #only: Level | undefined;
  /** Level and share of calls up to here, in percent, under Envoy's rules; undefined under gRFC A56's. */
  #shares: readonly { readonly level: Level; readonly upTo: number }[] | undefined;
  /** Health has changed since the levels were made: set by changes, reset by the next look, so that many changes cost one. */
  #stale = false;

  constructor(
    private config: PrioritiesConfig,
    private readonly env: PrioritiesEnv,
  ) {}

  /** Levels with endpoints, in order of preference. */
  get ranks(): readonly Level[] {
    if (this.#stale) this.#refresh();
    return this.#ranks;
  }

  /** What is known of an endpoint's health has changed. */
  healthChanged(): void {
    this.#stale = true;
    this.env.onChange();
  }

  configure(config: PrioritiesConfig): void {
    const { priorities, panicThreshold } = this.config;
    this.#stale ||= config.priorities !== priorities || config.panicThreshold !== panicThreshold;
    this.config = config;
  }

  /** New endpoints. `changed`: priorities of those that are new, gone, or configured otherwise than before. */
  update(endpoints: readonly Endpoint[], changed: ReadonlySet<number>): void {
    const before = new Map(this.#groups.map((group) => [group.priority, group]));
    const groups: Group[] = [];
    for (const [priority, all] of byPriority(endpoints)) {
      const group = before.get(priority) ?? this.#group(priority);
      before.delete(priority);
      group.dirty ||= changed.has(priority);
      group.all = all;
      group.endpoints = all.every(takesCalls) ? all : all.filter(takesCalls);
      groups.push(group);
    }
    for (const group of before.values()) close(group);
    this.#groups = groups;
    this.#refresh();
  }

  /** Other balancers, among the same endpoints. */
  rebalance(): void {
    for (const { main, degraded } of this.#groups) {
      main.rebalance(this.env.balancer());
      degraded?.rebalance(this.env.balancer());
    }
  }

  pick(request: PickRequest): Endpoint | undefined {
    if (this.#stale) this.#refresh();
    const only = this.#only;
    return only === undefined ? this.#pickAmong(request) : only.pick(request, this.env.clock);
  }

  /** Whether a call may go to an endpoint that it has not tried, of the levels that calls go to now. */
  others(request: PickRequest): boolean {
    const now = this.env.clock.now();
    const { ranks } = this;
    const shares = this.#shares?.filter(({ upTo }, i, all) => upTo > (all[i - 1]?.upTo ?? 0)).map(({ level }) => level);
    const sharing = shares?.filter((level) => level.usable(now) || level.panic) ?? [];
    if (sharing.length > 0) return sharing.some((level) => level.others(request) === true);
    const usable = ranks.filter((level) => level.usable(now));
    // In order, as calls do: one that has none for the call, by its labels, is passed over.
    for (const level of usable.length > 0 ? usable : ranks) {
      const others = level.others(request);
      if (others !== undefined) return others;
    }
    return false;
  }

  close(): void {
    for (const group of this.#groups) close(group);
    this.#groups = [];
    this.#ranks = [];
    this.#only = undefined;
    this.#shares = undefined;
  }

  #pickAmong(request: PickRequest): Endpoint | undefined {
    const { clock } = this.env;
    const now = clock.now();
    const share = this.#byShare(request);
    // Where nobody of those whose turn it is can be reached, the others serve.
    const own = share?.usable(now) || share?.panic;
    if (!own) share?.look(request, clock);
    const first = own ? share : choose(this.#ranks, request, clock);
    const picked = first?.pick(request, clock);
    if (picked !== undefined) return picked;
    // It has none for this call, by its labels: another one may.
    for (const level of this.#ranks) {
      const other = level === first ? undefined : level.pick(request, clock);
      if (other !== undefined) return other;
    }
    return undefined;
  }

  /** By the call's hash where it has one, so that what belongs together stays together (Envoy `choosePriority`). */
  #byShare({ hash }: PickRequest): Level | undefined {
    if (this.#shares === undefined) return undefined;
    const at = hash === undefined ? this.env.random.int(100) : Number(hash % 100n);
    return this.#shares.find(({ upTo }) => at < upTo)?.level;
  }

  #group(priority: number): Group {
    return { priority, all: [], endpoints: [], dirty: true, main: this.#level(), degraded: undefined };
  }

  #level(): Level {
    return new Level(this.env.balancer(), this.env.random, () => this.env.onChange());
  }

  /** Puts the endpoints into levels by what is known of their health. */
  #refresh(): void {
    this.#stale = false;
    const now = this.env.clock.now();
    const { priorities, panicThreshold } = this.config;
    const sorted = this.#groups.map(({ all, endpoints }) => ({ ...sort(endpoints), total: standingFor(all) }));
    const healths = sorted.map(({ usable, degraded, total }) => ({
      usable: standingFor(usable),
      degraded: standingFor(degraded),
      total,
    }));
    const spread =
      priorities === undefined ? undefined : prioritySpread(healths, priorities.overprovisioningFactor, panicThreshold);
    const none = healths.every(({ usable, degraded }) => usable + degraded === 0);
    for (const [i, group] of this.#groups.entries()) {
      const { usable, degraded } = sorted[i] as (typeof sorted)[number];
      const health = healths[i] as (typeof healths)[number];
      const share = (health.usable + health.degraded) / health.total;
      const panic = spread?.panic[i] ?? (panicThreshold === undefined ? none : share < panicThreshold);
      group.main.panic = panic;
      // What the control plane says is not doubted where nobody has asked for it: gRPC, which knows no panic, leaves such endpoints alone.
      const all = panicThreshold === undefined ? group.endpoints.filter(isNotDeclaredUnhealthy) : group.endpoints;
      put(group, group.main, panic ? all : usable, now);
      if (degraded.length > 0 && !panic) group.degraded ??= this.#level();
      if (group.degraded !== undefined) put(group, group.degraded, panic ? [] : degraded, now);
      group.dirty = false;
    }
    const levels = [
      ...this.#groups.map(({ main }, i) => ({
        level: main,
        // In panic all are one: what the degraded ones were to take goes to them (Envoy `hostSourceToUse`: all hosts of the priority).
        share: (spread?.usable[i] ?? 0) + (main.panic ? (spread?.degraded[i] ?? 0) : 0),
      })),
      ...this.#groups.map(({ degraded }, i) => ({ level: degraded, share: spread?.degraded[i] ?? 0 })),
    ].filter((rank): rank is { level: Level; share: number } => (rank.level?.endpoints.length ?? 0) > 0);
    this.#ranks = levels.map(({ level }) => level);
    this.#only = levels.length === 1 ? levels[0]?.level : undefined;
    this.#shares = spread === undefined ? undefined : cumulated(levels);
  }
}

/** Shares of what is there: a level without endpoints has none to give away. */
function cumulated(levels: readonly { readonly level: Level; readonly share: number }[]) {
  let upTo = 0;
  return levels.map(({ level, share }) => {
    upTo += share;
    return { level, upTo };
  });
}

function put({ all, dirty }: Group, level: Level, endpoints: readonly Endpoint[], now: number): void {
  if (dirty || !isSame(level.endpoints, endpoints)) level.update(endpoints, all, now);
}

function isSame(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return a === b || (a.length === b.length && a.every((endpoint, i) => endpoint === b[i]));
}

function close({ main, degraded }: Group): void {
  main.close();
  degraded?.close();
}

/** The list itself where all are usable: nearly always. */
function sort(endpoints: readonly Endpoint[]): {
  readonly usable: readonly Endpoint[];
  readonly degraded: readonly Endpoint[];
} {
  if (endpoints.every(({ health }) => health.verdict === 'usable')) return { usable: endpoints, degraded: [] };
  return {
    usable: endpoints.filter(({ health }) => health.verdict === 'usable'),
    degraded: endpoints.filter(({ health }) => health.verdict === 'degraded'),
  };
}

const isNotDeclaredUnhealthy = ({ config }: Endpoint): boolean => config.health !== 'unhealthy';

const takesCalls = ({ config }: Endpoint): boolean => config.health !== 'draining';

/** By priority, the first one first. */
function byPriority(endpoints: readonly Endpoint[]): ReadonlyMap<number, readonly Endpoint[]> {
  const first = endpoints[0]?.config.priority;
  if (first === undefined) return new Map();
  if (endpoints.every(({ config }) => config.priority === first)) return new Map([[first, endpoints]]);
  const groups = new Map<number, Endpoint[]>();
  for (const endpoint of endpoints) {
    const group = groups.get(endpoint.config.priority);
    if (group === undefined) groups.set(endpoint.config.priority, [endpoint]);
    else group.push(endpoint);
  }
  return new Map([...groups].sort(([a], [b]) => a - b));
}
