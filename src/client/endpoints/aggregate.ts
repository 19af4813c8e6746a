import type { Call } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';
import type { AggregateClusterConfig } from '../../core/model/cluster.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import type { ClientEnv } from '../env.js';
import type { AggregateShare } from './aggregate-share.js';
import type { Cluster } from './cluster.js';
import { NoEndpointError } from './errors.js';
import { type Rank, serveByRank } from './failover.js';
import type { UnderWay } from './under-way.js';
import { keepingBody } from './unread-body.js';
import type { Upstream } from './upstream.js';
import { waitFor } from './waiting.js';

/**
 * An aggregate cluster: "an instance of a priority LB policy where each child is … the underlying cluster" (gRFC A75). Each attempt goes to the
 * first leaf that can serve, through that leaf's own limits, drops, balancer and load reports. Retries and their budget are the aggregate's.
 */
export class Aggregate implements Upstream {
  readonly statName: string;
  readonly #leaves: readonly Leaf[];

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
      (name, i) =>
        new Leaf(() => {
          const leaf = cluster(name);
          leaf?.serves(share.limits);
          if (leaf !== undefined && i < config.leaves.length - 1) leaf.hasStandIn = true;
          return leaf;
        }),
    );
  }

  get limits(): AggregateShare['limits'] {
    return this.share.limits;
  }

  get budget(): AggregateShare['budget'] {
    return this.share.budget;
  }

  readonly service: Service = (call) => {
    if (this.underWay.closed) return Promise.reject(new MeshClosedError());
    // A leaf without endpoints would keep such a call to itself.
    if (call.waitForReady && this.#leaves.every((leaf) => leaf.empty)) return this.#wait(call);
    return keepingBody(call, this.#serve);
  };

  readonly #serve: Service = (call) =>
    serveByRank(this.#leaves, this.env.clock, call, (leaf) => this.#attempt(leaf, call));

  #attempt(leaf: Leaf, call: Call): Promise<Reply> {
    const { cluster } = leaf;
    if (cluster === undefined || (cluster.empty && call.waitForReady))
      return Promise.reject(new NoEndpointError(this.config.name));
    call.record.cluster = cluster.statName;
    return cluster.service(call);
  }

  #wait(call: Call): Promise<Reply> {
    const clusters = this.#leaves.map(({ cluster }) => cluster).filter((cluster) => cluster !== undefined);
    const open = (): boolean =>
      clusters.some((cluster) => !cluster.empty) || clusters.every(({ forsaken }) => forsaken);
    if (open()) return Promise.reject(new NoEndpointError(this.config.name));
    const { limits } = this.share;
    const bells = clusters.map((cluster) => cluster.bells);
    return waitFor({ limits, underWay: this.underWay, bells, open }, call, () => this.service(call));
  }
}

/** One of an aggregate's clusters, made when it is needed. */
class Leaf implements Rank {
  #cluster: Cluster | undefined;
  #asked = false;

  constructor(private readonly make: () => Cluster | undefined) {}

  get cluster(): Cluster | undefined {
    if (this.#asked) return this.#cluster;
    this.#asked = true;
    this.#cluster = this.make();
    return this.#cluster;
  }

  get empty(): boolean {
    return this.cluster?.empty ?? true;
  }

  usable(now: number): boolean {
    return this.cluster?.usable(now) ?? false;
  }

  due(now: number): boolean {
    return this.cluster?.due(now) ?? false;
  }
}
