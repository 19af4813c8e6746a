import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { any, toCluster } from '../../support/xds-resources.js';
import { NO_RETRIES } from './actions.js';
import { Both, type Side } from './both.js';
import { envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/* Where chance decides no two requests can be compared, but shares can: each side's is the one that is configured. */

const CALLS = 400;
const to = (cluster: string, match: Resource = {}, action: Resource = {}): Resource =>
  toCluster(cluster, { prefix: '/', ...match }, { retry_policy: NO_RETRIES, ...action });
const fraction = (numerator: number, denominator = 'HUNDRED'): Resource => ({
  default_value: { numerator, denominator },
});
const CORS = 'envoy.filters.http.cors';
const shops = (filter_enabled: Resource): Resource => ({
  typed_per_filter_config: {
    [CORS]: any('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
      allow_origin_string_match: [{ exact: 'https://shop.example' }],
      filter_enabled,
    }),
  },
});

const TABLES = {
  fraction: [to('red', { runtime_fraction: fraction(30) }), to('green')],
  small: [to('red', { runtime_fraction: fraction(50_000, 'MILLION') }), to('green')],
  weights: [to('red', {}, { cluster: undefined, ...weighted({ red: 7, green: 2, blue: 1 }) })],
  ids: [
    to(
      'red',
      {},
      { cluster: undefined, ...weighted({ red: 1, green: 1 }), hash_policy: [{ header: { header_name: 'x-absent' } }] },
    ),
  ],
  mirrors: [to('red', {}, { request_mirror_policies: [{ cluster: 'green', runtime_fraction: fraction(25) }] })],
  cors: [{ ...to('red'), ...shops(fraction(40)) }],
};

function weighted(weights: Readonly<Record<string, number>>): Resource {
  const clusters = Object.entries(weights).map(([name, value]) => ({ name, weight: { value } }));
  return { weighted_clusters: { clusters } };
}

describe.skipIf(envoyBinary === undefined)('beside Envoy, shares are as configured', () => {
  let both: Both;
  let ports: readonly number[] = [];

  beforeAll(async () => {
    both = await Both.start({
      tables: TABLES,
      backends: 3,
      clusters: (given) => {
        ports = given;
        return ['red', 'green', 'blue'].map((name, i) => staticCluster(name, [given[i] as number]));
      },
      filters: [{ name: CORS, typed_config: any('envoy.extensions.filters.http.cors.v3.Cors') }],
    });
  });
  afterAll(() => both?.close());

  /** Five standard deviations of a binomial distribution. */
  const expectShare = (count: number, share: number, about: string): void => {
    const within = 5 * Math.sqrt(CALLS * share * (1 - share));
    expect(Math.abs(count - CALLS * share), `${about}: ${count} of ${CALLS}`).toBeLessThan(within);
  };
  const counts = async (side: Side, table: keyof typeof TABLES): Promise<number[]> => {
    const outcomes = await Promise.all(Array.from({ length: CALLS }, () => side.ask(table)));
    return ports.map((port) => outcomes.filter(({ arrived }) => arrived[0]?.port === port).length);
  };

  test.each([
    ['fraction', [0.3, 0.7, 0]],
    ['small', [0.05, 0.95, 0]],
    ['weights', [0.7, 0.2, 0.1]],
    ['ids', [0.5, 0.5, 0]],
  ] as const)('among clusters: %s', async (table, shares) => {
    for (const side of both.sides) {
      const found = await counts(side, table);
      expect(found.reduce((sum, count) => sum + count, 0)).toBe(CALLS);
      for (const [i, share] of shares.entries()) {
        if (share === 0) expect(found[i]).toBe(0);
        else expectShare(found[i] as number, share, `${side.name}, ${i}`);
      }
    }
  });

  test('of copies', async () => {
    for (const side of both.sides) {
      const before = side.arrivals().length;
      await Promise.all(Array.from({ length: CALLS }, () => side.ask('mirrors')));
      await vi.waitFor(() => expectShare(side.arrivals().length - before - CALLS, 0.25, side.name));
    }
  });

  test('of pages that CORS is for', async () => {
    const headers = { origin: 'https://shop.example' };
    for (const side of both.sides) {
      const outcomes = await Promise.all(Array.from({ length: CALLS }, () => side.ask('cors', { headers })));
      const allowed = outcomes.filter((it) =>
        it.headers.some((field) => field.startsWith('access-control-allow-origin:')),
      );
      expectShare(allowed.length, 0.4, side.name);
    }
  });
});
