import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LISTENER } from '../../../src/core/resources.js';
import { type Harness, Recorder, start, until } from './harness.js';

/*
 * A server that connects and takes no stream: RFC 9113, SETTINGS_MAX_CONCURRENT_STREAMS of 0. gRFC A57: the wait for a resource starts when "the
 * stream has been dispatched to the associated transport".
 */
let server: Http2Server;
let session: ServerHttp2Session | undefined;
let streams: number;
let harness: Harness;
let watcher: Recorder;

beforeEach(async () => {
  streams = 0;
  server = createServer({ settings: { maxConcurrentStreams: 0 } });
  server.on('session', (given) => {
    session = given;
  });
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.resume();
    streams++;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  harness = start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  watcher = new Recorder();
  harness.client.watch(LISTENER, 'l', watcher);
  await until(() => harness.events.some(({ kind }) => kind === 'xds:connected'));
});
afterEach(async () => {
  await harness.client.close();
  expect(harness.clock.pending).toBe(0);
  session?.destroy();
  server.close();
});

test('has not been asked, and does not say by its silence that a resource does not exist; it is out of reach after 20 s', async () => {
  await harness.clock.advance(19_999);
  expect(watcher.told).toEqual([]);
  await harness.clock.advance(1);
  expect(watcher.told).toEqual(['failed: unreachable']);
  expect(streams).toBe(0);
});

test('is asked once it takes one, and the wait starts then', async () => {
  await harness.clock.advance(10_000);
  session?.settings({ maxConcurrentStreams: 10 });
  await until(() => streams === 1);
  // The timer of the attempt is gone, and that of the wait is there.
  await until(() => harness.clock.pending === 1);
  for (let i = 0; i < 20; i++) await harness.clock.advance(0);
  await harness.clock.advance(14_999);
  expect(watcher.told).toEqual([]);
  await harness.clock.advance(1);
  expect(watcher.told).toEqual(['failed: does-not-exist']);
});
