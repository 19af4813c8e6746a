import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import type { Resource } from '../../../src/core/resources.js';
import { listenerResource, resourceSet, routeResource, routerFilter } from '../../support/xds-resources.js';
import { Backends } from './backend.js';
import { Envoy, envoyBinary } from './envoy.js';
import { OurSide, staticCluster } from './our-side.js';
import { byUser, get, rateLimitFilter } from './rate-limited.js';

/*
 * The same filter, `envoy.filters.http.ratelimit`, in an Envoy and in our proxy: both ask the same service, each for users of its own. Windows are of a year, so
 * that none of them ends while a test runs.
 */

const LIMITS = `
domain: edge
descriptors:
  - { key: user, rate_limit: { unit: year, requests_per_unit: 3 } }
  - { key: plan, value: free, descriptors: [{ key: user, rate_limit: { unit: year, requests_per_unit: 1 } }] }
`;
/** What is told of limits, without the second in which it was asked; ours says when to come again, too. */
const TOLD = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-envoy-ratelimited', 'x-why'];

describe.skipIf(envoyBinary === undefined)('limits that a service knows, in an Envoy and in ours', () => {
  const opened: (() => Promise<unknown>)[] = [];
  let rls: number;
  beforeEach(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'inmesh-rls-'));
    opened.push(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'limits.yaml'), LIMITS);
    const plane = await startControlPlane({ rateLimits: folder, listen: '127.0.0.1:0' });
    opened.push(() => plane.close());
    rls = plane.port;
  });
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });

  /** Asks both, each under names of its own, and resolves with what both say. */
  async function start(fields: Resource = {}, port = rls) {
    const backends = await Backends.start(1);
    opened.push(() => backends.close());
    const routes = [routeResource('web', [byUser('web')])];
    const clusters = [
      staticCluster('web', backends.ports),
      staticCluster('rls', [port], { http2_protocol_options: {} }),
    ];
    const filters = [rateLimitFilter('10s', fields), routerFilter];
    const envoy = await Envoy.start({ binary: envoyBinary as string, routes, clusters, filters });
    opened.push(() => envoy.close());
    expect(envoy.reasons).toEqual([]);
    const http_filters = [rateLimitFilter({ seconds: 10 }, fields), routerFilter];
    const lds = [listenerResource('web', 'web', { http_filters })];
    const ours = await OurSide.start(resourceSet({ lds, rds: routes, cds: clusters }));
    opened.push(() => ours.close());
    expect(ours.refusals).toEqual([]);
    return async (user: string, headers: Readonly<Record<string, string>> = {}) => {
      const sides = [
        ['envoy', envoy.ports.get('web') as number],
        ['ours', ours.proxy.port],
      ] as const;
      const [theirs, found] = await Promise.all(
        sides.map(async ([side, at]) => {
          const own: Record<string, string> = user === '' ? {} : { 'x-user': `${side}-${user}` };
          const reply = await get(at, { host: 'web', ...own, ...headers });
          return [reply.status, ...TOLD.map((name) => `${name}: ${reply.headers[name]}`)];
        }),
      );
      expect(found).toEqual(theirs);
      return found?.[0];
    };
  }

  test('the same requests pass, the same are refused, and replies say the same of it', async () => {
    const both = await start();
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push(await both('ann'));
    for (let i = 0; i < 2; i++) statuses.push(await both('bob', { 'x-plan': 'free' }));
    statuses.push(await both('eve', { 'x-plan': 'gold' }), await both(''));
    expect(statuses).toEqual([200, 200, 200, 429, 200, 429, 200, 200]);
  });

  test('another status and other header fields for refusals, and another domain', async () => {
    const both = await start({
      rate_limited_status: { code: 'ServiceUnavailable' },
      response_headers_to_add: [{ header: { key: 'x-why', value: 'limits' } }],
      disable_x_envoy_ratelimited_header: true,
    });
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push(await both('ann'));
    expect(statuses).toEqual([200, 200, 200, 503]);
    const elsewhere = await start({ domain: 'elsewhere' });
    for (let i = 0; i < 4; i++) expect(await elsewhere('ann')).toBe(200);
  });

  test('a service that is not there lets requests through, or none, as the filter says', async () => {
    const open = await start({}, 1);
    expect(await open('ann')).toBe(200);
    const closed = await start(
      { failure_mode_deny: true, response_headers_to_add: [{ header: { key: 'x-why', value: 'limits' } }] },
      1,
    );
    expect(await closed('ann')).toBe(500);
  });
});
