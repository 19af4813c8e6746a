import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any, lbEndpoint, toCluster } from '../../support/xds-resources.js';
import { Both } from './both.js';
import { envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/* The same header goes to the same endpoint, by each way of hashing and each thing that an endpoint says about its place. */

const ENDPOINTS = 5;
const VALUES = Array.from({ length: 60 }, (_, i) => `user-${i * i}`);

type Place = (index: number) => Resource;
const plain: Place = () => ({});
const weighted: Place = (i) => ({ load_balancing_weight: { value: 1 + i * 3 } });
const keyed: Place = (i) => ({
  metadata: { filter_metadata: { 'envoy.lb': { fields: { hash_key: { string_value: `key-${7 * i}` } } } } },
});
/** A host that is down gets no call, and moves none of the others'. */
const unwell: Place = (i) => (i === 2 ? { health_status: 'UNHEALTHY' } : {});

const localities =
  (...weights: readonly number[]) =>
  (endpoints: readonly Resource[]): Resource[] =>
    weights.map((value, i) => ({
      locality: { region: 'r', zone: `z${i}` },
      load_balancing_weight: { value },
      lb_endpoints: endpoints.filter((_, at) => at % weights.length === i),
    }));
const whole = (endpoints: readonly Resource[]): Resource[] => [{ lb_endpoints: endpoints }];

const byLocality = { common_lb_config: { locality_weighted_lb_config: {} } };
/** Envoy has hostnames of what DNS tells only. */
const byHostname = {
  type: 'STRICT_DNS',
  common_lb_config: { consistent_hashing_lb_config: { use_hostname_for_hashing: true } },
};
const ring = (fields: Resource = {}): Resource => ({ lb_policy: 'RING_HASH', ...fields });
const maglev = (fields: Resource = {}): Resource => ({ lb_policy: 'MAGLEV', ...fields });
const typed = (type: string, fields: Resource): Resource => ({
  load_balancing_policy: {
    policies: [
      {
        typed_extension_config: {
          name: type,
          typed_config: any(`envoy.extensions.load_balancing_policies.${type}`, fields),
        },
      },
    ],
  },
});
const small = { minimum_ring_size: { value: 7 } };

const CASES: Readonly<Record<string, readonly [Resource, Place, ((endpoints: readonly Resource[]) => Resource[])?]>> = {
  'a ring': [ring(), plain],
  'a ring of weights': [ring(), weighted],
  'a small ring of weights': [ring({ ring_hash_lb_config: small }), weighted],
  'a ring that is cut': [
    ring({ ring_hash_lb_config: { minimum_ring_size: { value: 1 }, maximum_ring_size: { value: 64 } } }),
    weighted,
  ],
  'a ring of keys': [ring(), keyed],
  'a ring of hostnames': [ring(byHostname), plain],
  'a ring with one that is down': [ring(), unwell],
  'a ring of localities by weight': [ring(byLocality), plain, localities(1, 5)],
  'a ring of localities by weight, and their endpoints by theirs': [ring(byLocality), weighted, localities(3, 1)],
  'a ring, as a policy': [typed('ring_hash.v3.RingHash', { ...small, hash_function: 'XX_HASH' }), weighted],
  'a ring of hostnames, as a policy': [
    typed('ring_hash.v3.RingHash', { consistent_hashing_lb_config: { use_hostname_for_hashing: true } }),
    plain,
  ],
  'a table': [maglev(), plain],
  'a table of weights': [maglev(), weighted],
  'a small table of weights': [maglev({ maglev_lb_config: { table_size: { value: 251 } } }), weighted],
  'a table of keys': [maglev(), keyed],
  'a table of hostnames': [maglev(byHostname), plain],
  'a table with one that is down': [maglev(), unwell],
  'a table of localities by weight': [maglev(byLocality), plain, localities(1, 5)],
  'a table, as a policy': [typed('maglev.v3.Maglev', { table_size: { value: 5_003 } }), weighted],
};

describe.skipIf(envoyBinary === undefined)('beside Envoy, a header chooses the same endpoint', () => {
  const names = Object.keys(CASES);
  let both: Both;

  beforeAll(async () => {
    const hash_policy = [{ header: { header_name: 'x-user' } }];
    both = await Both.start({
      tables: Object.fromEntries(names.map((_, i) => [`t${i}`, [toCluster(`c${i}`, undefined, { hash_policy })]])),
      backends: ENDPOINTS,
      clusters: (ports) =>
        names.map((name, i) => {
          const [fields, place, group = whole] = CASES[name] as (typeof CASES)[string];
          const endpoints = ports.map((port, at) => {
            const endpoint = lbEndpoint('127.0.0.1', port)['endpoint'] as Resource;
            return { endpoint: { ...endpoint, hostname: `h${at}.example` }, ...place(at) };
          });
          const load_assignment = { cluster_name: `c${i}`, endpoints: group(endpoints) };
          return staticCluster(`c${i}`, [], { load_assignment, ...fields });
        }),
    });
  });
  afterAll(() => both?.close());

  test.each(names.map((name, i) => [name, i] as const))('in %s', async (_, i) => {
    const [theirs, ours] = await both.each((side) =>
      Promise.all(
        VALUES.map(async (value) => {
          const { arrived } = await side.ask(`t${i}`, { headers: { 'x-user': value } });
          return `${value}: ${arrived.map(({ port }) => port).join()}`;
        }),
      ),
    );
    expect(ours).toEqual(theirs);
    expect(new Set(ours.map((line) => line.split(': ')[1])).size).toBeGreaterThan(1);
  });
});
