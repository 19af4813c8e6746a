import { reportedWeight } from '../client/balancer/load-weight.js';
import type { Destinations } from '../client/destinations.js';
import type { Verdict } from '../client/endpoints/health.js';
import type { Reach } from '../client/endpoints/level.js';
import type { Clock } from '../core/clock.js';
import type { HealthStatus, Locality } from '../core/model/endpoint.js';
import type { ResourcesDump } from '../core/resources.js';
import type { ConfigDumpJson } from '../xds/csds/index.js';
import type { WorkloadIdentity } from './identity.js';

export interface MeshDump {
  /** Who this workload is to others, and what is the matter with that; undefined: it has no identity, or none yet. */
  readonly identity: WorkloadIdentity | undefined;
  /** xDS resources with their state, as CSDS has them, in plain JSON. */
  readonly resources: readonly ConfigDumpJson[];
  readonly targets: readonly {
    readonly authority: string;
    readonly routes: readonly string[];
    readonly clusters: readonly string[];
  }[];
  readonly clusters: readonly {
    readonly name: string;
    readonly requests: number;
    readonly pending: number;
    readonly connections: number;
    readonly retryBudget: number;
    /** Undefined: it has none, or none that a call has met. */
    readonly breaker: 'closed' | 'open' | 'half-open' | undefined;
    readonly endpoints: readonly {
      readonly address: string;
      /** Share of traffic among the endpoints that are used, in any unit, as configured. */
      readonly weight: number;
      /** What weighted round robin makes of its load reports (gRFC A58): undefined with other balancers, and while it has no report that counts. */
      readonly reportedWeight: number | undefined;
      readonly locality: Locality;
      /** 0 is used first. */
      readonly priority: number;
      readonly inflight: number;
      readonly latencyMs: number;
      readonly labels: Readonly<Record<string, string>>;
      /** As configured, and what has been found out: whether calls go to it. */
      readonly health: {
        readonly configured: HealthStatus;
        readonly verdict: Verdict;
        readonly ejected: boolean;
        readonly reach: Reach;
      };
    }[];
  }[];
}

/** The schema is loaded when somebody asks, and there is something to show. */
export async function dumpResources(dumps: readonly ResourcesDump[], clock: Clock): Promise<readonly ConfigDumpJson[]> {
  if (dumps.length === 0) return [];
  const { resourcesAsJson } = await import('../xds/csds/index.js');
  return Promise.all(dumps.map((dumped) => resourcesAsJson(dumped, clock)));
}

/** Targets and clusters as they are used now. */
export function dumpTargets(destinations: Destinations, now: number): Omit<MeshDump, 'resources' | 'identity'> {
  return {
    targets: destinations.list().map(({ authority, config }) => ({
      authority,
      routes: config?.routes.map((route) => route.name) ?? [],
      clusters: [...(config?.clusters.keys() ?? [])],
    })),
    clusters: destinations.clusters.list().map((cluster) => ({
      name: cluster.config.name,
      requests: cluster.limits.requests,
      pending: cluster.limits.pending,
      connections: cluster.limits.connections,
      retryBudget: cluster.budget.balance,
      breaker: cluster.breaker?.breaker?.state,
      endpoints: cluster.endpoints.map((endpoint) => ({
        address: endpoint.key,
        weight: endpoint.weight,
        reportedWeight: reportedWeight(endpoint, cluster.config.balancer, now),
        locality: endpoint.config.locality,
        priority: endpoint.config.priority,
        inflight: endpoint.inflight,
        latencyMs: endpoint.latency.value(now),
        labels: endpoint.config.labels,
        health: {
          configured: endpoint.config.health,
          verdict: endpoint.health.verdict,
          ejected: endpoint.health.ejected,
          reach: endpoint.reach,
        },
      })),
    })),
  };
}
