import { afterEach, expect, test } from 'vitest';
import { type TestMesh, type TestMeshOptions, testMesh } from '../../../src/testing/index.js';
import { FakeClock, settle } from '../../support/fake-clock.js';

let mesh: TestMesh | undefined;
afterEach(() => mesh?.close());

const policy = (limits: string, more = ''): string => `
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: policy }
spec:
  targetRefs: [{ group: "", kind: Service, name: shop }]
  limits:
${limits}
  ${more}`;

const clock = new FakeClock(0, 1_700_000_400_000);
const shop = (config: string, of: Partial<TestMeshOptions> = {}): TestMesh => {
  mesh = testMesh({ services: { shop: () => new Response('ok') }, config, clock, ...of });
  return mesh;
};
const limitsOf = (response: Response): (string | null)[] =>
  ['limit', 'remaining', 'reset'].map((name) => response.headers.get(`x-ratelimit-${name}`));

test('a call beyond a limit fails with RATE_LIMITED before anything is sent, and is not tried again', async () => {
  const { fetch, requests, stats } = shop(
    policy('    - { name: all, limit: { requests: 2, per: 1m, algorithm: fixedWindow } }'),
  );
  expect(limitsOf(await fetch('http://shop/'))).toEqual(['2', '1', '1700000460']);
  expect(limitsOf(await fetch('http://shop/'))).toEqual(['2', '0', '1700000460']);
  await expect(fetch('http://shop/')).rejects.toMatchObject({
    cause: {
      code: 'RATE_LIMITED',
      reached: 'no',
      flag: 'RL',
      origin: 'mesh',
      httpStatus: 429,
      grpcStatus: 8,
      rule: 'default/policy/all',
      retryAfterMs: 60_000,
      headers: { 'retry-after': '60', 'x-ratelimit-remaining': '0' },
      message: 'rate limit "default/policy/all" is reached; the next is let through in 60000 ms',
    },
  });
  expect(requests).toHaveLength(2);
  expect(stats()).toBeDefined();
});

test('limits look at the call as it came, before the route rewrites it', async () => {
  const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route }
spec:
  parentRefs: [{ group: "", kind: Service, name: shop }]
  rules:
    - filters:
        - { type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /same } } }
        - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-user, value: nobody }] } }
      backendRefs: [{ name: shop }]
---`;
  const rule = '    - { name: each, key: [{ header: x-user }, { path: {} }], limit: { requests: 1, per: 1m } }';
  const { fetch, requests } = shop(`${route}${policy(rule)}`);
  const ask = (user: string, path: string): Promise<Response> =>
    fetch(`http://shop${path}`, { headers: { 'x-user': user } });
  await Promise.all([ask('a', '/1'), ask('b', '/1'), ask('a', '/2')]);
  await expect(ask('a', '/1')).rejects.toThrow();
  expect(requests.map(({ request }) => new URL(request.url).pathname)).toEqual(['/same', '/same', '/same']);
});

test('a queued call waits for its turn within its deadline, and one whose deadline is before it is not kept waiting', async () => {
  const { fetch, requests } = shop(
    policy('    - { name: paced, limit: { requests: 10, per: 1s, burst: 1 }, queue: { maxWait: 5s, maxLength: 10 } }'),
  );
  await fetch('http://shop/');
  const waits = fetch('http://shop/');
  const late = fetch('http://shop/', { mesh: { timeoutMs: 150 } });
  await expect(late).rejects.toMatchObject({ cause: { code: 'RATE_LIMITED' } });
  expect(requests).toHaveLength(1);
  await clock.advance(100);
  expect((await waits).status).toBe(200);
  expect(requests).toHaveLength(2);
});

test('a call that waits in a line ends with the mesh, and when its caller gives up', async () => {
  const { fetch, close } = shop(
    policy('    - { name: paced, limit: { requests: 1, per: 1m, burst: 1 }, queue: { maxWait: 5m, maxLength: 10 } }'),
  );
  await fetch('http://shop/');
  const caller = new AbortController();
  const given = fetch('http://shop/', { signal: caller.signal, mesh: { timeoutMs: 300_000 } });
  const held = fetch('http://shop/', { mesh: { timeoutMs: 300_000 } });
  given.catch(() => {});
  held.catch(() => {});
  await settle();
  caller.abort(new Error('enough'));
  await expect(given).rejects.toThrow('enough');
  await close();
  await expect(held).rejects.toMatchObject({ cause: { code: 'MESH_CLOSED' } });
});

test('a shadowed rule changes nothing but the metrics', async () => {
  const rule = '    - { name: all, limit: { requests: 1, per: 1m }, mode: shadow }';
  const { fetch, requests, prometheus } = shop(policy(rule));
  for (let i = 0; i < 3; i++) {
    const response = await fetch('http://shop/');
    expect([response.status, ...limitsOf(response)]).toEqual([200, null, null, null]);
  }
  expect(requests).toHaveLength(3);
  expect(prometheus('prometheus')).toMatch(
    /mesh_limit_refused_total\{mesh_limit_rule="default\/policy\/all",mesh_protocol="http",mesh_limit_shadow="true",mesh_limit_reason="limit"\} 2/,
  );
});

test('a reply from behind another limit tells of the stricter one, and of both', async () => {
  const behind = {
    'x-ratelimit-limit': '5',
    'x-ratelimit-remaining': '1',
    'x-ratelimit-reset': '9',
    ratelimit: '"theirs";r=1;t=9',
  };
  const { fetch } = shop(policy('    - { name: all, limit: { requests: 3, per: 1m, algorithm: fixedWindow } }'), {
    services: { shop: () => new Response('ok', { headers: behind }) },
  });
  const first = await fetch('http://shop/');
  expect(limitsOf(first)).toEqual(['5', '1', '9']);
  expect(first.headers.get('ratelimit')).toBe('"theirs";r=1;t=9, "default/policy/all";r=2;t=60');
  await fetch('http://shop/');
  expect(limitsOf(await fetch('http://shop/'))[1]).toBe('0');
});

test('what calls of a plan use is metered, and read as usage', async () => {
  const quota = `
apiVersion: inmesh.dev/v1alpha1
kind: QuotaPolicy
metadata: { name: plans }
spec:
  targetRefs: [{ group: "", kind: Service, name: shop }]
  subject: [{ header: x-user }]
  plans:
    - { name: free, limits: [{ requests: 2, per: day }] }`;
  const { fetch, usage, prometheus } = shop(quota);
  const ask = (user: string): Promise<number> =>
    fetch('http://shop/', { headers: { 'x-user': user } }).then(
      ({ status }) => status,
      () => 429,
    );
  expect([await ask('a'), await ask('a'), await ask('a'), await ask('b')]).toEqual([200, 200, 429, 200]);
  expect(usage().accounts).toMatchObject([
    { plan: 'free', key: { 'x-user': 'a' }, requests: 2, units: 2, start: '2023-11-14T00:00:00.000Z' },
    { plan: 'free', key: { 'x-user': 'b' }, requests: 1 },
  ]);
  expect(prometheus('prometheus')).toMatch(
    /mesh_quota_used_units_total\{mesh_quota_plan="free"\} 3|mesh_quota_used_total\{mesh_quota_plan="free"\} 3/,
  );
});
