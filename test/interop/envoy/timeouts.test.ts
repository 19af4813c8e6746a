import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Resource } from '../../../src/core/resources.js';
import { toCluster } from '../../support/xds-resources.js';
import { FAIL } from './backend.js';
import { Both } from './both.js';
import { envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';

/* What becomes of a server that does not answer: how often it is tried, and what the client gets in the end. The same from both. */

/** Longer than a busy machine needs to answer. */
const CALL = { nanos: 400_000_000 };
const PER_TRY = { nanos: 500_000_000 };
const backOff = { base_interval: { nanos: 1_000_000 }, max_interval: { nanos: 2_000_000 } };
const retry = (retry_on: string, fields: Resource = {}): Resource => ({
  retry_policy: { retry_on, retry_back_off: backOff, per_try_timeout: PER_TRY, ...fields },
});

/** Of a route action; how many attempts the server leaves without an answer; status and attempts. */
const CASES: Readonly<Record<string, readonly [Resource, number, number, number]>> = {
  'the route’s limit': [{ timeout: CALL, retry_policy: { retry_on: '' } }, 9, 504, 1],
  'the route’s limit, whatever may be tried again': [
    { timeout: CALL, retry_policy: { retry_on: '5xx,gateway-error' } },
    9,
    504,
    1,
  ],
  'an attempt’s limit, once': [retry('5xx'), 1, 200, 2],
  'an attempt’s limit, as often as it is tried': [retry('5xx', { num_retries: { value: 2 } }), 9, 504, 3],
  'an attempt’s limit, for a gateway’s errors': [retry('gateway-error'), 1, 200, 2],
  // Nobody sent the 504.
  'an attempt’s limit, for statuses that are named': [
    retry('retriable-status-codes', { retriable_status_codes: [504] }),
    1,
    504,
    1,
  ],
  'an attempt’s limit, for resets': [retry('reset'), 1, 200, 2],
  'an attempt’s limit, for connections that fail': [retry('connect-failure'), 1, 504, 1],
  'an attempt’s limit, for 409': [retry('retriable-4xx'), 1, 504, 1],
  'an attempt’s limit, for nothing': [retry(''), 1, 504, 1],
  'an attempt’s limit that is longer than the call’s': [{ ...retry('5xx'), timeout: CALL }, 9, 504, 1],
  'an attempt’s limit in a call without one': [{ ...retry('5xx'), timeout: {} }, 1, 200, 2],
  'a time in which nothing moves in an attempt': [
    retry('5xx', { per_try_timeout: {}, per_try_idle_timeout: PER_TRY }),
    1,
    200,
    2,
  ],
};

describe.skipIf(envoyBinary === undefined)('beside Envoy, a server that does not answer is given up', () => {
  const names = Object.keys(CASES);
  let both: Both;

  beforeAll(async () => {
    both = await Both.start({
      tables: Object.fromEntries(
        names.map((name, i) => [`t${i}`, [toCluster('red', undefined, (CASES[name] as (typeof CASES)[string])[0])]]),
      ),
      backends: 1,
      clusters: (ports) => [staticCluster('red', ports)],
    });
    // Connections and code are there before time counts.
    await both.each((side) => side.ask('t0'));
  });
  afterAll(() => both?.close());

  test.concurrent.each(names.map((name, i) => [name, i] as const))('by %s', async (name, i) => {
    const [, hangs, status, attempts] = CASES[name] as (typeof CASES)[string];
    const outcomes = await both.each((side) => side.ask(`t${i}`, { headers: { [FAIL]: `${hangs};hang` } }));
    expect(outcomes.map((it) => [it.status, it.arrived.length])).toEqual([
      [status, attempts],
      [status, attempts],
    ]);
  });
});
