import { connect, createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { whenIdle } from '../../src/proxy/idle.js';
import { FakeClock } from '../support/fake-clock.js';

test('a session over which nothing goes is idle by the injected clock, one that is used is not, and one that is gone leaves no timer', async () => {
  const clock = new FakeClock();
  const server = createServer((_, response) => response.end('ok'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const made = new Promise<ServerHttp2Session>((resolve) => server.once('session', resolve));
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const ask = () =>
    new Promise<void>((resolve) => {
      client.request({ ':path': '/' }).on('close', resolve).resume();
    });
  const session = await made;
  await ask();
  let idle = 0;
  whenIdle(session, 1_000, clock, () => idle++);
  for (let i = 0; i < 5; i++) {
    await ask();
    await clock.advance(750);
  }
  expect(idle).toBe(0);
  await clock.advance(1_250);
  expect(idle).toBe(1);
  expect(clock.pending).toBe(0);
  whenIdle(session, 1_000, clock, () => idle++);
  const closed = new Promise((resolve) => session.once('close', resolve));
  client.close();
  await closed;
  expect(clock.pending).toBe(0);
  await new Promise((resolve) => server.close(resolve));
});
