import type { Resource } from '../../src/core/resources.js';
import { any } from './xds-resources.js';

/** A Cluster that is an aggregate of others, in order of preference (gRFC A37). */
export const aggregateResource = (name: string, ...clusters: readonly string[]): Resource => ({
  name,
  lb_policy: 'CLUSTER_PROVIDED',
  cluster_type: {
    name: 'envoy.clusters.aggregate',
    typed_config: any('envoy.extensions.clusters.aggregate.v3.ClusterConfig', { clusters }),
  },
});
