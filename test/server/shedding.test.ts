import { channel } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { Hono } from 'hono';
import { afterEach, describe, expect, test } from 'vitest';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import { meshHandler } from '../../src/server/http.js';
import { Inbound, type InboundOptions } from '../../src/server/inbound.js';
import type { ShedOptions } from '../../src/server/shedding/options.js';
import { testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { EchoGrpc, FRAMEWORKS, listening, WithStatus } from '../support/inbound-servers.js';

/** One request at once. */
const ONE: ShedOptions = { initialLimit: 1, minLimit: 1, maxLimit: 1, maxLagMs: false };

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** What middleware tells the mesh. */
function heard() {
  const events: MeshEvent[] = [];
  const gauges = new Map<string, () => number>();
  const meter = {
    ...noMeter,
    event: (event: MeshEvent) => void events.push(event),
    gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number) {
      gauges.set(`${name} ${labels['mesh.limiter']}`, read);
      return () => {};
    },
  };
  return { events, gauges, mesh: { meter } };
}

/** A handler that says when it runs, and goes on when it is told to. */
class Held {
  #running: (() => void) | undefined;
  #go: (() => void)[] = [];
  runs = 0;

  readonly handle = (): Promise<void> => {
    this.runs++;
    this.#running?.();
    return new Promise((resolve) => this.#go.push(resolve));
  };

  /** Resolves when the next request is being handled. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#running = resolve;
    });
  }

  go(): void {
    for (const resolve of this.#go.splice(0)) resolve();
  }
}

describe.each(Object.entries(FRAMEWORKS))('%s: a server that is full', (_, framework) => {
  async function start(options: InboundOptions) {
    const held = new Held();
    const { port, close } = await framework(held.handle, options);
    closing.push(() => {
      held.go();
      return close();
    });
    const ask = (init: RequestInit = {}): Promise<Response> => fetch(`http://127.0.0.1:${port}/`, init);
    return { held, ask };
  }

  test('answers 503 with Retry-After before the handler, and tells of it; with room it serves again', async () => {
    const { events, gauges, mesh } = heard();
    const { held, ask } = await start({ mesh, shed: { ...ONE } });
    const running = held.next();
    const first = ask();
    await running;
    const refused = await ask({ method: 'POST', body: 'x', headers: { 'inmesh-priority': 'default' } });
    expect([refused.status, refused.headers.get('mesh-error'), refused.headers.get('retry-after')]).toEqual([
      503,
      'MA',
      '1',
    ]);
    // "dropped due to either maintenance mode or upstream circuit breaking" - Envoy, x-envoy-overloaded. It was neither.
    expect(refused.headers.get('x-envoy-overloaded')).toBe(null);
    expect(await refused.json()).toMatchObject({ code: 'OVERLOADED', origin: 'mesh' });
    expect([held.runs, events]).toEqual([
      1,
      [{ kind: 'shed', protocol: 'http', priority: 'default', reason: 'concurrency' }],
    ]);
    expect([gauges.get('mesh.server.concurrency_limit server')?.(), active(gauges)]).toEqual([1, 1]);
    held.go();
    expect(await (await first).text()).toBe('ok');
    await until(() => active(gauges) === 0);
    const again = held.next();
    const second = ask();
    await again;
    held.go();
    expect((await second).status).toBe(200);
  });

  test('has room again when a caller goes away', async () => {
    const { gauges, mesh } = heard();
    const { held, ask } = await start({ mesh, shed: { ...ONE } });
    const running = held.next();
    const leaving = new AbortController();
    const first = ask({ signal: leaving.signal });
    await running;
    expect(active(gauges)).toBe(1);
    leaving.abort();
    await expect(first).rejects.toThrow();
    await until(() => active(gauges) === 0);
  });

  test('serves what is exempt, and does not count it', async () => {
    const { events, gauges, mesh } = heard();
    const exempt: ShedOptions['exempt'] = (headers) => String(headers['user-agent']).startsWith('kube-probe/');
    const { held, ask } = await start({ mesh, shed: { ...ONE, exempt } });
    const running = held.next();
    void ask();
    await running;
    const probed = held.next();
    const probe = ask({ headers: { 'user-agent': 'kube-probe/1.34' } });
    await probed;
    expect(active(gauges)).toBe(1);
    held.go();
    expect([(await probe).status, events]).toEqual([200, []]);
  });

  test('learns from requests that were served, and nothing from those that failed', async () => {
    const { gauges, mesh } = heard();
    const clock = new FakeClock();
    let status = 500;
    const { port, close } = await framework(
      async () => {
        await clock.advance(100);
        return new WithStatus(status);
      },
      { clock, mesh, shed: { ...LEARNING } },
    );
    closing.push(close);
    await learnt(
      gauges,
      async () => {
        const reply = await fetch(`http://127.0.0.1:${port}/`);
        await reply.text();
        return reply.status;
      },
      [500, 429, 200],
      (next) => {
        status = next;
      },
    );
  });
});

/** Grows by one with each window in which requests were served. */
const LEARNING: ShedOptions = { algorithm: 'aimd', initialLimit: 1, minLimit: 1, maxLimit: 9, maxLagMs: false };
/** Of 100 ms each: one that ends the window before, and a window of a second. */
const WINDOW = 13;

/** Asks for windows of each status in turn: only the last, which is success, raises the limit. */
async function learnt(
  gauges: ReadonlyMap<string, () => number>,
  ask: () => Promise<number>,
  statuses: readonly number[],
  answerWith: (status: number) => void,
): Promise<void> {
  const limits: (number | undefined)[] = [];
  for (const status of statuses) {
    answerWith(status);
    for (let i = 0; i < WINDOW; i++) {
      expect(await ask()).toBe(status);
      await until(() => active(gauges) === 0);
    }
    limits.push(gauges.get('mesh.server.concurrency_limit server')?.());
  }
  expect(limits).toEqual(statuses.map((_, i) => (i === statuses.length - 1 ? 2 : 1)));
}

const active = (gauges: ReadonlyMap<string, () => number>): number | undefined =>
  gauges.get('mesh.server.requests_active server')?.();

/** The end of a request is an event of its socket. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('grpc-js: a server that is full', () => {
  async function start(options: InboundOptions) {
    const held = new Held();
    const server = await EchoGrpc.start(held.handle, options);
    closing.push(() => {
      held.go();
      server.close();
    });
    return { held, server };
  }

  test('ends calls with RESOURCE_EXHAUSTED and a pushback before the handler; with room it serves again', async () => {
    const { events, gauges, mesh } = heard();
    const { held, server } = await start({ mesh, shed: { ...ONE, retryAfterMs: 250 } });
    const running = held.next();
    const first = server.unary();
    await running;
    const metadata = new grpc.Metadata();
    metadata.set('inmesh-priority', 'batch');
    // Its share is one at least.
    const batch = held.next();
    const second = server.unary(metadata);
    await batch;
    const error = (await server.unary(metadata).catch((failed: unknown) => failed)) as grpc.ServiceError;
    expect([error.code, error.metadata.get('grpc-retry-pushback-ms')]).toEqual([8, ['250']]);
    expect([held.runs, events]).toEqual([
      2,
      [{ kind: 'shed', protocol: 'grpc', priority: 'batch', reason: 'concurrency' }],
    ]);
    held.go();
    expect([await first, await second, active(gauges)]).toEqual(['ok', 'ok', 0]);
  });

  test('has room again when a call is cancelled', async () => {
    const { gauges, mesh } = heard();
    const { held, server } = await start({ mesh, shed: { ...ONE } });
    const running = held.next();
    let call: grpc.ClientUnaryCall | undefined;
    const first = server.unary(undefined, (started) => {
      call = started;
    });
    await running;
    call?.cancel();
    await expect(first).rejects.toMatchObject({ code: grpc.status.CANCELLED });
    await until(() => active(gauges) === 0);
  });

  test('learns from calls that were served, and nothing from those that failed', async () => {
    const { gauges, mesh } = heard();
    const clock = new FakeClock();
    let code: number = grpc.status.UNAVAILABLE;
    const handled = async () => {
      await clock.advance(100);
      return new WithStatus(code);
    };
    const server = await EchoGrpc.start(handled, { clock, mesh, shed: { ...LEARNING } });
    closing.push(() => server.close());
    const ask = () =>
      server.unary().then(
        () => grpc.status.OK,
        (error: grpc.ServiceError) => error.code,
      );
    await learnt(gauges, ask, [grpc.status.UNAVAILABLE, grpc.status.OK], (next) => {
      code = next;
    });
  });

  test('serves streams, which take as long as they like, and does not count them', async () => {
    const { gauges, mesh } = heard();
    const { held, server } = await start({ mesh, shed: { ...ONE } });
    for (let i = 0; i < 3; i++) {
      const running = held.next();
      const stream = server.bidi();
      stream.on('data', () => {}).on('error', () => {});
      stream.write('x');
      await running;
    }
    expect([held.runs, active(gauges)]).toEqual([3, 0]);
  });
});

test.each([
  [
    'writeHead with an object',
    (response: ServerResponse) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }),
  ],
  [
    'writeHead with a list',
    (response: ServerResponse) => response.writeHead(200, ['content-type', 'text/event-stream']),
  ],
  ['setHeader', (response: ServerResponse) => response.setHeader('content-type', 'text/event-stream;charset=utf-8')],
])(
  'a stream of events gives its place back with its head, said by %s; other replies hold it to their end',
  async (_, begin) => {
    const { gauges, mesh } = heard();
    const responses: ServerResponse[] = [];
    const server = await listening(
      meshHandler(
        (request: IncomingMessage, response: ServerResponse) => {
          responses.push(response);
          if (request.url === '/events') begin(response);
          response.write('x');
        },
        { mesh, shed: { ...ONE } },
      ),
    );
    closing.push(() => server.close());
    await fetch(`http://127.0.0.1:${server.port}/events`);
    expect(active(gauges)).toBe(0);
    await fetch(`http://127.0.0.1:${server.port}/`);
    expect(active(gauges)).toBe(1);
    for (const response of responses) response.end();
    await until(() => active(gauges) === 0);
  },
);

test('Hono on a server that is not Node’s: a request is over when its handler is', async () => {
  const { gauges, mesh } = heard();
  const held = new Held();
  const app = new Hono();
  app.use(honoMiddleware({ mesh, shed: { ...ONE } }));
  app.all('/', async (c) => {
    await held.handle();
    return c.text('ok');
  });
  const running = held.next();
  const first = app.request('http://service/');
  await running;
  expect([(await app.request('http://service/')).status, active(gauges)]).toEqual([503, 1]);
  held.go();
  expect([(await first).status, active(gauges)]).toEqual([200, 0]);
});

describe('who shares a limit', () => {
  const enter = (inbound: Inbound) => {
    const context = inbound.context({}, 'http');
    return { context, refused: inbound.refusal(context, 'http') !== undefined };
  };

  test('servers with the same options do, others do not', () => {
    const shed = { ...ONE };
    expect(enter(new Inbound({ shed })).refused).toBe(false);
    expect(enter(new Inbound({ shed })).refused).toBe(true);
    expect(enter(new Inbound({ shed: { ...ONE } })).refused).toBe(false);
  });

  test('a request that is looked at again is let in once', () => {
    const { gauges, mesh } = heard();
    const shed = { ...ONE };
    const [outer, inner] = [new Inbound({ shed, mesh }), new Inbound({ shed, mesh })];
    const { context } = enter(outer);
    for (const inbound of [outer, inner, outer]) expect(inbound.refusal(context, 'http')).toBeUndefined();
    expect(active(gauges)).toBe(1);
    context.over();
    expect(active(gauges)).toBe(0);
    expect([...gauges.keys()]).toEqual(['mesh.server.concurrency_limit server', 'mesh.server.requests_active server']);
  });

  test('limits of one mesh have names of their own', () => {
    const { gauges, mesh } = heard();
    for (const shed of [{ ...ONE }, { ...ONE }, { ...ONE, name: 'admin' }]) new Inbound({ shed, mesh });
    expect([...gauges.keys()].filter((name) => name.includes('limit '))).toEqual(
      ['server', 'server-2', 'admin'].map((name) => `mesh.server.concurrency_limit ${name}`),
    );
  });

  test('none is set up where nobody asks for it', () => {
    const { gauges, mesh } = heard();
    const clock = new FakeClock();
    for (const shed of [undefined, false]) {
      const inbound = new Inbound({ mesh, clock, ...(shed === undefined ? {} : { shed }) });
      for (let i = 0; i < 300; i++) expect(enter(inbound).refused).toBe(false);
    }
    expect([gauges.size, clock.pending]).toEqual([0, 0]);
  });

  test('`true` is the limit of the process', () => {
    const clock = new FakeClock();
    const contexts = Array.from({ length: 30 }, () => enter(new Inbound({ shed: true, clock })));
    // 20 at first; Gradient2's.
    expect(contexts.filter(({ refused }) => !refused).length).toBe(20);
    for (const { context } of contexts) context.over();
    expect(enter(new Inbound({ shed: true, clock })).refused).toBe(false);
  });
});

test.each([
  [
    { algorithm: 'tcp' },
    "shed.algorithm: must be gradient2, vegas, aimd, or an object for Envoy's gradient controller",
  ],
  [{ limit: 3 }, 'shed.limit: unknown field'],
  [{ minLimit: 0 }, 'shed.minLimit: must be a number from 1 to 100000, got 0'],
  [{ minLimit: 5, maxLimit: 4 }, 'shed.maxLimit: must be a number from 5 to 100000, got 4'],
  [{ initialLimit: 20.5 }, 'shed.initialLimit: must be a whole number, got 20.5'],
  [{ maxLagMs: 0 }, 'shed.maxLagMs: must be a number from 1 to 60000, got 0'],
  [{ retryAfterMs: -1 }, 'shed.retryAfterMs: must be a number from 0 to 300000, got -1'],
  [{ shares: { high: 0.5, default: 0.5, batch: 0.1 } }, 'shed.shares: must not be more than 1 together'],
  [{ shares: { high: 2, default: 0, batch: 0 } }, 'shed.shares.high: must be a number from 0 to 1, got 2'],
  [{ algorithm: { updateIntervalMs: 100 } }, 'shed.algorithm.minRttIntervalMs: must be a number from 1 to 86400000'],
  [
    { algorithm: { updateIntervalMs: 100, minRttIntervalMs: 30_000 }, maxLimit: 3 },
    "shed.maxLimit: is not for Envoy's gradient controller: set it in shed.algorithm",
  ],
])('%j is refused', (shed, message) => {
  expect(() => new Inbound({ shed: shed as ShedOptions })).toThrow(message);
});

test('a mesh counts them, publishes each, and shows the limit', () => {
  const mesh = testMesh({ services: {} });
  closing.push(() => mesh.close());
  const published: unknown[] = [];
  const listener = (message: unknown): void => void published.push(message);
  channel('mesh:shed').subscribe(listener);
  closing.push(() => channel('mesh:shed').unsubscribe(listener));
  const inbound = new Inbound({ mesh, shed: { ...ONE } });
  for (let i = 0; i < 2; i++) inbound.refusal(inbound.context({}, 'grpc'), 'grpc');
  expect(published).toEqual([{ kind: 'shed', protocol: 'grpc', priority: 'default', reason: 'concurrency' }]);
  const text = mesh.prometheus();
  expect(text).toMatch(
    /mesh_server_shed_total\{mesh_protocol="grpc",mesh_priority="default",mesh_shed_reason="concurrency"\} 1/,
  );
  expect(text).toMatch(/mesh_server_concurrency_limit\{mesh_limiter="server"\} 1/);
});
