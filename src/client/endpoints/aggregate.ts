import type { Clock } from '../../core/clock.js';
import type { Call } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';
import type { AggregateClusterConfig } from '../../core/model/cluster.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import type { PickRequest } from '../balancer/balancer.js';
import { requestLimit } from '../../resilience/concurrency/circuit-limits.js';
import type { ClientEnv } from '../env.js';
import type { AggregateShare } from './aggregate-share.js';
import type { Cluster } from './cluster.js';
import { NoEndpointError, SessionGoneError } from './errors.js';
import { type Rank, serveByRank } from './failover.js';
import type { UnderWay } from './under-way.js';
import { keepingBody } from './unread-body.js';
import type { Upstream } from './upstream.js';

/**
 * An aggregate cluster: "an instance of a priority LB policy where each child is … the underlying cluster" (gRFC A75). Each attempt goes to the
 * first leaf that can serve, through that leaf's own limits, drops, balancer and load reports. Retries and their budget are the aggregate's.
 */
export class Aggregate implements Upstream {
  readonly statName: string;
  readonly #leaves: readonly Leaf[];
  readonly #byName: ReadonlyMap<string, Leaf>;

  constructor(
    readonly config: AggregateClusterConfig,
    private readonly share: AggregateShare,
    /** The cluster of that name; asked once, at the first call that may go there: "will create child policies lazily" - gRFC A56. */
    cluster: (name: string) => Cluster | undefined,
    private readonly env: ClientEnv,
    private readonly underWay: UnderWay,
  ) {
    this.statName = config.statName;
    this.#leaves = config.leaves.map(
      (name) =>
        new Leaf(() => {
          const leaf = cluster(name);
          leaf?.serves(share);
          return leaf;
        }),
    );
    const attempt: Service = (call) => keepingBody(call, this.#serve);
    this.attempt = config.activeRetryBudget === undefined ? attempt : requestLimit(share.limits)(attempt);
    this.#byName = new Map(config.leaves.map((name, i) => [name, this.#leaves[i] as Leaf]));
  }

  get limits(): AggregateShare['limits'] {
    return this.share.limits;
  }

  get budget(): AggregateShare['budget'] {
    return this.share.budget;
  }

  get fallback(): AggregateShare['fallback'] {
    return this.share.fallback;
  }

  get hashes(): boolean {
    return this.#leaves.some(({ made }) => made?.hashes ?? false);
  }

  hold(call: Call): () => void {
    return this.underWay.hold(call);
  }

  others(tried: readonly string[], call: Call): boolean {
    return this.#serving()?.others(tried, call) ?? false;
  }

  /** Those of the leaf that serves. */
  warmed(): Promise<unknown> {
    return this.#serving()?.warmed() ?? Promise.resolve();
  }

  #serving(): Cluster | undefined {
    const now = this.env.clock.now();
    return (this.#leaves.find((leaf) => leaf.usable(now)) ?? this.#leaves[0])?.cluster;
  }

  /** Whether others can serve in the place of the leaf of that name. */
  standsInFor(leaf: string): boolean {
    return this.config.leaves.slice(0, -1).includes(leaf);
  }

  /** A leaf is in trouble, or is so no more: it is asked for anew. */
  leafChanged(name: string): void {
    const leaf = this.#byName.get(name);
    if (leaf === undefined) return;
    leaf.forget();
    this.share.news();
  }

  readonly service: Service = (call) => {
    if (this.underWay.closed) return Promise.reject(new MeshClosedError());
    return call.waitForReady ? this.share.serve(call) : this.attempt(call);
  };

  readonly attempt: Service;

  /** Monotonic milliseconds at which the first endpoint that cannot be reached may be tried again; Infinity when there is none. */
  get reconnectsAt(): number {
    return Math.min(...this.#leaves.map(({ made }) => made?.reconnectsAt ?? Number.POSITIVE_INFINITY));
  }

  readonly #serve: Service = (call) => {
    if (call.strictAffinity) {
      const home = this.#leaves.find(({ cluster }) => cluster?.hasSession(call));
      return home === undefined
        ? Promise.reject(new SessionGoneError(this.config.name, call.affinity))
        : this.#send(home, call);
    }
    // A session's endpoint may be in any leaf: gRFC A75 has the override above the priorities.
    const home = call.affinity === undefined ? undefined : this.#leaves.find(({ made }) => made?.hasSession(call));
    return serveByRank(this.#leaves, this.env.clock, call, (leaf) => this.#send(leaf, call), home);
  };

  #send({ cluster }: Leaf, call: Call): Promise<Reply> {
    if (cluster === undefined) return Promise.reject(new NoEndpointError(this.config.name));
    call.record.cluster = cluster.statName;
    return cluster.attempt(call);
  }
}

/** One of an aggregate's clusters, made when it is needed. */
class Leaf implements Rank {
  #cluster: Cluster | undefined;
  #asked = false;

  constructor(private readonly make: () => Cluster | undefined) {}

  get cluster(): Cluster | undefined {
    if (this.#asked && this.#cluster?.retired !== true) return this.#cluster;
    this.#asked = true;
    this.#cluster = this.make();
    return this.#cluster;
  }

  /** The cluster if it has been needed already. */
  get made(): Cluster | undefined {
    return this.#cluster?.retired === true ? undefined : this.#cluster;
  }

  forget(): void {
    this.#asked = false;
    this.#cluster = undefined;
  }

  usable(now: number): boolean {
    return this.cluster?.usable(now) ?? false;
  }

  look(request: PickRequest, clock: Pick<Clock, 'now'>): void {
    this.cluster?.look(request, clock);
  }
}
