import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { Exchange } from '../../../src/client/transport/http2/exchange.js';
import type { Connection } from '../../../src/client/transport/http2/connection.js';
import type { Reply } from '../../../src/core/reply.js';
import { callOf, text } from '../../support/http2-fixture.js';

/** As much of a stream of node:http2 as an exchange sees: the test says what Node tells of, and in which order. */
class ToldStream extends EventEmitter {
  readonly id = 1;
  readonly rstCode = 0;
  readonly closed = false;
  readonly writableFinished = true;
  pause(): void {}
  resume(): void {}
}

test('what comes of the body before Node tells of the head, in the same read, is not lost', async () => {
  const stream = new ToldStream();
  const connection = {
    request: () => stream,
    answered() {},
    release() {},
    onDraining: new Set(),
    maxHeaderListBytes: Number.POSITIVE_INFINITY,
  } as unknown as Connection;
  const reply = await new Promise<Reply>((resolve, reject) => {
    new Exchange(connection, callOf({}), resolve, reject).start();
    // ClientHttp2Stream emits 'response' and 'trailers' in ticks of their own, 'data' at once.
    process.nextTick(() => stream.emit('response', { ':status': 200 }, 0));
    stream.emit('data', Buffer.from('first, '));
    stream.emit('data', Buffer.from('second, '));
    process.nextTick(() => {
      stream.emit('data', Buffer.from('third'));
      stream.emit('trailers', { 'grpc-status': '0' });
      stream.emit('end');
      stream.emit('close');
    });
  });
  expect(await text(reply.body)).toBe('first, second, third');
});
