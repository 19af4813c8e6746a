import type { ClusterLoad, LocalityLoad } from '../../core/load-reports.js';
import type { Locality } from '../../core/model/endpoint.js';
import type { BackendMetrics } from '../../core/orca.js';
import type { ClusterAccount } from './cluster-account.js';
import type { LocalityAccount } from './locality-account.js';
import type { Propagation } from './propagation.js';
import type { ServerLoads } from './server-loads.js';

/** What the request path has of a cluster's account. Several share an account when they differ in the metrics that they report (gRFC A85). */
export class ClusterHandle implements ClusterLoad {
  #holders = 0;
  #account: ClusterAccount;

  constructor(
    private readonly loads: ServerLoads,
    private readonly cluster: string,
    private readonly service: string | undefined,
    readonly propagation: Propagation,
    private readonly released: () => void,
  ) {
    this.#account = loads.hold(cluster, service);
  }

  /** The account that is reported: a call may still begin after its cluster was given back and its account has gone. */
  get account(): ClusterAccount {
    if (!this.#account.listed) this.#account = this.loads.account(this.cluster, this.service);
    return this.#account;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  locality(locality: Locality): LocalityLoad {
    return new LocalityHandle(this, locality);
  }

  dropped(category: string | undefined): void {
    this.account.dropped(category);
  }

  release(): void {
    if (this.#holders === 0) return;
    this.#holders--;
    if (this.#holders > 0) return;
    this.released();
    this.loads.release(this.#account);
  }
}

class LocalityHandle implements LocalityLoad {
  readonly wantsMetrics: boolean;
  /** Found at the first call: of many endpoints few are called in an interval. */
  #account: LocalityAccount | undefined;

  constructor(
    private readonly cluster: ClusterHandle,
    private readonly locality: Locality,
  ) {
    this.wantsMetrics = !cluster.propagation.empty;
  }

  started(): void {
    const account = this.#listed();
    account.issued++;
    account.inProgress++;
  }

  finished(succeeded: boolean, metrics: BackendMetrics | undefined): void {
    const account = this.#listed();
    if (succeeded) account.succeeded++;
    else account.failed++;
    if (account.inProgress > 0) account.inProgress--;
    if (metrics !== undefined) this.cluster.propagation.record(metrics, account.metrics);
  }

  unsent(): void {
    const account = this.#listed();
    // A report between the two has counted it already.
    if (account.issued > 0) account.issued--;
    if (account.inProgress > 0) account.inProgress--;
  }

  #listed(): LocalityAccount {
    if (this.#account?.listed !== true) this.#account = this.cluster.account.locality(this.locality);
    return this.#account;
  }
}
