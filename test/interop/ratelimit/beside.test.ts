import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unary } from '../../../src/client/grpc/unary.js';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import type { RlsDescriptor, RlsRequest, RlsResponse } from '../../../src/core/rls.js';
import { seededRandom } from '../../../src/core/random.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { rateLimitService } from '../../../src/resilience/ratelimit/rls/service.js';
import { descriptor, RlsClient, requestOf } from '../../controlplane/ratelimit/support.js';
import { GoRateLimit, missing } from './program.js';

/*
 * envoyproxy/ratelimit, which most people run, and ours: of the same file they say the same, and our client understands both. Windows are of a year, so that none
 * of them ends while a test runs.
 */
if (missing !== undefined) console.warn(`interop with envoyproxy/ratelimit is skipped: ${missing}`);

const year = (requests: number, more = ''): string =>
  `rate_limit: { unit: year, requests_per_unit: ${requests}${more} }`;
const LIMITS = `
domain: edge
descriptors:
  - { key: user, ${year(3, ', name: users')} }
  - { key: user, value: root, rate_limit: { unlimited: true } }
  - { key: user, value: "bot*", ${year(1)} }
  - { key: user, value: "crawler*", share_threshold: true, ${year(4)} }
  - { key: user, value: "trial", shadow_mode: true, ${year(1)} }
  - { key: user, value: "quota", quota_mode: true, ${year(1)} }
  - { key: user, value: 007, ${year(2)} }
  - key: path
    value: /login
    ${year(6)}
    descriptors:
      - { key: user, ${year(2)} }
      - { key: user, value: ann, ${year(5)} }
  - { key: closed, ${year(0)} }
  - { key: vip, ${year(100, ', replaces: [{ name: users }]')} }
  - { key: tokens, ${year(20)} }
`;

describe.skipIf(missing !== undefined)('beside envoyproxy/ratelimit', () => {
  let theirs: GoRateLimit;
  let ours: ControlPlane;
  let folder: string;
  const clients: RlsClient[] = [];

  beforeAll(async () => {
    theirs = await GoRateLimit.start(LIMITS);
    folder = await mkdtemp(join(tmpdir(), 'inmesh-rls-'));
    await writeFile(join(folder, 'limits.yaml'), LIMITS);
    ours = await startControlPlane({ rateLimits: folder, listen: '127.0.0.1:0' });
    clients.push(new RlsClient(theirs.port), new RlsClient(ours.port));
  }, 60_000);
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all([theirs?.stop(), ours?.close()]);
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  /** Both answers, theirs first; when a window ends is a matter of the second in which each is asked. */
  const both = (
    request: RlsRequest,
  ): Promise<(Omit<RlsResponse, 'rawBody'> & { readonly reset: readonly boolean[] })[]> =>
    Promise.all(
      clients.map(async (client) => {
        const { rawBody: _, ...response } = await client.ask(request);
        const reset = response.statuses.map(({ resetMs }) => resetMs !== undefined && resetMs > 0);
        return { ...response, statuses: response.statuses.map((it) => ({ ...it, resetMs: undefined })), reset };
      }),
    );

  async function same(request: RlsRequest): Promise<RlsResponse['overallCode']> {
    const [expected, found] = await both(request);
    expect(found, JSON.stringify(request)).toEqual(expected);
    return found?.overallCode as number;
  }

  test('each answer is the same, for three hundred requests in a row', async () => {
    const random = seededRandom(20);
    const pick = <T>(list: readonly T[]): T => list[random.int(list.length)] as T;
    const users = ['ann', 'bob', 'root', 'bot1', 'bot2', 'crawler1', 'crawler2', 'trial', '007', '7', ''];
    const descriptors: readonly (() => string)[] = [
      () => `user=${pick(users)}`,
      () => `path=/login,user=${pick(users)}`,
      () => 'path=/login',
      () => 'path=/other',
      () => 'closed=',
      () => 'vip=yes',
      () => `user=${pick(users)},path=/login`,
      () => 'nobody=knows',
    ];
    const seen = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const list = Array.from({ length: 1 + random.int(3) }, () => pick(descriptors)());
      seen.add(await same(requestOf(random.next() < 0.05 ? 'elsewhere' : 'edge', ...list)));
    }
    expect(seen).toEqual(new Set([1, 2]));
  });

  test('hits of a request and of a descriptor count the same, beyond the limit too', async () => {
    const hits = (key: string, hitsAddend: number): RlsRequest => ({
      ...requestOf('edge', `tokens=${key}`),
      hitsAddend,
    });
    const codes = [];
    for (const count of [8, 5, 0, 5, 3, 1, 1]) codes.push(await same(hits('a', count)));
    expect(codes).toEqual([1, 1, 1, 1, 2, 2, 2]);
    const own = (hitsAddend: number): RlsDescriptor => descriptor('tokens=b', { hitsAddend });
    for (const count of [0, 7, 0, 8, 9, 0, 1]) await same(requestOf('edge', own(count)));
  });

  test('a limit that comes with the request counts the same', async () => {
    const own = descriptor('user=eve', { limit: { requestsPerUnit: 2, unit: 6 } });
    const codes = [];
    for (let i = 0; i < 3; i++) codes.push(await same(requestOf('edge', own)));
    expect(codes).toEqual([1, 1, 2]);
  });

  test('requests that cannot be answered are refused by both', async () => {
    for (const request of [requestOf('', 'user=ann'), requestOf('edge')]) {
      for (const client of clients) await expect(client.ask(request)).rejects.toThrow();
    }
  });

  describe('our client', () => {
    let mesh: Mesh;
    beforeAll(() => {
      mesh = meshClient({
        services: { theirs: [`127.0.0.1:${theirs.port}`], ours: [`127.0.0.1:${ours.port}`] },
        logger: silentLogger,
      });
    });
    afterAll(() => mesh?.close());

    test.each(['theirs', 'ours'])('asks %s through the mesh and understands what it says', async (authority) => {
      const service = rateLimitService(authority, (request) => unary(mesh.service, request));
      const entries = [['user', `of-${authority}`]] as const;
      const ask = (hits: number) =>
        service.shouldRateLimit(
          'edge',
          [
            { entries, hits },
            { entries: [['x', 'y']], hits: 1 },
          ],
          10_000,
        );
      const limit = {
        limit: 3,
        of: { algorithm: 'fixed_window', requests: 3, perMs: 365 * 86_400_000 },
        name: 'users',
      };
      const none = { allowed: true, limit: Infinity, of: undefined };
      expect(await ask(1)).toMatchObject({ allowed: true, states: [{ ...limit, allowed: true, remaining: 2 }, none] });
      expect(await ask(2)).toMatchObject({
        allowed: true,
        states: [{ ...limit, remaining: 0, retryAfterMs: 0 }, none],
      });
      const refused = await ask(1);
      expect(refused).toMatchObject({ allowed: false, states: [{ ...limit, allowed: false, remaining: 0 }, none] });
      expect(refused.states[0]?.retryAfterMs).toBeGreaterThan(0);
    });

    test.each(['theirs', 'ours'])('has no answer of %s to what cannot be answered', async (authority) => {
      const service = rateLimitService(authority, (request) => unary(mesh.service, request));
      await expect(service.shouldRateLimit('', [{ entries: [['a', 'b']], hits: 1 }], 10_000)).rejects.toThrow('domain');
    });
  });
});
