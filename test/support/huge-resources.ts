import { ENDPOINT, type Resource, type ResourceType, ROUTE } from '../../src/core/resources.js';
import { lbEndpoint, locality, routeResource, toCluster } from './xds-resources.js';

export interface HugeResource {
  readonly what: string;
  readonly type: ResourceType;
  /** Endpoints, routes or virtual hosts. */
  readonly parts: number;
  readonly make: () => Resource;
}

const address = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
const count = (parts: number, make: (i: number) => Resource): Resource[] =>
  Array.from({ length: parts }, (_, i) => make(i));

/** One resource each, larger than any that is met: none may hold up the event loop. All are called "huge". */
export const HUGE_RESOURCES: readonly HugeResource[] = [
  {
    what: 'an assignment of 50,000 endpoints',
    type: ENDPOINT,
    parts: 50_000,
    make: () => ({ cluster_name: 'huge', endpoints: [locality(count(50_000, (i) => lbEndpoint(address(i), 80)))] }),
  },
  {
    what: 'a virtual host of 20,000 routes',
    type: ROUTE,
    parts: 20_000,
    make: () =>
      routeResource(
        'huge',
        count(20_000, (i) => toCluster(`c${i % 9}`, { prefix: `/a/${i}` })),
      ),
  },
  {
    what: '20,000 virtual hosts of one route',
    type: ROUTE,
    parts: 20_000,
    make: () => ({
      name: 'huge',
      virtual_hosts: count(20_000, (i) => ({ name: `v${i}`, domains: [`h${i}`], routes: [toCluster('c')] })),
    }),
  },
];
