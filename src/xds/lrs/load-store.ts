import type { Clock } from '../../core/clock.js';
import type { ClusterLoad, LoadRecorder } from '../../core/load-reports.js';
import type { LoadReportConfig } from '../../core/model/cluster.js';
import { ClusterHandle } from './handles.js';
import { Propagation } from './propagation.js';
import { ServerLoads } from './server-loads.js';

/** Counts load for all servers that want reports: by server, then cluster and EDS service, then locality (gRFC A27). */
export class LoadStore implements LoadRecorder {
  /** As many as the bootstrap has servers. */
  readonly #servers = new Map<string, ServerLoads>();
  /** Those that somebody holds. */
  readonly #handles = new Map<string, ClusterHandle>();

  constructor(
    private readonly clock: Clock,
    /** Called when a server's first account comes and when its last one has gone. */
    private readonly changed: (loads: ServerLoads) => void,
  ) {}

  cluster(cluster: string, edsServiceName: string | undefined, config: LoadReportConfig): ClusterLoad {
    // "We will add the propagation bits as another dimension of this key" - A85
    const key = JSON.stringify([config.server, cluster, edsServiceName, config.metrics]);
    let handle = this.#handles.get(key);
    if (handle === undefined) {
      const propagation = new Propagation(config.metrics);
      const loads = this.loads(config.server);
      handle = new ClusterHandle(loads, cluster, edsServiceName, propagation, () => this.#handles.delete(key));
      this.#handles.set(key, handle);
    }
    return handle.hold();
  }

  /** The accounts of one server. */
  loads(server: string): ServerLoads {
    let loads = this.#servers.get(server);
    if (loads === undefined) {
      loads = new ServerLoads(server, this.clock, this.changed);
      this.#servers.set(server, loads);
    }
    return loads;
  }
}
