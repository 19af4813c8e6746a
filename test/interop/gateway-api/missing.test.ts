import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Backends } from '../envoy/backend.js';
import { Caller } from '../envoy/client.js';
import { envoyBinary } from '../envoy/envoy.js';
import { prefix } from './case.js';
import { decidedByEnvoy, decidedByUs, type Side } from './sides.js';

/*
 * Backends that are not there, as in a cluster where a Service is gone before its route (a file that names one is refused): httproute-invalid-nonexistent-backendref
 * of Gateway API's conformance suite, and "the rest of the traffic" of HTTPBackendRef.
 */

const CALLS = 200;
const SIDES = [
  ['by us', decidedByUs],
  ...(envoyBinary === undefined ? [] : [['by an Envoy', decidedByEnvoy] as const]),
] as const;

describe.each(SIDES)('Gateway API, backends that are not there, %s', (name, start) => {
  let backends: Backends;
  let side: Side;
  let caller: Caller;
  let calls = 0;

  beforeAll(async () => {
    backends = await Backends.start(2);
    const ref = (to: string, weight = 1): object => ({ name: to, port: 80, weight });
    const documents = [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'shop' },
        spec: { endpoints: [`127.0.0.1:${backends.ports[1]}`] },
      },
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'HTTPRoute',
        metadata: { name: 'shop' },
        spec: {
          parentRefs: [{ group: '', kind: 'Service', name: 'shop' }],
          rules: [
            { matches: [prefix('/none')], backendRefs: [ref('nonexistent')] },
            { matches: [prefix('/some')], backendRefs: [ref('nonexistent', 3), ref('shop', 7)] },
            { matches: [prefix('/')], backendRefs: [ref('shop')] },
          ],
        },
      },
    ];
    side = await start(documents.map((document) => `---\n${JSON.stringify(document)}\n`).join(''));
    caller = new Caller(`missing-${name}`, (host) => side.port(host));
  });

  afterAll(async () => {
    caller?.close();
    await side?.close();
    await backends?.close();
  });

  const statusOf = async (path: string): Promise<number> => {
    const planned = { table: 'shop', method: 'GET', path, host: 'shop', headers: [] };
    return (await caller.call(planned, calls++)).status;
  };

  test('requests for a backend that is not there have 500, others are served', async () => {
    expect(await statusOf('/none')).toBe(500);
    expect(await statusOf('/other')).toBe(200);
  });

  test('of several backends, the share of one that is not there has 500', async () => {
    const statuses = await Promise.all(Array.from({ length: CALLS }, () => statusOf('/some')));
    const failed = statuses.filter((status) => status === 500).length;
    expect(statuses.filter((status) => status === 200)).toHaveLength(CALLS - failed);
    // Five standard deviations of a binomial distribution.
    expect(Math.abs(failed - CALLS * 0.3)).toBeLessThan(5 * Math.sqrt(CALLS * 0.3 * 0.7));
  });
});
