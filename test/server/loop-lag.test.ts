import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { InboundOptions } from '../../src/server/inbound.js';
import { EchoGrpc, FRAMEWORKS } from '../support/inbound-servers.js';
import { LoopClock } from '../support/loop-clock.js';

/** The second signal of `shed` on real servers. How late the event loop is, the clock says: nobody computes, and nothing is timed. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** More than priority `default` puts up with, less than `high` does. */
const LATE_MS = 100;
const optionsOf = (clock: LoopClock): InboundOptions => ({ clock, shed: { maxLagMs: 70 } });

/** One turn that is late, and is seen to be by `ask`; then the next is. */
async function twiceLate(clock: LoopClock, ask: () => Promise<unknown>): Promise<void> {
  await ask();
  // The next beat is wanted by whoever comes after the first.
  await ask();
  clock.time = clock.nextTimer + LATE_MS;
  clock.runTimers();
  clock.time = clock.nextTimer + LATE_MS;
}

describe.each(Object.entries(FRAMEWORKS))('%s: an event loop that is late', (_, framework) => {
  test('refuses requests before their handlers, the most important not, and serves all again when it no longer is', async () => {
    const clock = new LoopClock();
    let handled = 0;
    const { port, close } = await framework(() => void handled++, optionsOf(clock));
    closing.push(close);
    const ask = (priority = 'default'): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/`, { headers: { 'inmesh-priority': priority } });
    await twiceLate(clock, ask);
    expect(handled).toBe(2);
    const refused = await ask();
    expect([refused.status, refused.headers.get('mesh-error'), refused.headers.get('retry-after')]).toEqual([
      503,
      'MA',
      '1',
    ]);
    expect(handled).toBe(2);
    expect((await ask('high')).status).toBe(200);
    clock.runTimers();
    expect((await ask()).status).toBe(200);
    expect(handled).toBe(4);
  });
});

test('grpc-js: an event loop that is late refuses calls before their handlers, and serves them again when it no longer is', async () => {
  const clock = new LoopClock();
  let handled = 0;
  const server = await EchoGrpc.start(() => void handled++, optionsOf(clock));
  closing.push(() => server.close());
  await twiceLate(clock, () => server.unary());
  await expect(server.unary()).rejects.toMatchObject({ code: grpc.status.RESOURCE_EXHAUSTED });
  expect(handled).toBe(2);
  clock.runTimers();
  expect(await server.unary()).toBe('ok');
  expect(handled).toBe(3);
});
