import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import type { Resource } from '../../../src/core/resources.js';
import { any, lbEndpoint, listenerResource, resourceSet, routerFilter } from '../../support/xds-resources.js';
import { HASHED_CLUSTERS, LABELS, PARTED_CLUSTERS, SHADOW_CLUSTER, SINGLE_CLUSTERS } from './actions.js';
import { Backends } from './backend.js';
import { arrived, Caller, type Outcome, type PlannedRequest } from './client.js';
import { accepted } from './differences.js';
import { Envoy, envoyBinary } from './envoy.js';
import { Chance } from './generate.js';
import { OurSide, staticCluster } from './our-side.js';
import { plannedRequest, type Table, table } from './tables.js';

/**
 * Generated route tables, the same for two proxies: Envoy and ours. The same requests to both, and the same replies and the same arrivals at
 * backends out of both. INMESH_ENVOY_SEED, INMESH_ENVOY_TABLES and INMESH_ENVOY_REQUESTS (per table) make another run than CI's.
 */
const SEED = Number(process.env['INMESH_ENVOY_SEED'] ?? 20_261_121);
const TABLES = Number(process.env['INMESH_ENVOY_TABLES'] ?? 100);
const REQUESTS = Number(process.env['INMESH_ENVOY_REQUESTS'] ?? 52);
type Reply = Omit<Outcome, 'arrived'>;

/** Requests under way at once, to each side. */
const AT_ONCE = 16;

const cors = { name: 'envoy.filters.http.cors', typed_config: any('envoy.extensions.filters.http.cors.v3.Cors') };
const FILTERS = [cors, routerFilter];

describe.skipIf(envoyBinary === undefined)(`beside Envoy, seed ${SEED}`, () => {
  const chance = new Chance(seededRandom(SEED));
  const tables: Table[] = Array.from({ length: TABLES }, (_, i) => table(chance, i));
  const planned: PlannedRequest[] = tables.flatMap((it) =>
    chance.some(REQUESTS, REQUESTS, () => plannedRequest(chance, it)),
  );
  let backends: Backends;
  let envoy: Envoy;
  let ours: OurSide;

  beforeAll(async () => {
    backends = await Backends.start(6);
    const routes = tables.map(({ resource }) => resource);
    const clusters = clustersOn(backends.ports);
    const listeners = tables.flatMap(({ name, hosts }) =>
      hosts.map((host) => listenerResource(host, name, { http_filters: FILTERS })),
    );
    ours = await OurSide.start(resourceSet({ lds: listeners, rds: routes, cds: clusters }));
    envoy = await Envoy.start({ binary: envoyBinary as string, routes, clusters, filters: FILTERS });
  });

  afterAll(async () => {
    await ours?.close();
    await envoy?.close();
    await backends?.close();
  });

  it('has both take every table', () => {
    expect(ours.refusals.map(({ name, error }) => `${name}: ${error.message}`)).toEqual([]);
    expect({ refused: envoy.refused, reasons: envoy.reasons }).toEqual({ refused: [], reasons: [] });
  });

  it(`has the same outcome for each of ${planned.length} requests`, { timeout: 240_000 }, async () => {
    const callers = [
      new Caller('envoy', (name) => envoy.ports.get(name) as number),
      new Caller('ours', () => ours.proxy.port),
    ] as const;
    const [theirs, own] = await Promise.all(callers.map((caller) => replies(caller)));
    await settled(callers);
    for (const caller of callers) caller.close();
    const differences = planned.flatMap((request, i) => {
      const outcome = (reply: Reply | undefined, caller: Caller): Outcome => ({
        ...(reply as Reply),
        arrived: arrived(backends, caller.id(i)),
      });
      const got = outcome(own?.[i], callers[1]);
      const expected = { ...accepted(outcome(theirs?.[i], callers[0]), got), flag: got.flag };
      return JSON.stringify(expected) === JSON.stringify(got) ? [] : [{ i, request, expected, got }];
    });
    if (process.env['INMESH_ENVOY_VERBOSE'] !== undefined) {
      for (const difference of differences) console.log(JSON.stringify(difference));
      const shown = new Set(differences.map(({ request }) => request.table));
      for (const { name, resource } of tables) if (shown.has(name)) console.log(JSON.stringify(resource));
      console.log(`${differences.length} of ${planned.length} differ`);
    }
    expect(differences.slice(0, 3)).toEqual([]);
    // What is compared is worth it: most requests arrive somewhere, and every kind of answer is among the others.
    const all = (own ?? []).map((reply, i) => ({ ...reply, count: backends.seen(callers[1].id(i)).length }));
    expect(all.filter(({ count }) => count > 0).length).toBeGreaterThan(planned.length / 3);
    expect(all.filter(({ count }) => count > 1).length).toBeGreaterThan(planned.length / 30);
    expect(new Set(all.map(({ status }) => status)).size).toBeGreaterThan(12);
  });

  async function replies(caller: Caller): Promise<Reply[]> {
    const replies: Reply[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < planned.length) {
        const i = next++;
        replies[i] = await caller.call(planned[i] as PlannedRequest, i);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return replies;
  }

  /** Mirrored requests come when they come: until both sides have as many, or it is long enough. */
  async function settled(callers: readonly [Caller, Caller]): Promise<void> {
    const same = (_: unknown, i: number): boolean => {
      const [envoys, own] = callers.map((caller) => backends.seen(caller.id(i)).length);
      return envoys === own;
    };
    await vi.waitUntil(() => planned.every(same), { timeout: 3_000 }).catch(() => {});
  }
});

function clustersOn(ports: readonly number[]): Resource[] {
  const [shadow, ...rest] = ports as [number, ...number[]];
  const [ring, maglev] = HASHED_CLUSTERS;
  return [
    staticCluster(SHADOW_CLUSTER, [shadow]),
    ...SINGLE_CLUSTERS.map((name, i) => staticCluster(name, [rest[i] as number])),
    staticCluster(ring, rest, { lb_policy: 'RING_HASH' }),
    staticCluster(maglev, rest, { lb_policy: 'MAGLEV' }),
    ...PARTED_CLUSTERS.map((name, i) => partedCluster(name, rest, FALLBACKS[i] as Resource)),
  ];
}

/** Of `PARTED_CLUSTERS`. */
const FALLBACKS: readonly Resource[] = [
  { fallback_policy: 'NO_FALLBACK' },
  { fallback_policy: 'DEFAULT_SUBSET', default_subset: { fields: { version: { string_value: 'v1' } } } },
];

function partedCluster(name: string, ports: readonly number[], fallback: Resource): Resource {
  const endpoints = LABELS.map((labels, i) => {
    const fields = Object.entries(labels).map(([label, string_value]) => [label, { string_value }]);
    return lbEndpoint('127.0.0.1', ports[i] as number, {
      metadata: { filter_metadata: { 'envoy.lb': { fields: Object.fromEntries(fields) } } },
    });
  });
  return staticCluster(name, [], {
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    lb_subset_config: { ...fallback, subset_selectors: [{ keys: ['version'] }, { keys: ['version', 'stage'] }] },
  });
}
