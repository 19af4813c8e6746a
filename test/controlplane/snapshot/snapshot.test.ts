import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InconsistentSetError } from '../../../src/controlplane/snapshot/consistency.js';
import { endpointsOf, referencesOf } from '../../../src/controlplane/snapshot/references.js';
import { buildSnapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import {
  edsCluster,
  endpoints,
  jsonEncode,
  listener,
  meshOf,
  resourceSet,
  routes,
} from '../../support/mesh-resources.js';

describe('versions', () => {
  it('the same content has the same versions in another snapshot made from scratch', () => {
    const one = buildSnapshot(meshOf({ reviews: ['v1', 'v2'] }), jsonEncode);
    const two = buildSnapshot(meshOf({ reviews: ['v1', 'v2'] }), jsonEncode);
    expect(two.version).toBe(one.version);
    expect(two.types[CLUSTER].version).toBe(one.types[CLUSTER].version);
    expect(two.types[CLUSTER].resources.get('v1')?.version).toBe(one.types[CLUSTER].resources.get('v1')?.version);
  });

  it('do not depend on the order in which resources are listed', () => {
    const a = resourceSet({
      clusters: [edsCluster('a'), edsCluster('b')],
      endpoints: [endpoints('a', 1), endpoints('b', 2)],
    });
    const b = resourceSet({
      clusters: [edsCluster('b'), edsCluster('a')],
      endpoints: [endpoints('b', 2), endpoints('a', 1)],
    });
    expect(buildSnapshot(a, jsonEncode).version).toBe(buildSnapshot(b, jsonEncode).version);
  });

  it('a change of one endpoint changes the version of its type and of the whole, and no other', () => {
    const before = buildSnapshot(meshOf({ reviews: ['v1'] }, 9001), jsonEncode);
    const after = buildSnapshot(meshOf({ reviews: ['v1'] }, 9002), jsonEncode);
    expect(after.types[ENDPOINT].version).not.toBe(before.types[ENDPOINT].version);
    expect(after.version).not.toBe(before.version);
    for (const type of [CLUSTER, LISTENER, ROUTE] as const)
      expect(after.types[type].version).toBe(before.types[type].version);
  });

  it('a name that could be read as part of another resource does not collide with it', () => {
    const named = (...names: string[]) =>
      buildSnapshot(resourceSet({ listeners: names.map((n) => listener(n, 'r')), routes: [routes('r')] }), jsonEncode);
    expect(named('a', 'b').types[LISTENER].version).not.toBe(named('ab').types[LISTENER].version);
  });
});

describe('from one snapshot to the next', () => {
  it('what has not changed is the same object, with the bytes made once', () => {
    let encoded = 0;
    const counting = (type: ResourceType, resource: Resource) => {
      encoded++;
      return jsonEncode(type, resource);
    };
    const first = buildSnapshot(meshOf({ reviews: ['v1', 'v2'] }), counting);
    expect(encoded).toBe(6);
    const second = buildSnapshot(meshOf({ reviews: ['v1', 'v2', 'v3'] }), counting, first);
    expect(encoded).toBe(6 + 3); // a cluster, its endpoints, and the routes
    expect(second.types[CLUSTER].resources.get('v1')).toBe(first.types[CLUSTER].resources.get('v1'));
    expect(second.types[ROUTE].resources.get('reviews-routes')).not.toBe(
      first.types[ROUTE].resources.get('reviews-routes'),
    );
  });
});

describe('a set that does not fit together is refused', () => {
  it('a route that names a cluster that is not there', () => {
    const set = resourceSet({ listeners: [listener('reviews', 'r')], routes: [routes('r', 'gone')] });
    expect(() => buildSnapshot(set, jsonEncode)).toThrow(
      'RouteConfiguration "r": virtual_hosts[0].routes[0].route.cluster names Cluster "gone", which does not exist: add it or remove the reference',
    );
  });

  it('a cluster without its endpoints, under its service name', () => {
    const set = resourceSet({ clusters: [edsCluster('a', { eds_cluster_config: { service_name: 'other' } })] });
    expect(() => buildSnapshot(set, jsonEncode)).toThrow('names ClusterLoadAssignment "other"');
  });

  it('a listener without its routes', () => {
    expect(() => buildSnapshot(resourceSet({ listeners: [listener('a', 'r')] }), jsonEncode)).toThrow(
      'names RouteConfiguration "r"',
    );
  });

  it('a resource listed under a name that is not its own', () => {
    const set = { ...resourceSet({}), [ROUTE]: new Map([['x', routes('y')]]) };
    expect(() => buildSnapshot(set, jsonEncode)).toThrow(
      'RouteConfiguration "x": is listed under this name, and calls itself "y"',
    );
  });

  it('a resource that cannot be encoded', () => {
    const refuse = () => {
      throw new Error('name: must be a string');
    };
    expect(() => buildSnapshot(resourceSet({ routes: [routes('r')] }), refuse)).toThrow(
      'cannot be encoded: name: must be a string',
    );
  });

  it('with every problem in the error and ten of them in its message', () => {
    const set = resourceSet({ routes: [routes('r', ...Array.from({ length: 25 }, (_, i) => `gone-${i}`))] });
    try {
      buildSnapshot(set, jsonEncode);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InconsistentSetError);
      expect((error as InconsistentSetError).problems).toHaveLength(25);
      expect((error as Error).message).toContain('and 15 more');
    }
  });
});

describe('references', () => {
  it('are found in weighted clusters, mirrors, inline routes, filter chains and aggregates', () => {
    const action = {
      weighted_clusters: { clusters: [{ name: 'w1' }, { name: 'w2' }] },
      request_mirror_policies: [{ cluster: 'm' }],
    };
    const inline = {
      virtual_hosts: [
        { routes: [{ route: action }, { direct_response: {} }], request_mirror_policies: [{ cluster: 'h' }] },
      ],
    };
    const names = (type: ResourceType, resource: Resource) => referencesOf(type, resource).map(({ name }) => name);
    expect(names(LISTENER, { api_listener: { api_listener: { route_config: inline } } })).toEqual([
      'h',
      'w1',
      'w2',
      'm',
    ]);
    const manager = { typed_config: { rds: { route_config_name: 'r' } } };
    expect(
      names(LISTENER, { filter_chains: [{ filters: [manager] }], default_filter_chain: { filters: [manager] } }),
    ).toEqual(['r', 'r']);
    expect(names(CLUSTER, { name: 'a', cluster_type: { typed_config: { clusters: ['x', 'y'] } } })).toEqual(['x', 'y']);
  });

  it('of an EDS cluster is its service name, or its own; of other clusters there is none', () => {
    expect(endpointsOf(edsCluster('a'))).toBe('a');
    expect(endpointsOf(edsCluster('a', { eds_cluster_config: { service_name: 's' } }))).toBe('s');
    expect(endpointsOf({ name: 'a', type: 'LOGICAL_DNS' })).toBeUndefined();
  });

  it('reading them never throws, whatever the resource looks like', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('api_listener', 'filter_chains', 'virtual_hosts', 'type', 'cluster_type', 'name'),
          fc.anything(),
        ),
        (resource) => {
          for (const type of [CLUSTER, ENDPOINT, LISTENER, ROUTE] as const) referencesOf(type, resource);
        },
      ),
    );
  });
});
