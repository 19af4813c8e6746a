import { afterEach, describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import type { ProxyOptions } from '../../src/proxy/index.js';
import { RateLimitedError } from '../../src/resilience/ratelimit/errors.js';
import { testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { answerOf, Cleanup, get, proxyFor, session } from './support.js';

/* Limits of routes, kept by a proxy for clients that cannot: the client's address is that of its connection, and refusals are answers like others. */

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const LIMITS = `
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  limits: [{ name: each, key: [{ remoteAddress: {} }], limit: { requests: 2, per: 1m } }]
`;
const GRPC = { ':method': 'POST', ':path': '/test.Echo/unary', 'content-type': 'application/grpc', te: 'trailers' };

async function limited(options: Partial<ProxyOptions> = {}) {
  const clock = new FakeClock();
  let calls = 0;
  const mesh = testMesh({
    clock,
    config: LIMITS,
    services: {
      reviews: () => {
        calls++;
        return new Response('ok');
      },
    },
  });
  cleanup.add(mesh, (it) => it.close());
  const proxy = await proxyFor(cleanup, mesh.service, options);
  return { proxy, clock, calls: () => calls };
}

describe('a proxy before a service with limits', () => {
  test('HTTP/1.1: what is left, and 429 with when to come again', async () => {
    const { proxy, clock, calls } = await limited();
    const ask = () => get(proxy.port, { headers: { host: 'reviews' } });
    const said = [];
    for (let i = 0; i < 3; i++) said.push(await ask());
    expect(
      said.map(({ status, headers }) => [status, headers['x-ratelimit-remaining'], headers['retry-after']]),
    ).toEqual([
      [200, '1', undefined],
      [200, '0', undefined],
      [429, '0', '30'],
    ]);
    expect(said[2]?.headers['mesh-error']).toBe('RL');
    expect(JSON.parse(said[2]?.text ?? '')).toMatchObject({ code: 'RATE_LIMITED', origin: 'mesh' });
    expect(calls()).toBe(2);
    clock.advance(30_000);
    expect((await ask()).status).toBe(200);
  });

  test('HTTP/2: the same, and by the same count', async () => {
    const { proxy } = await limited();
    await get(proxy.port, { headers: { host: 'reviews' } });
    const h2 = session(cleanup, proxy);
    const said = [];
    for (let i = 0; i < 2; i++) said.push((await answerOf(h2.request({ ':authority': 'reviews' }))).headers);
    expect(
      said.map((headers) => [headers[':status'], headers['x-ratelimit-remaining'], headers['retry-after']]),
    ).toEqual([
      [200, '0', undefined],
      [429, '0', '30'],
    ]);
  });

  test('gRPC: RESOURCE_EXHAUSTED with a pushback', async () => {
    const { proxy } = await limited();
    for (let i = 0; i < 2; i++) await get(proxy.port, { headers: { host: 'reviews' } });
    const { headers } = await answerOf(
      session(cleanup, proxy)
        .request({ ...GRPC, ':authority': 'reviews' })
        .end(),
    );
    expect([headers['grpc-status'], headers['grpc-retry-pushback-ms'], headers['x-ratelimit-remaining']]).toEqual([
      '8',
      '30000',
      '0',
    ]);
  });

  test('clients behind trusted proxies count by their own addresses', async () => {
    const { proxy } = await limited({ trustedHops: 1 });
    const from = async (address: string) =>
      (await get(proxy.port, { headers: { host: 'reviews', 'x-forwarded-for': `6.6.6.6, ${address}` } })).status;
    const statuses = [];
    for (const address of ['1.1.1.1', '1.1.1.1', '1.1.1.1', '2.2.2.2']) statuses.push(await from(address));
    expect(statuses).toEqual([200, 200, 429, 200]);
  });
});

describe('a refusal for which a rate limit service has a body of its own', () => {
  const refusing = (said: Record<string, string> = {}) => {
    const body = Buffer.from('<p>come again</p>');
    const reply = { status: 429, grpcStatus: 8, retryAfterMs: undefined, headers: headerFields() } as const;
    return proxyFor(cleanup, (call) => {
      call.record.changeReply(({ headers }) => Object.assign(headers, said));
      return Promise.reject(new RateLimitedError({ kind: 'refused', rule: 'rule', flag: 'RL', ...reply, body }));
    });
  };

  test('has that one, as text unless the service says what it is', async () => {
    const plain = await get((await refusing()).port, { headers: { host: 'reviews' } });
    expect([plain.status, plain.text]).toEqual([429, '<p>come again</p>']);
    expect(plain.headers).toMatchObject({ 'content-type': 'text/plain', 'content-length': '17', 'mesh-error': 'RL' });
    const html = await get((await refusing({ 'content-type': 'text/html' })).port, { headers: { host: 'reviews' } });
    expect(html.headers['content-type']).toBe('text/html');
  });

  test('is over gRPC a status and no body', async () => {
    const { headers, body } = await answerOf(
      session(cleanup, await refusing()).request({ ...GRPC, ':authority': 'reviews' }),
    );
    expect([headers['grpc-status'], headers['content-type'], body.toString()]).toEqual(['8', 'application/grpc', '']);
  });
});
