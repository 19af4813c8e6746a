import type { ServerHttp2Session } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { CancelledError } from '../../../src/core/errors.js';
import { DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import type { Reply } from '../../../src/core/reply.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  bytes,
  callOf,
  type Fixture,
  http2Server,
  type RunningServer,
  text,
  transportTo,
  until,
} from '../../support/http2-fixture.js';
import { inTurns } from '../../support/in-turns.js';

let server: RunningServer;
let fixture: Fixture;
/** Streams that each session carried, in the order in which the sessions came. */
let carried: number[];
let held: (() => void)[];

interface Scenario {
  readonly maxRequests?: number;
  readonly maxLifetimeMs?: number;
  readonly limits?: CountingLimits;
  readonly clock?: FakeClock;
  /** Where in its jitter a lifetime is, in [0, 1). */
  readonly chance?: number;
  /** Answers only when a test says so. */
  readonly hold?: boolean;
}

async function start({
  maxRequests = 0,
  maxLifetimeMs = 0,
  hold = false,
  chance = 0.5,
  ...rest
}: Scenario): Promise<void> {
  server = await http2Server({ settings: { maxConcurrentStreams: 20 } });
  carried = [];
  held = [];
  const numbers = new Map<ServerHttp2Session, number>();
  server.server.on('session', (session) => numbers.set(session, carried.push(0) - 1));
  server.server.on('stream', (stream, headers) => {
    const at = numbers.get(stream.session as ServerHttp2Session) as number;
    carried[at] = (carried[at] as number) + 1;
    const answer = (): void => {
      stream.respond({ ':status': 200 });
      stream.end(headers[':path']);
    };
    stream.resume();
    if (hold) held.push(answer);
    else stream.on('end', answer);
  });
  fixture = transportTo(server.port, {
    connections: { ...DEFAULT_CONNECTIONS, maxRequests, maxLifetimeMs },
    random: { next: () => chance, int: () => 0 },
    ...rest,
  });
}

afterEach(async () => {
  await fixture.transport.close(true);
  await server.close();
  expect([fixture.limits.open, fixture.limits.waiting]).toEqual([0, 0]);
});

const echo = async (n: number): Promise<void> => {
  const reply = await fixture.transport.call(callOf({ method: 'POST', path: `/${n}`, body: bytes('x') }));
  expect(await text(reply.body)).toBe(`/${n}`);
};

const answered = async (pending: Promise<Reply>): Promise<string> => text((await pending).body);

describe('a connection that has carried its number of calls', () => {
  test('is replaced, and of 2,000 calls none is lost', async () => {
    await start({ maxRequests: 7, limits: new CountingLimits(6) });
    await inTurns(2_000, 40, echo);
    expect(Math.max(...carried)).toBe(7);
    expect(carried.reduce((sum, n) => sum + n)).toBe(2_000);
  });

  test('may be one of a single call, and the cluster be full: calls stand in line, none is lost', async () => {
    await start({ maxRequests: 1, limits: new CountingLimits(2) });
    await inTurns(200, 20, echo);
    expect(carried).toEqual(Array.from({ length: 200 }, () => 1));
  });

  test('closes when its last call ends, and not before', async () => {
    await start({ maxRequests: 1, hold: true });
    const pending = fixture.transport.call(callOf({ path: '/a' }));
    await until(() => held.length === 1);
    expect(fixture.transport.connections).toBe(1);
    held.pop()?.();
    expect(await answered(pending)).toBe('/a');
    await until(() => fixture.transport.connections === 0 && server.sessions.size === 0);
  });

  test('is replaced in a full cluster as well, but only once as long as it drains', async () => {
    await start({ maxRequests: 1, hold: true, limits: new CountingLimits(1) });
    const pending = Array.from({ length: 4 }, (_, n) => fixture.transport.call(callOf({ path: `/${n}` })));
    await until(() => held.length === 2);
    expect([fixture.limits.open, fixture.limits.waiting]).toEqual([2, 2]);
    let done = 0;
    for (const each of pending) void answered(each).then(() => done++);
    await until(() => {
      for (const answer of held.splice(0)) answer();
      return done === 4;
    });
    expect(carried).toEqual([1, 1, 1, 1]);
  });
});

