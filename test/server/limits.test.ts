import { channel } from 'node:diagnostics_channel';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CallerRequest } from '../../src/server/caller.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import { meshHandler } from '../../src/server/http.js';
import { Inbound, type InboundOptions } from '../../src/server/inbound.js';
import { type RateLimitOptions, rateLimits } from '../../src/server/limits/options.js';
import { testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { EchoGrpc, FRAMEWORKS } from '../support/inbound-servers.js';
import { SERVER_FACES } from '../support/server-faces.js';

/** Limits that an application gives its server itself, in every framework. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Two at once, and one more every half minute. */
const two = (): RateLimitOptions => ({ requests: 2, perMs: 60_000, name: 'two' });
const said = (headers: Headers): (string | null)[] =>
  ['x-ratelimit-limit', 'x-ratelimit-remaining', 'retry-after', 'mesh-error'].map((name) => headers.get(name));

let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe.each(Object.entries(FRAMEWORKS))('%s: a server with limits', (_, framework) => {
  async function start(options: InboundOptions) {
    const runs = { count: 0 };
    const { port, close } = await framework(() => runs.count++, { clock, ...options });
    closing.push(close);
    const ask = (init: RequestInit = {}): Promise<Response> => fetch(`http://127.0.0.1:${port}/`, init);
    return { runs, ask };
  }

  test('answers what is beyond with 429 before the handler, and says when to come again; the others are told what is left', async () => {
    const { runs, ask } = await start({ limits: two() });
    expect(said((await ask()).headers)).toEqual(['2', '1', null, null]);
    expect(said((await ask()).headers)).toEqual(['2', '0', null, null]);
    const refused = await ask({ method: 'POST', body: 'x' });
    expect([refused.status, ...said(refused.headers)]).toEqual([429, '2', '0', '30', 'RL']);
    expect(refused.headers.get('ratelimit')).toMatch(/^"two";r=0;t=60/);
    expect(refused.headers.get('ratelimit-policy')).toMatch(/^"two";q=2;w=60/);
    expect(await refused.json()).toMatchObject({ code: 'RATE_LIMITED', origin: 'mesh' });
    expect(runs.count).toBe(2);
    clock.advance(30_000);
    expect((await ask()).status).toBe(200);
  });

  test('holds a request in line until its turn, and lets it go when its client leaves', async () => {
    const queue = { maxWaitMs: 60_000, maxLength: 1 };
    const { runs, ask } = await start({ limits: { requests: 1, perMs: 10_000, queue } });
    await ask();
    const leaving = new AbortController();
    const left = ask({ signal: leaving.signal });
    const timers = clock.pending;
    left.catch(() => {});
    await until(() => clock.pending > timers);
    // The line is full.
    expect((await ask()).status).toBe(429);
    leaving.abort();
    await expect(left).rejects.toThrow();
    await until(() => clock.pending === timers);
    const waiting = ask();
    await until(() => clock.pending > timers);
    expect(runs.count).toBe(1);
    clock.advance(10_000);
    expect([(await waiting).status, runs.count]).toEqual([200, 2]);
  });

  test('counts by who is said to call, whom it asks before the limits', async () => {
    const limits: RateLimitOptions = { requests: 1, perMs: 60_000, key: [{ identity: true }, { claim: 'plan' }] };
    const asked: (string | undefined)[] = [];
    const caller = async ({ headers, path, host }: CallerRequest) => {
      asked.push(`${path} ${host.replace(/\d+$/, 'port')}`);
      const name = String(headers['authorization']);
      if (name === 'broken') throw new Error('no token');
      return { principal: name, claims: { plan: headers['x-plan'] } };
    };
    const { ask } = await start({ limits, caller });
    const as = async (authorization: string, plan: string) =>
      (await ask({ headers: { authorization, 'x-plan': plan } })).status;
    expect([await as('a', 'p'), await as('b', 'p'), await as('a', 'q'), await as('a', 'p')]).toEqual([
      200, 200, 200, 429,
    ]);
    expect(asked[0]).toBe('/ 127.0.0.1:port');
    // Who they are nobody can say: they count together.
    expect([await as('broken', 'p'), await as('broken', 'p')]).toEqual([200, 429]);
  });

  test('counts by address: that of the connection, or of the client that trusted proxies tell of', async () => {
    const limits = (): RateLimitOptions => ({ requests: 1, perMs: 60_000, key: [{ remoteAddress: true }] });
    const from = (address: string) => ({ headers: { 'x-forwarded-for': `6.6.6.6, ${address}` } });
    const plain = await start({ limits: limits() });
    expect([(await plain.ask(from('1.1.1.1'))).status, (await plain.ask(from('2.2.2.2'))).status]).toEqual([200, 429]);
    const proxied = await start({ limits: limits(), trustedProxies: 1 });
    const statuses = [];
    for (const address of ['1.1.1.1', '2.2.2.2', '1.1.1.1']) statuses.push((await proxied.ask(from(address))).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  test('one greedy client among fifty does not starve the others', async () => {
    const { ask } = await start({ limits: { requests: 3, perMs: 60_000, key: [{ header: 'x-client' }] } });
    const as = async (client: string): Promise<number> => (await ask({ headers: { 'x-client': client } })).status;
    const greedy = Array.from({ length: 100 }, () => as('greedy'));
    const others = Array.from({ length: 49 }, (_, i) => as(`client-${i}`));
    expect(new Set(await Promise.all(others))).toEqual(new Set([200]));
    expect((await Promise.all(greedy)).filter((status) => status === 200)).toHaveLength(3);
  });

  test('a rule in shadow changes nothing but the metrics', async () => {
    const mesh = testMesh({ services: {}, clock });
    closing.push(() => mesh.close());
    const told: unknown[] = [];
    const listener = (message: unknown): void => void told.push(message);
    channel('mesh:limit:refused').subscribe(listener);
    closing.push(() => channel('mesh:limit:refused').unsubscribe(listener));
    const { ask } = await start({ mesh, limits: { requests: 1, perMs: 60_000, mode: 'shadow', name: 'trial' } });
    for (let i = 0; i < 3; i++) {
      const reply = await ask();
      expect([reply.status, ...said(reply.headers)]).toEqual([200, null, null, null, null]);
    }
    const refused = { kind: 'limit:refused', rule: 'trial', protocol: 'http', shadow: true, reason: 'limit' };
    expect(told).toEqual([refused, refused]);
  });
});

test('node:http2’s requests are counted and answered the same', async () => {
  const server = createHttp2Server(meshHandler((_, response) => response.end('ok'), { clock, limits: two() }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  const ask = () => SERVER_FACES['node:http2']?.ask({ host: '127.0.0.1', port }).told;
  expect((await ask())?.headers['x-ratelimit-remaining']).toBe('1');
  await ask();
  const refused = await ask();
  expect([refused?.status, refused?.headers['retry-after']]).toEqual([429, '30']);
});

test('Hono on a server that is not Node’s knows no address, and counts by the rest', async () => {
  const app = new Hono();
  app.use(honoMiddleware({ clock, limits: two() }));
  app.all('/', (c) => c.text('ok'));
  const replies = [];
  for (let i = 0; i < 3; i++) replies.push(await app.request('http://service/'));
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 429]);
  expect(replies.map(({ headers }) => headers.get('x-ratelimit-remaining'))).toEqual(['1', '0', '0']);
});

describe('grpc-js: a server with limits', () => {
  async function start(options: InboundOptions) {
    const runs = { count: 0 };
    const server = await EchoGrpc.start(() => runs.count++, { clock, ...options });
    closing.push(() => server.close());
    return { server, runs };
  }
  const ended = (stream: grpc.ClientDuplexStream<string, string>): Promise<grpc.StatusObject> =>
    new Promise((resolve) => {
      stream.on('error', () => {}).on('data', () => {});
      stream.on('status', resolve);
    });

  test.each(['unary', 'bidi'] as const)(
    'a %s call beyond ends with RESOURCE_EXHAUSTED and a pushback before the handler',
    async (kind) => {
      const { server, runs } = await start({ limits: two() });
      const call = async (): Promise<grpc.StatusObject | grpc.ServiceError> => {
        if (kind === 'bidi') {
          const stream = server.bidi();
          stream.end();
          return ended(stream);
        }
        return server.unary().then(
          () => ({ code: 0, details: '', metadata: new grpc.Metadata() }),
          (error: grpc.ServiceError) => error,
        );
      };
      expect([(await call()).code, (await call()).code]).toEqual([0, 0]);
      const { code, metadata } = await call();
      expect([code, metadata.get('grpc-retry-pushback-ms'), metadata.get('x-ratelimit-remaining')]).toEqual([
        8,
        ['30000'],
        ['0'],
      ]);
      expect(runs.count).toBe(2);
    },
  );

  test('a reply says what is left: in its head, or with its status where there is no head', async () => {
    const { server } = await start({
      limits: { rules: [{ requests: 9, perMs: 60_000 }], headers: { standard: false } },
    });
    const head = new Promise<grpc.Metadata>((resolve) => {
      void server.unary(undefined, (call) => call.on('metadata', resolve));
    });
    expect((await head).get('x-ratelimit-remaining')).toEqual(['8']);
    const stream = server.bidi();
    stream.end();
    expect((await ended(stream)).metadata.get('x-ratelimit-remaining')).toEqual(['7']);
  });

  test('a call in line waits for its turn, and leaves with its caller', async () => {
    const queue = { maxWaitMs: 60_000, maxLength: 5 };
    const { server, runs } = await start({ limits: { requests: 1, perMs: 10_000, queue } });
    await server.unary();
    let leave = (): void => {};
    const left = server.unary(undefined, (call) => {
      leave = () => call.cancel();
    });
    left.catch(() => {});
    const waiting = server.unary();
    await until(() => clock.pending > 0);
    leave();
    await expect(left).rejects.toMatchObject({ code: grpc.status.CANCELLED });
    // The server hears of it by its socket.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(10_000);
    expect([await waiting, runs.count]).toEqual(['ok', 2]);
  });
});

describe('who shares counts', () => {
  const enter = (inbound: Inbound) =>
    inbound.refusal(
      inbound.context({}, 'http', () => VIEW),
      'http',
    ) === undefined;
  const VIEW = {
    protocol: 'http',
    scheme: 'http',
    method: 'GET',
    path: '/',
    host: 'a',
    headers: {},
    peer: '10.0.0.1',
    raw: {},
  } as const;

  test('servers with the same options, and rules of one name in one mesh', () => {
    const mesh = testMesh({ services: {}, clock });
    closing.push(() => mesh.close());
    const one = { requests: 1, perMs: 60_000 };
    expect([enter(new Inbound({ clock, limits: one })), enter(new Inbound({ clock, limits: one }))]).toEqual([
      true,
      false,
    ]);
    expect(enter(new Inbound({ clock, limits: { ...one } }))).toBe(true);
    const named = { ...one, name: 'shared' };
    expect(enter(new Inbound({ mesh, clock, limits: { ...named } }))).toBe(true);
    expect(enter(new Inbound({ mesh, clock, limits: { ...named } }))).toBe(false);
  });

  test('a request that is looked at again counts once', () => {
    const inbound = new Inbound({ clock, limits: { requests: 1, perMs: 60_000 } });
    const context = inbound.context({}, 'http', () => VIEW);
    for (let i = 0; i < 3; i++) expect(inbound.refusal(context, 'http')).toBeUndefined();
    expect(enter(inbound)).toBe(false);
  });
});

test.each([
  [{ requests: 1 }, 'limits.perMs: must be a number from 1 to 31622400000, got undefined'],
  [{ requests: 1, perMs: 1, burst: 0 }, 'limits.burst: must be a number from 1 to 1000000000, got 0'],
  [{ requests: 1, perMs: 1, perSecond: 1 }, 'limits.perSecond: unknown field'],
  [{ requests: 1, perMs: 1, algorithm: 'leaky' }, 'limits.algorithm: must be one of token_bucket, fixed_window'],
  [{ requests: 1, per: 'day', perMs: 1 }, 'limits.perMs: does not go with per'],
  [{ requests: 1, per: 'day', timeZone: 'Mars/Olympus' }, 'limits.timeZone: must be an IANA time zone'],
  [{ requests: 1, perMs: 1, timeZone: 'UTC' }, 'limits.timeZone: goes with per only'],
  [{ requests: 1, per: '1m', timeZone: 'UTC' }, 'limits.timeZone: goes with per only'],
  [
    { requests: 1, per: 'moment' },
    'limits.per: must be a duration such as 10s or 1m, or one of minute, hour, day, week, month, year, got "moment"',
  ],
  [{ requests: 1, per: '9000h' }, 'limits.per: must be a number from 1 to 31622400000'],
  [[{ requests: 1, perMs: 1, key: [{ cookie: 'a' }] }], 'limits[0].key[0].cookie: unknown field'],
  [[{ requests: 1, perMs: 1, key: [{}] }], 'limits[0].key[0]: must have one of header, query'],
  [{ rules: [] }, 'limits.rules: must be 1 to 64 rules, got 0'],
  [{ rules: [{ requests: 1, perMs: 1 }], status: 200 }, 'limits.status: must be a number from 400 to 599, got 200'],
  [
    { requests: 1, perMs: 1, key: [{ method: true }], overrides: [{ values: [], unlimited: true }] },
    'limits.overrides[0].values: must have a value per entry of key, 1, got 0',
  ],
  [{ requests: 1, perMs: 1, when: { path: 'a' } }, 'limits.when.path: must begin with /, got "a"'],
  [{ requests: 1, perMs: 1, queue: { maxWaitMs: 1 } }, 'limits.queue.maxLength: must be a number from 1 to 100000'],
  [
    [
      { requests: 1, perMs: 1, name: 'a' },
      { requests: 1, perMs: 1, name: 'a' },
    ],
    'limits[1].name: "a" is there already',
  ],
])('%j is refused', (limits, message) => {
  expect(() => new Inbound({ limits: limits as unknown as RateLimitOptions })).toThrow(message);
});

test('time and algorithm may be written as in YAML', () => {
  const rule = (options: object) => rateLimits(options as RateLimitOptions, 'a').rules[0]?.limit;
  expect(rule({ requests: 5, per: '1m30s' })).toEqual(rule({ requests: 5, perMs: 90_000 }));
  expect(rule({ requests: 5, per: '10s', burst: 9 })).toEqual(rule({ requests: 5, perMs: 10_000, burst: 9 }));
  for (const [camel, snake] of [
    ['tokenBucket', 'token_bucket'],
    ['fixedWindow', 'fixed_window'],
    ['slidingWindow', 'sliding_window'],
    ['slidingLog', 'sliding_log'],
  ]) {
    const asYaml = { requests: 5, per: '1s', algorithm: camel };
    expect(rule(asYaml)).toEqual(rule({ requests: 5, perMs: 1_000, algorithm: snake }));
  }
  expect(rule({ requests: 5, per: 'day' })).toMatchObject({ algorithm: 'calendar', per: 'day' });
});

test('a wrong number of trusted proxies is refused', () => {
  expect(() => new Inbound({ trustedProxies: 99 })).toThrow('trustedProxies: must be a number from 0 to 16, got 99');
});
