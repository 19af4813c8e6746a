import { makeGenericClientConstructor, Metadata, type ServiceError } from '@grpc/grpc-js';
import { request } from 'undici';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type CallPolicyOptions, type GrpcCallOptions, meshMetadata } from '../../../src/index.js';
import { FakeClock, GrpcFailure, grpcService, type TestMesh, testMesh } from '../../../src/testing/index.js';
import { Backend, ECHO } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';

/*
 * What one call says of retries, hedging and fallbacks, over what the configuration says: by fetch, by undici's API and by gRPC.
 */

// Loaded by the first failure; here beforehand, since a virtual clock does not wait for a disk.
beforeAll(() => import('../../../src/resilience/retry/repeat.js'));

let mesh: TestMesh;
afterEach(() => mesh.close());

type Answers = () => { id: string } | Promise<never>;
interface Reach {
  readonly clock: FakeClock;
  /** The id of who answered, or the code of the failure. */
  ask(options?: CallPolicyOptions & { idempotent?: boolean; priority?: 'batch' }): Promise<string>;
}

const failing: Answers = () => {
  throw new GrpcFailure(14, 'not now');
};
const never: Answers = () => new Promise(() => {});
const slowAtFirst = (): Answers => {
  let asked = 0;
  return () => (asked++ === 0 ? never() : { id: 'fast' });
};

const overHttp =
  (answers: Answers): (() => Response | Promise<never>) =>
  () => {
    try {
      const answer = answers();
      return answer instanceof Promise ? answer : Response.json(answer);
    } catch {
      return new Response(null, { status: 503 });
    }
  };

function open(endpoints: readonly Answers[], config: string, grpc: boolean): FakeClock {
  const clock = new FakeClock();
  mesh = testMesh({
    clock,
    services: {
      reviews: endpoints.map((answers) =>
        grpc ? grpcService(ECHO as never, { get: answers } as never) : overHttp(answers),
      ),
    },
    config,
  });
  return clock;
}

const outcome = async (
  answering: Promise<{ ok: boolean; status: number; json(): Promise<unknown> }>,
): Promise<string> => {
  try {
    const reply = await answering;
    return reply.ok ? ((await reply.json()) as { id: string }).id : String(reply.status);
  } catch (error) {
    return (error as { code: string }).code;
  }
};

const dispatched = (options: CallPolicyOptions | undefined) => ({
  dispatcher: mesh.dispatcher,
  ...(options === undefined ? {} : { mesh: options }),
});

const FACES: Readonly<Record<string, (endpoints: readonly Answers[], config: string) => Reach>> = {
  fetch: (endpoints, config) => ({
    clock: open(endpoints, config, false),
    ask: (options) => outcome(mesh.fetch('http://reviews/get', options === undefined ? undefined : { mesh: options })),
  }),
  'the dispatcher': (endpoints, config) => ({
    clock: open(endpoints, config, false),
    ask: (options) =>
      outcome(
        request('http://reviews/get', dispatched(options)).then(({ statusCode, body }) => ({
          ok: statusCode === 200,
          status: statusCode,
          json: () => body.json(),
        })),
      ),
  }),
  gRPC: (endpoints, config) => {
    const clock = open(endpoints, config, true);
    const client = mesh.grpc(makeGenericClientConstructor(ECHO, 'Echo'), 'reviews') as unknown as EchoClient;
    return { clock, ask: (options = {}) => asked(client, { idempotent: true, ...options }) };
  },
};

interface EchoClient {
  get(request: unknown, metadata: Metadata, done: (error: ServiceError | null, reply: { id: string }) => void): void;
}

/** The status as HTTP has it, so that all faces tell the same. */
const asked = (client: EchoClient, options: GrpcCallOptions, headers: Record<string, string> = {}): Promise<string> =>
  new Promise((resolve) => {
    const metadata = meshMetadata(new Metadata(), options);
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    client.get({}, metadata, (error, reply) =>
      resolve(error === null ? reply.id : error.code === 14 ? '503' : String(error.code)),
    );
  });

