import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import type { Resource } from '../../../src/core/resources.js';
import { routeResource, routerFilter } from '../../support/xds-resources.js';
import { Backends } from './backend.js';
import { Envoy, envoyBinary } from './envoy.js';
import { staticCluster } from './our-side.js';
import { type Answer, byUser, get, rateLimitFilter } from './rate-limited.js';

/* An Envoy that asks our rate limit service. Windows are of a year, so that none of them ends while a test runs. */

const LIMITS = `
domain: edge
descriptors:
  - { key: user, rate_limit: { unit: year, requests_per_unit: 2 } }
  - { key: user, value: root, rate_limit: { unlimited: true } }
  - { key: user, value: trial, shadow_mode: true, rate_limit: { unit: year, requests_per_unit: 1 } }
  - key: plan
    value: free
    descriptors:
      - { key: user, rate_limit: { unit: year, requests_per_unit: 1 } }
`;

describe.skipIf(envoyBinary === undefined)('an Envoy that asks our rate limit service', () => {
  const closing: (() => Promise<unknown>)[] = [];
  let backends: Backends;
  let folder: string;

  beforeAll(async () => {
    backends = await Backends.start(1);
    closing.push(() => backends.close());
    folder = await mkdtemp(join(tmpdir(), 'inmesh-rls-'));
    closing.push(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'limits.yaml'), LIMITS);
  });
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  });

  /** `plane`: undefined is a port where nobody listens. */
  async function start(plane: ControlPlane | undefined, more: Resource = {}) {
    const rls = staticCluster('rls', [plane?.port ?? 1], { http2_protocol_options: {} });
    const envoy = await Envoy.start({
      binary: envoyBinary as string,
      routes: [routeResource('web', [byUser('web')])],
      clusters: [staticCluster('web', backends.ports), rls],
      filters: [rateLimitFilter('10s', more), routerFilter],
    });
    closing.push(() => envoy.close());
    expect(envoy.reasons).toEqual([]);
    const port = envoy.ports.get('web') as number;
    return (headers: Readonly<Record<string, string>>): Promise<Answer> => get(port, headers);
  }

  async function serve(): Promise<ControlPlane> {
    const plane = await startControlPlane({ rateLimits: folder, listen: '127.0.0.1:0' });
    closing.push(() => plane.close());
    return plane;
  }

  test('lets requests through up to the limit, refuses the next with 429, and says how much is left', async () => {
    const ask = await start(await serve());
    const YEAR_S = 365 * 86_400;
    for (const remaining of ['1', '0']) {
      const { status, headers } = await ask({ 'x-user': 'ann' });
      expect(status).toBe(200);
      expect(headers).toMatchObject({ 'x-ratelimit-limit': `2, 2;w=${YEAR_S}`, 'x-ratelimit-remaining': remaining });
      expect(Number(headers['x-ratelimit-reset'])).toBeGreaterThan(0);
    }
    const refused = await ask({ 'x-user': 'ann' });
    expect(refused.status).toBe(429);
    expect(refused.headers).toMatchObject({ 'x-envoy-ratelimited': 'true', 'x-ratelimit-remaining': '0' });
    expect((await ask({ 'x-user': 'bob' })).status).toBe(200);
  });

  test('asks for all descriptors of a request at once: the strictest decides, and what has no limit limits nothing', async () => {
    const ask = await start(await serve());
    expect((await ask({ 'x-user': 'eve', 'x-plan': 'free' })).headers).toMatchObject({ 'x-ratelimit-remaining': '0' });
    expect((await ask({ 'x-user': 'eve', 'x-plan': 'free' })).status).toBe(429);
    expect((await ask({ 'x-user': 'dan', 'x-plan': 'gold' })).status).toBe(200);
    expect((await ask({})).status).toBe(200);
  });

  test('hears nothing of a limit in shadow mode but what is left, and never an end of what is unlimited', async () => {
    const ask = await start(await serve());
    for (let i = 0; i < 3; i++) {
      const trial = await ask({ 'x-user': 'trial' });
      expect(trial).toMatchObject({ status: 200, headers: { 'x-ratelimit-remaining': '0' } });
      expect((await ask({ 'x-user': 'root' })).status).toBe(200);
    }
  });

  test('is let through in a domain that nobody configured', async () => {
    const ask = await start(await serve(), { domain: 'elsewhere' });
    for (let i = 0; i < 3; i++) expect((await ask({ 'x-user': 'ann' })).status).toBe(200);
  });

  test('does as its own configuration says where the service is not there', async () => {
    const open = await start(undefined);
    expect((await open({ 'x-user': 'ann' })).status).toBe(200);
    const closed = await start(undefined, { failure_mode_deny: true });
    expect((await closed({ 'x-user': 'ann' })).status).toBe(500);
  });
});
