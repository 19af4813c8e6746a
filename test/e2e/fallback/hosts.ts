import type { Resource, ResourceSet } from '../../../src/core/resources.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  resourceSet,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

/** What a control plane knows: the port of the backend by host. */
export type Hosts = Readonly<Record<string, number>>;

/** All four resources for each host, under names of the host: the same names in every control plane, as replicas have. */
export function resourcesFor(hosts: Hosts, hcm: Resource = {}): ResourceSet {
  const names = Object.keys(hosts);
  return resourceSet({
    lds: names.map((name) => listenerResource(name, `${name}-routes`, hcm)),
    rds: names.map((name) => routeResource(`${name}-routes`, [toCluster(`${name}-cluster`)])),
    cds: names.map((name) => clusterResource(`${name}-cluster`)),
    eds: Object.entries(hosts).map(([name, port]) => endpointResource(`${name}-cluster`, port)),
  });
}