const reply = (id: string) => ({ body: gRPC ? Buffer.from(JSON.stringify({ id })) : JSON.stringify({ id }) });
let gRPC = false;

const policy = (spec: string): string => `
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: Service, group: "", name: reviews }], ${spec} }
`;

/** Configured by name, a retry is for every method, as in Envoy. */
const everyMethod = (kind: 'HTTPRoute' | 'GRPCRoute', code: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }], retry: { attempts: 2, codes: [${code}] } }]
`;

const sent = (): number => mesh.requests.length;
/** The outcome, in virtual time; what is loaded at the first failure takes real time. */
const inOneGo = async (clock: FakeClock, answering: Promise<string>): Promise<string> => {
  let answer: string | undefined;
  void answering.then((said) => {
    answer = said;
  });
  while (answer === undefined) {
    await clock.advance(5);
    await new Promise(setImmediate);
  }
  return answer;
};

describe.each(Object.entries(FACES))('one call by %s', (face, openFace) => {
  const opened = (endpoints: readonly Answers[], config = ''): Reach => {
    gRPC = face === 'gRPC';
    return openFace(endpoints, config);
  };

  test('with retry: false is sent once; without, once more', async () => {
    const { ask, clock } = opened([failing]);
    expect(await inOneGo(clock, ask({ retry: false }))).toBe('503');
    expect(sent()).toBe(1);
    expect(await inOneGo(clock, ask())).toBe('503');
    expect(sent()).toBe(3);
  });

  test('with retries of its own is sent as often as it says, within the budget that all calls share', async () => {
    const { ask, clock } = opened(
      [failing],
      policy('retryConstraint: { budget: { percent: 0, interval: 10s }, minRetryRate: { count: 1, interval: 2s } }'),
    );
    const options = { retry: { maxRetries: 3, on: ['unavailable', '5xx'], baseMs: 1 } } as const;
    expect(await inOneGo(clock, ask(options))).toBe('503');
    expect(sent()).toBe(4);
    // Half a retry a second over ten seconds is five in all: two are left.
    expect(await inOneGo(clock, ask({ ...options }))).toBe('503');
    expect(sent()).toBe(7);
    expect(await inOneGo(clock, ask({ retry: { ...options.retry, maxRetries: 9 } }))).toBe('503');
    expect(sent()).toBe(8);
  });

  test('with a limit for each attempt is tried elsewhere when that is over', async () => {
    const either = slowAtFirst();
    const { ask, clock } = opened([either, either]);
    expect(await inOneGo(clock, ask({ retry: { perTryTimeoutMs: 50, on: ['5xx', 'deadline-exceeded'] } }))).toBe(
      'fast',
    );
    expect(sent()).toBe(2);
  });

  test('that is hedged is sent a second time beside the first that is slow', async () => {
    const either = slowAtFirst();
    const { ask, clock } = opened([either, either]);
    expect(await inOneGo(clock, ask({ hedge: { delayMs: 50, maxExtraLoad: 1 } }))).toBe('fast');
    expect(sent()).toBe(2);
    expect(mesh.requests[0]?.call.cancellation.cancelled).toBe(true);
  });

  test('that may not be sent twice is not hedged, whatever it says', async () => {
    const { ask, clock } = opened([never, never]);
    const answering = ask({
      idempotent: false,
      hedge: { delayMs: 50, maxExtraLoad: 1 },
      retry: { perTryTimeoutMs: 500 },
    });
    await clock.advance(400);
    expect(sent()).toBe(1);
    await clock.advance(200);
    await answering;
  });

  test('that may not be sent twice is not, though its route tries calls of every method again', async () => {
    const route = face === 'gRPC' ? everyMethod('GRPCRoute', 'UNAVAILABLE') : everyMethod('HTTPRoute', '503');
    const { ask, clock } = opened([failing], route);
    expect(await inOneGo(clock, ask({ idempotent: false }))).toBe('503');
    expect(sent()).toBe(1);
  });

  test('has extra load in the share that it pays for, together with others', async () => {
    const { ask, clock } = opened([never, never]);
    // Other objects, and another share: one account all the same.
    const calls = Array.from({ length: 20 }, (_, i) =>
      ask({ hedge: { delayMs: 50, maxExtraLoad: i % 2 === 0 ? 0.1 : 0.2 }, retry: { perTryTimeoutMs: 500 } }),
    );
    await clock.advance(100);
    expect(sent()).toBe(23);
    await clock.advance(1_000);
    await Promise.all(calls);
  });

  test('has the fallback that it brings along, a function or a reply, marked as such', async () => {
    const { ask, clock } = opened([failing]);
    expect(await inOneGo(clock, ask({ fallback: reply('static') }))).toBe('static');
    expect(await inOneGo(clock, ask({ fallback: ({ reason }) => reply(reason) }))).toBe(gRPC ? 'UNAVAILABLE' : '503');
    expect(await inOneGo(clock, ask({ fallback: () => undefined }))).toBe('503');
    expect(mesh.prometheus()).toMatch(/mesh_client_fallbacks_total\{[^}]*mesh_fallback="function"[^}]*\} 1\b/);
  });

  test('has a fallback of its own in place of the configured one, and none when it says so', async () => {
    const { ask, clock } = opened([failing], policy('fallback: [{ static: { json: { id: configured } } }]'));
    expect(await inOneGo(clock, ask())).toBe('configured');
    expect(await inOneGo(clock, ask({ fallback: reply('own') }))).toBe('own');
    expect(await inOneGo(clock, ask({ fallback: false }))).toBe('503');
  });
});

describe('a POST to a route that tries calls of every method again', () => {
  const post = async (answers: Answers, options: CallPolicyOptions & { timeoutMs?: number }): Promise<number> => {
    const clock = open([answers, answers], everyMethod('HTTPRoute', '503'), false);
    await inOneGo(clock, outcome(mesh.fetch('http://reviews/pay', { method: 'POST', body: 'x', mesh: options })));
    return sent();
  };

  test('is tried again as the route says', async () => {
    expect(await post(failing, {})).toBe(3);
  });

  test('is sent no second time for what its call says of retries', async () => {
    expect(await post(failing, { retry: { on: ['5xx'], maxRetries: 5 } })).toBe(1);
  });

  test('is not hedged for what its call says, and tried again as the route says all the same', async () => {
    expect(await post(never, { hedge: { delayMs: 10, maxExtraLoad: 1 }, timeoutMs: 500 })).toBe(1);
    await mesh.close();
    expect(await post(failing, { hedge: { delayMs: 10, maxExtraLoad: 1 } })).toBe(3);
  });
});

describe('options of calls over real sockets', () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  test('hold over HTTP/1.1 and HTTP/2, with configuration from a file and over ADS', async () => {
    for (const carrier of CARRIERS) {
      const [http, grpc] = [await Backend.start('a'), await Backend.start('b')];
      closing.push(
        () => http.kill(),
        () => grpc.kill(),
      );
      const service = (name: string, port: number): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { endpoints: ["127.0.0.1:${port}"] }
`;
      const opened = await openCarrier(carrier, service('reviews', http.httpPort) + service('ratings', grpc.grpcPort));
      closing.push(() => opened.close());
      const headers = { 'x-behave': 'fail' };
      const ask = async (options: CallPolicyOptions): Promise<string> =>
        outcome(opened.mesh.fetch('http://reviews/get', { headers, mesh: options }));
      expect(await ask({ retry: false })).toBe('503');
      expect(http.seen).toHaveLength(1);
      expect(await ask({ retry: { maxRetries: 2, baseMs: 1 }, fallback: { body: '{"id":"own"}' } })).toBe('own');
      expect(http.seen).toHaveLength(4);
      const client = opened.mesh.grpc(makeGenericClientConstructor(ECHO, 'Echo'), 'ratings') as unknown as EchoClient;
      const options = { idempotent: true, retry: { maxRetries: 2, baseMs: 1 } } as const;
      expect(await asked(client, { retry: false }, headers)).toBe('503');
      expect(grpc.seen).toHaveLength(1);
      expect(await asked(client, { ...options, fallback: { body: Buffer.from('{"id":"own"}') } }, headers)).toBe('own');
      expect(grpc.seen).toHaveLength(4);
    }
  });
});