describe('a connection whose lifetime is over', () => {
  test('takes no new call, finishes those it has, and closes', async () => {
    const clock = new FakeClock();
    await start({ maxLifetimeMs: 60_000, hold: true, clock });
    const old = fixture.transport.call(callOf({ path: '/old' }));
    await until(() => held.length === 1);
    await clock.advance(60_000);
    const young = fixture.transport.call(callOf({ path: '/young' }));
    await until(() => held.length === 2);
    expect(carried).toEqual([1, 1]);
    for (const answer of held.splice(0)) answer();
    expect(await answered(old)).toBe('/old');
    expect(await answered(young)).toBe('/young');
    await until(() => server.sessions.size === 1);
    expect(fixture.transport.connections).toBe(1);
  });

  test('closes at once when it carries none, and leaves no timer', async () => {
    const clock = new FakeClock();
    await start({ maxLifetimeMs: 60_000, clock });
    await echo(1);
    await clock.advance(59_999);
    expect(fixture.transport.connections).toBe(1);
    await clock.advance(1);
    await until(() => fixture.transport.connections === 0 && server.sessions.size === 0);
    expect(clock.pending).toBe(0);
  });

  test.each([
    [0, 54_000],
    [0.75, 63_000],
  ])(
    'is spread by a tenth, so that a fleet does not come back at once: chance %d ends it after %d ms',
    async (chance, endsAfter) => {
      const clock = new FakeClock();
      await start({ maxLifetimeMs: 60_000, clock, chance });
      await echo(1);
      await clock.advance(endsAfter - 1);
      expect(fixture.transport.connections).toBe(1);
      await clock.advance(1);
      await until(() => fixture.transport.connections === 0);
    },
  );

  test('is replaced, and of 2,000 calls over lifetimes of a few milliseconds none is lost', async () => {
    await start({ maxLifetimeMs: 4 });
    await inTurns(2_000, 20, echo);
    expect(carried.length).toBeGreaterThan(5);
    expect(carried.reduce((sum, n) => sum + n)).toBe(2_000);
  });
});

test('a server that says GOAWAY again and again loses no call: it carries them, or says that it did not look at them', async () => {
  await start({});
  let streams = 0;
  server.server.on('stream', (stream) => {
    if (++streams % 25 === 0) (stream.session as ServerHttp2Session).close();
  });
  let refused = 0;
  await inTurns(2_000, 20, async (n) => {
    for (;;) {
      try {
        return await echo(n);
      } catch (error) {
        expect(error).toMatchObject({ reached: 'no' });
        refused++;
      }
    }
  });
  expect(carried.length).toBeGreaterThan(50);
  expect(carried.reduce((sum, n) => sum + n)).toBe(2_000);
  expect(refused).toBeLessThan(2_000);
});

describe('a call that does not end by itself', () => {
  const streamOf = (told: string[], name: string) => {
    const call = callOf({ path: `/${name}` });
    call.onDraining = () => told.push(name);
    return call;
  };

  test('is told that the lifetime of its connection is over; one that has ended is not', async () => {
    const clock = new FakeClock();
    await start({ maxLifetimeMs: 60_000, hold: true, clock });
    const told: string[] = [];
    const ended = fixture.transport.call(streamOf(told, 'ended'));
    await until(() => held.length === 1);
    held.pop()?.();
    expect(await answered(ended)).toBe('/ended');
    const open = fixture.transport.call(streamOf(told, 'open'));
    await until(() => held.length === 1);
    await clock.advance(60_000);
    expect(told).toEqual(['open']);
    held.pop()?.();
    expect(await answered(open)).toBe('/open');
  });

  test('is told that the server said GOAWAY, and can go on elsewhere', async () => {
    await start({ hold: true });
    const told: string[] = [];
    const call = streamOf(told, 'watch');
    const first = fixture.transport.call(call);
    await until(() => held.length === 1);
    for (const session of server.sessions) session.close();
    await until(() => told.length === 1);
    call.cancel(new CancelledError());
    await expect(first).rejects.toMatchObject({ code: 'CANCELLED' });
    const second = fixture.transport.call(streamOf(told, 'watch'));
    await until(() => held.length === 2 && server.sessions.size === 1);
    expect(carried).toEqual([1, 1]);
    held.pop()?.();
    expect(await answered(second)).toBe('/watch');
  });
});
