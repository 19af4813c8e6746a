import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { toCluster } from '../../support/xds-resources.js';
import { FAIL } from './backend.js';
import { Both, type Side } from './both.js';
import type { Outcome } from './client.js';
import { envoyBinary } from './envoy.js';
import { NO_RETRIES } from './actions.js';
import { staticCluster } from './our-side.js';

/* When an endpoint is given up, and when a cluster takes no more: step by step the same from both. */

const LONG = { seconds: 600 };
/** All endpoints may be ejected, and then none of them is used. */
const outliers = (fields: Resource): Resource => ({
  outlier_detection: {
    interval: LONG,
    base_ejection_time: LONG,
    max_ejection_percent: { value: 100 },
    enforcing_success_rate: { value: 0 },
    ...fields,
  },
  common_lb_config: { healthy_panic_threshold: { value: 0 } },
});
const limits = (fields: Resource): Resource => ({
  circuit_breakers: { thresholds: [fields] },
});

const CLUSTERS: Readonly<Record<string, Resource>> = {
  'three 5xx': outliers({ consecutive_5xx: { value: 3 } }),
  'two gateway errors': outliers({
    consecutive_5xx: { value: 100 },
    consecutive_gateway_failure: { value: 2 },
    enforcing_consecutive_gateway_failure: { value: 100 },
  }),
  'three 5xx, without force': outliers({ consecutive_5xx: { value: 3 }, enforcing_consecutive_5xx: { value: 0 } }),
  'two failures of its own': outliers({
    split_external_local_origin_errors: true,
    consecutive_5xx: { value: 3 },
    consecutive_local_origin_failure: { value: 2 },
  }),
  'three 5xx, of half at most': { ...outliers({ consecutive_5xx: { value: 3 }, max_ejection_percent: { value: 50 } }) },
  'three 5xx, in panic': {
    ...outliers({ consecutive_5xx: { value: 3 } }),
    common_lb_config: { healthy_panic_threshold: { value: 50 } },
  },
  'three requests': limits({ max_requests: { value: 3 } }),
  'one connection, and two that wait': limits({ max_connections: { value: 1 }, max_pending_requests: { value: 2 } }),
  'no retries': limits({ max_retries: { value: 0 } }),
};
const names = Object.keys(CLUSTERS);

/** What a backend is told to do, request by request. */
const SEQUENCES: readonly (readonly [cluster: string, asked: readonly string[], arrivals: number])[] = [
  ['three 5xx', ['500', '503', '500', '', ''], 3],
  ['three 5xx', ['500', '503', '', '500', '404', '500', '429', '500', '500', '500', ''], 10],
  ['three 5xx', ['reset', '502', 'reset', ''], 3],
  ['three 5xx, without force', ['500', '500', '500', '500', ''], 5],
  ['two gateway errors', ['500', '500', '500', '502', '500', '503', '504', ''], 7],
  ['two gateway errors', ['reset', 'reset', ''], 2],
  ['two failures of its own', ['500', '500', 'reset', '500', 'reset', ''], 4],
  ['two failures of its own', ['500', '500', '500', ''], 3],
  ['three 5xx, of half at most', ['500', '500', '500', '500', ''], 5],
  ['three 5xx, in panic', ['500', '500', '500', '500', ''], 5],
];

describe.skipIf(envoyBinary === undefined)('beside Envoy', () => {
  let both: Both;

  beforeAll(async () => {
    const tables: Record<string, Resource[]> = {};
    for (const i of SEQUENCES.keys()) tables[`s${i}`] = [toCluster(`s${i}`, undefined, { retry_policy: NO_RETRIES })];
    const retry_back_off = { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } };
    for (const [i, name] of names.entries()) {
      const retry_policy = name === 'no retries' ? { retry_on: '5xx', retry_back_off } : NO_RETRIES;
      tables[`l${i}`] = [toCluster(`l${i}`, undefined, { retry_policy, timeout: { nanos: 800_000_000 } })];
    }
    both = await Both.start({
      tables,
      backends: 1,
      clusters: (ports) => [
        ...SEQUENCES.map(([name], i) => staticCluster(`s${i}`, ports, CLUSTERS[name])),
        ...names.map((name, i) => staticCluster(`l${i}`, ports, CLUSTERS[name])),
      ],
    });
  });
  afterAll(() => both?.close());

  /** A connection that ends is noticed by the next request only if it is not another's: POST, which is not sent again on its own. */
  const ask = (side: Side, table: string, how: string): Promise<Outcome> =>
    side.ask(table, { method: 'POST', headers: how === '' ? {} : { [FAIL]: `9;${how}` } });
  const told = ({ status, arrived, headers }: Outcome) => ({
    status,
    arrived: arrived.length,
    overloaded: headers.some((field) => field === 'x-envoy-overloaded: true'),
  });

  test.each(SEQUENCES.map((it, i) => [...it, i] as const))(
    'an endpoint is ejected at the same step: %s after %j',
    async (_, asked, arrivals, i) => {
      const [theirs, ours] = await both.each(async (side) => {
        const outcomes = [];
        for (const how of asked) {
          outcomes.push(told(await ask(side, `s${i}`, how)));
          await side.turn();
        }
        return outcomes;
      });
      expect(ours).toEqual(theirs);
      expect(ours.reduce((sum, { arrived }) => sum + arrived, 0)).toBe(arrivals);
    },
  );

  test.each([
    ['three requests', 5, 2],
    ['one connection, and two that wait', 5, 2],
  ] as const)('a cluster takes %s at once: of %d, %d are refused', async (name, count, refused) => {
    const table = `l${names.indexOf(name)}`;
    const outcomes = await both.each(async (side) => {
      // A call for which a connection is being opened waits to Envoy, and not to ours.
      await side.ask(table);
      const found = await Promise.all(Array.from({ length: count }, () => ask(side, table, 'hang')));
      // Who waited until the time of the one before was over may arrive, or be over too.
      return found.map((outcome) => ({ ...told(outcome), arrived: undefined }));
    });
    for (const found of outcomes) {
      expect(found.filter(({ status, overloaded }) => status === 503 && overloaded)).toHaveLength(refused);
      expect(found.filter(({ status, overloaded }) => status === 504 && !overloaded)).toHaveLength(count - refused);
    }
  });

  test('a cluster that takes no retries has none', async () => {
    const [theirs, ours] = await both.each(async (side) =>
      told(await ask(side, `l${names.indexOf('no retries')}`, '503')),
    );
    expect(ours).toEqual(theirs);
    expect(ours).toMatchObject({ status: 503, arrived: 1 });
  });
});