describe('options of calls', () => {
  test('of fetch that cannot be meant are a TypeError, and nothing is sent', async () => {
    mesh = testMesh({ services: { reviews: () => new Response() } });
    await expect(mesh.fetch('http://reviews/', { mesh: { retry: { maxRetries: 99 } } })).rejects.toThrow(
      new TypeError('mesh.retry.maxRetries: must be a number from 1 to 10, got 99'),
    );
    await expect(request('http://reviews/', dispatched({ retri: 1 } as never))).rejects.toThrow(
      'mesh.retri: unknown field; did you mean "retry"?',
    );
    expect(sent()).toBe(0);
  });

  test('of gRPC are refused where they are given', () => {
    mesh = testMesh({ services: { reviews: () => new Response() } });
    expect(() => meshMetadata(new Metadata(), { hedge: { delayMs: -1 } })).toThrow('options.hedge.delayMs');
    expect(() => meshMetadata(new Metadata(), { priority: 'urgent' as never })).toThrow('options.priority');
    const Echo = makeGenericClientConstructor(ECHO, 'Echo');
    expect(() => mesh.grpc(Echo, 'reviews', { mesh: { retry: 3 as never } })).toThrow('options.mesh.retry');
  });

  test('of a gRPC client hold for all its calls, and those of a call over them', async () => {
    const clock = open([failing], '', true);
    const Echo = makeGenericClientConstructor(ECHO, 'Echo');
    gRPC = true;
    const own = { mesh: { retry: false, fallback: reply('client') } } as const;
    const client = mesh.grpc(Echo, 'reviews', own) as unknown as EchoClient;
    expect(await inOneGo(clock, asked(client, { idempotent: true }))).toBe('client');
    expect(sent()).toBe(1);
    expect(await inOneGo(clock, asked(client, { idempotent: true, fallback: false, retry: { maxRetries: 1 } }))).toBe(
      '503',
    );
    expect(sent()).toBe(3);
  });

  test('bring a fallback that answers where nothing is known of the destination, too', async () => {
    mesh = testMesh({ services: {} });
    const answer = await mesh.fetch('http://nobody/', {
      mesh: { fallback: ({ error }) => Response.json(error?.code) },
    });
    expect(await answer.json()).toBe('UNKNOWN_HOST');
  });

  test("do not ask a caller's function when it has gone away, or its time is over", async () => {
    const clock = new FakeClock();
    mesh = testMesh({ clock, services: { reviews: () => new Promise<Response>(() => {}) } });
    let askedFor = 0;
    const fallback = () => {
      askedFor++;
      return undefined;
    };
    const late = mesh.fetch('http://reviews/', { mesh: { timeoutMs: 50, fallback } });
    await Promise.all([expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' }), clock.advance(60)]);
    const gone = mesh.fetch('http://reviews/', { mesh: { fallback }, signal: AbortSignal.abort() });
    await expect(gone).rejects.toThrow('aborted');
    expect(askedFor).toBe(0);
    const whole = await Promise.all([
      mesh.fetch('http://reviews/', { mesh: { timeoutMs: 50, fallback: { status: 200, body: 'in time' } } }),
      clock.advance(60),
    ]);
    expect(await whole[0].text()).toBe('in time');
  });
});
