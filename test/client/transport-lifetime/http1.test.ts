import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { BytesBody } from '../../../src/core/body.js';
import { DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import { aCall } from '../../support/calls.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  httpServer,
  type OpenTransport,
  type RunningHttp,
  textOf,
  transportTo,
  until,
} from '../../support/http1-fixture.js';
import { inTurns } from '../../support/in-turns.js';

let server: RunningHttp;
let open: OpenTransport;
/** Requests that each connection carried. */
let carried: Map<Socket, number>;
let held: ServerResponse[];

interface Scenario {
  readonly maxRequests?: number;
  readonly maxLifetimeMs?: number;
  readonly limits?: CountingLimits;
  readonly clock?: FakeClock;
  /** Answers only when a test says so. */
  readonly hold?: boolean;
}

async function start({ maxRequests = 0, maxLifetimeMs = 0, hold = false, ...rest }: Scenario): Promise<void> {
  carried = new Map();
  held = [];
  server = await httpServer((request, response) => {
    carried.set(request.socket, (carried.get(request.socket) ?? 0) + 1);
    request.resume();
    if (hold) held.push(response);
    else request.on('end', () => response.end(request.url));
  });
  open = transportTo(server.port, {
    connections: { ...DEFAULT_CONNECTIONS, maxRequests, maxLifetimeMs },
    random: { next: () => 0.5, int: () => 0 },
    ...rest,
  });
}

afterEach(async () => {
  await open.transport.close(true);
  await server.close();
  expect([open.limits.open, open.limits.waiting]).toEqual([0, 0]);
});

const echo = async (n: number): Promise<void> => {
  const body = new BytesBody(Buffer.from('x'));
  const reply = await open.transport.call(aCall({ method: 'POST', path: `/${n}`, body }));
  expect(await textOf(reply.body)).toBe(`/${n}`);
};

describe('a connection that has carried its number of calls', () => {
  test('is replaced, and of 2,000 calls none is lost', async () => {
    await start({ maxRequests: 7, limits: new CountingLimits(6) });
    await inTurns(2_000, 40, echo);
    expect(Math.max(...carried.values())).toBe(7);
    expect([...carried.values()].reduce((sum, n) => sum + n)).toBe(2_000);
  });

  test('may be one of a single call, and the cluster be full: calls stand in line, none is lost', async () => {
    await start({ maxRequests: 1, limits: new CountingLimits(1) });
    await inTurns(200, 20, echo);
    expect(server.accepted()).toBe(200);
  });
});

describe('a connection whose lifetime is over', () => {
  test('finishes the call it carries, and closes', async () => {
    const clock = new FakeClock();
    await start({ maxLifetimeMs: 60_000, hold: true, clock });
    const old = open.transport.call(aCall({ path: '/old' }));
    await until(() => held.length === 1);
    await clock.advance(60_000);
    expect(open.transport.connections).toBe(1);
    held.pop()?.end('late');
    expect(await textOf((await old).body)).toBe('late');
    await until(() => open.transport.connections === 0 && server.sockets.size === 0);
    expect(clock.pending).toBe(0);
  });

  test('closes at once when it is idle, and the next call opens another', async () => {
    const clock = new FakeClock();
    await start({ maxLifetimeMs: 60_000, clock });
    await echo(1);
    await clock.advance(59_999);
    expect(open.transport.connections).toBe(1);
    const over = clock.advance(1);
    await over;
    await echo(2);
    expect(server.accepted()).toBe(2);
    await until(() => server.sockets.size === 1);
  });

  test('is replaced, and of 2,000 calls over lifetimes of a few milliseconds none is lost', async () => {
    await start({ maxLifetimeMs: 15 });
    await inTurns(2_000, 20, echo);
    expect(server.accepted()).toBeGreaterThan(40);
    expect([...carried.values()].reduce((sum, n) => sum + n)).toBe(2_000);
  });
});
