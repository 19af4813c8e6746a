import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, describe, expect, test } from 'vitest';
import { CancelledError } from '../../../src/core/errors.js';
import type { Reply } from '../../../src/core/reply.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  callOf,
  type Fixture,
  http2Server,
  type RunningServer,
  text,
  transportTo,
  until,
} from '../../support/http2-fixture.js';

let server: RunningServer;
let fixture: Fixture;
let finish: (() => void)[];

async function start(maxConcurrentStreams: number, options: Parameters<typeof transportTo>[1] = {}): Promise<void> {
  server = await http2Server({ settings: { maxConcurrentStreams } });
  finish = [];
  server.server.on('stream', (stream) => {
    finish.push(() => {
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  fixture = transportTo(server.port, options);
}

afterEach(async () => {
  await fixture.transport.close(true);
  await server.close();
  expect(fixture.limits.open, 'connection permits held').toBe(0);
  expect(fixture.limits.waiting, 'places in the line held').toBe(0);
});

const finishAll = async (pending: Promise<Reply>[]): Promise<void> => {
  let done = false;
  void Promise.all(pending.map(async (each) => text((await each).body))).then(() => {
    done = true;
  });
  await until(() => {
    for (const each of finish.splice(0)) each();
    return done;
  });
};

describe('the stream limit of the server', () => {
  test('more calls than streams open more connections', async () => {
    await start(3);
    const pending = Array.from({ length: 7 }, () => fixture.transport.call(callOf()));
    await until(() => finish.length === 7);
    expect(server.sessions.size).toBe(3);
    await finishAll(pending);
  });

  test('without a permit for another connection calls wait in line, first come, first served, and none is lost', async () => {
    await start(2, { limits: new CountingLimits(1) });
    const order: number[] = [];
    const pending = Array.from({ length: 9 }, (_, i) =>
      fixture.transport.call(callOf()).then((reply) => {
        order.push(i);
        return reply;
      }),
    );
    await until(() => finish.length === 2);
    expect(fixture.limits.waiting).toBe(7);
    await finishAll(pending);
    expect(server.sessions.size).toBe(1);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('a full line refuses the call at once', async () => {
    await start(1, { limits: new CountingLimits(1, 2) });
    const settled = Promise.allSettled(Array.from({ length: 6 }, () => fixture.transport.call(callOf())));
    // One opens the connection, two wait, three are refused.
    expect(fixture.limits.waiting).toBe(2);
    let results: PromiseSettledResult<Reply>[] | undefined;
    void settled.then((all) => {
      results = all;
    });
    await until(() => {
      for (const each of finish.splice(0)) each();
      return results !== undefined;
    });
    expect(results?.map((each) => each.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ]);
  });

  test('a call that is cancelled in line leaves it', async () => {
    await start(1, { limits: new CountingLimits(1) });
    const first = fixture.transport.call(callOf());
    await until(() => finish.length === 1);
    const call = callOf();
    const second = fixture.transport.call(call);
    const third = fixture.transport.call(callOf());
    expect(fixture.limits.waiting).toBe(2);
    const reason = new CancelledError();
    call.cancel(reason);
    await expect(second).rejects.toBe(reason);
    expect(fixture.limits.waiting).toBe(1);
    await finishAll([first, third]);
  });

  test('a call from the line keeps the async context of its caller', async () => {
    await start(1, { limits: new CountingLimits(1) });
    const storage = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    const pending = ['a', 'b', 'c'].map((name) =>
      storage.run(name, async () => {
        const reply = await fixture.transport.call(callOf());
        reply.onEnd(() => seen.push(storage.getStore()));
        return reply;
      }),
    );
    await finishAll(pending);
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  test('a limit that the server raises lets those in line go', async () => {
    await start(1, { limits: new CountingLimits(1) });
    const pending = [fixture.transport.call(callOf()), fixture.transport.call(callOf())];
    await until(() => finish.length === 1);
    for (const session of server.sessions) session.settings({ maxConcurrentStreams: 10 });
    await until(() => finish.length === 2);
    await finishAll(pending);
  });

  test('a server that allows no stream gets no second connection, and calls wait for it to change its mind', async () => {
    await start(0);
    const pending = [fixture.transport.call(callOf()), fixture.transport.call(callOf())];
    await until(() => server.sessions.size === 1);
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(server.sessions.size).toBe(1);
    for (const session of server.sessions) session.settings({ maxConcurrentStreams: 5 });
    await until(() => finish.length === 2);
    await finishAll(pending);
  });
});

describe('the life of a connection', () => {
  test('is closed after the idle timeout, not before, and not while there is a call', async () => {
    const clock = new FakeClock();
    await start(10, { clock, idleTimeoutMs: 60_000 });
    await finishAll([fixture.transport.call(callOf())]);
    await until(() => clock.pending === 1);
    await clock.advance(40_000);
    const pending = fixture.transport.call(callOf());
    await until(() => finish.length === 1);
    await clock.advance(30_000);
    expect(fixture.transport.connections).toBe(1);
    await finishAll([pending]);
    await clock.advance(59_000);
    expect(fixture.transport.connections).toBe(1);
    await clock.advance(2_000);
    await until(() => fixture.transport.connections === 0 && server.sessions.size === 0);
    expect(clock.pending).toBe(0);
  });

  test('close waits for the calls under way, in line too, and takes no new ones', async () => {
    await start(1, { limits: new CountingLimits(1) });
    const pending = [fixture.transport.call(callOf()), fixture.transport.call(callOf())];
    await until(() => finish.length === 1);
    let closed = false;
    void fixture.transport.close().then(() => {
      closed = true;
    });
    await expect(fixture.transport.call(callOf())).rejects.toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    await finishAll(pending);
    await until(() => closed);
    expect(fixture.transport.connections).toBe(0);
  });

  test('close by force cuts the calls under way and those in line', async () => {
    await start(1, { limits: new CountingLimits(1) });
    const settled = Promise.allSettled([fixture.transport.call(callOf()), fixture.transport.call(callOf())]);
    await until(() => finish.length === 1);
    await fixture.transport.close(true);
    const [first, second] = await settled;
    expect(first).toMatchObject({ status: 'rejected', reason: { code: 'CONNECTION_LOST', reached: 'maybe' } });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'CONNECTION_LOST', reached: 'no' } });
  });

  test('close while connecting, and twice, is safe', async () => {
    await start(1);
    const pending = fixture.transport.call(callOf());
    const closing = [fixture.transport.close(true), fixture.transport.close()];
    await expect(pending).rejects.toMatchObject({ reached: 'no' });
    await Promise.all(closing);
    expect(fixture.transport.connections).toBe(0);
  });
});
