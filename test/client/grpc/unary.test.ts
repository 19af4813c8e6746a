import { describe, expect, test } from 'vitest';
import { encodeFrame } from '../../../src/client/grpc/framing.js';
import { unary } from '../../../src/client/grpc/unary.js';
import { BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { CancelledError, MeshClosedError, type MeshError } from '../../../src/core/errors.js';
import { type HeaderFields, headerFields } from '../../../src/core/headers.js';
import { type Reply, ReplyEnding } from '../../../src/core/reply.js';
import type { Service } from '../../../src/core/service.js';

const MESSAGE = Uint8Array.of(1, 2, 3);
const REQUEST = {
  path: '/a.B/C',
  authority: 'b',
  message: Uint8Array.of(9),
  timeoutMs: 20,
  maxMessageBytes: 100,
};

interface Told {
  readonly body?: Uint8Array;
  readonly status?: number;
  readonly headers?: HeaderFields;
  readonly trailers?: HeaderFields | undefined;
  readonly error?: MeshError;
}

const status = (code: string, message?: string): HeaderFields =>
  headerFields({ 'grpc-status': code, 'grpc-message': message });

function replyOf({ body = new Uint8Array(0), trailers, error, ...head }: Told): Reply {
  const ending = new ReplyEnding();
  const stream = new StreamBody({ resume() {}, cancel() {} });
  const reply: Reply = {
    status: head.status ?? 200,
    headers: head.headers ?? headerFields(),
    body: stream,
    onEnd: (listener) => ending.onEnd(listener),
  };
  queueMicrotask(() => {
    // In two, so that no frame comes whole.
    stream.write(body.subarray(0, 4));
    stream.write(body.subarray(4));
    if (error === undefined) stream.end(trailers);
    else stream.fail(error);
    ending.settle({ error, trailers, bytesSent: 0, bytesReceived: body.byteLength });
  });
  return reply;
}

/** Answers each call with `told`. */
function serve(told: Told): { readonly service: Service; readonly calls: Call[] } {
  const calls: Call[] = [];
  return {
    calls,
    service: (call) => {
      calls.push(call);
      return Promise.resolve(replyOf(told));
    },
  };
}

test('one message goes out as gRPC has it, with its time limit, and the one that comes back is the result', async () => {
  const { service, calls } = serve({ body: encodeFrame(MESSAGE, false), trailers: status('0') });
  expect(Uint8Array.from(await unary(service, REQUEST))).toEqual(MESSAGE);
  expect(calls).toHaveLength(1);
  expect(calls[0]).toMatchObject({ protocol: 'grpc', method: 'POST', path: '/a.B/C', authority: 'b', timeoutMs: 20 });
  expect(calls[0]?.headers).toMatchObject({ 'content-type': 'application/grpc', te: 'trailers' });
  expect(calls[0]?.body).toMatchObject({ bytes: encodeFrame(REQUEST.message, false) });
});

test('an empty message is a message', async () => {
  const { service } = serve({ body: encodeFrame(new Uint8Array(0), false), trailers: status('0') });
  expect((await unary(service, REQUEST)).byteLength).toBe(0);
});

describe('what is no answer rejects', () => {
  const two = Buffer.concat([encodeFrame(MESSAGE, false), encodeFrame(MESSAGE, false)]);
  test.each<[string, Told, string]>([
    ['a status other than OK', { trailers: status('14', 'no%20redis') }, 'it answered UNAVAILABLE: no redis'],
    ['a status in the head', { headers: status('12', 'nothing here') }, 'it answered UNIMPLEMENTED: nothing here'],
    ['a status that gRPC does not have', { trailers: status('99') }, 'it answered gRPC status 99'],
    ['no status at all', { status: 404 }, 'it answered with HTTP status 404, and no gRPC status'],
    ['no message', { trailers: status('0') }, 'it answered with 0 whole messages'],
    ['half a message', { body: encodeFrame(MESSAGE, false).subarray(0, 6), trailers: status('0') }, '0 whole messages'],
    ['two messages', { body: two, trailers: status('0') }, 'more than one message'],
    ['a compressed message', { body: encodeFrame(MESSAGE, true), trailers: status('0') }, 'compressed'],
    [
      'a message that is too long',
      { body: encodeFrame(new Uint8Array(101), false), trailers: status('0') },
      'the limit is 100',
    ],
    ['what is no gRPC', { body: Buffer.from('<html>nginx</html>'), trailers: status('0') }, 'not gRPC framing'],
  ])('%s', async (_, told, message) => {
    const { service } = serve(told);
    await expect(unary(service, REQUEST)).rejects.toThrow(`b/a.B/C: `);
    await expect(unary(service, REQUEST)).rejects.toThrow(message);
  });

  test('what fails on the way is told as it is', async () => {
    const closed = new MeshClosedError();
    await expect(unary(() => Promise.reject(closed), REQUEST)).rejects.toBe(closed);
    const lost = new CancelledError('lost');
    await expect(unary(serve({ error: lost }).service, REQUEST)).rejects.toBe(lost);
  });
});

test('the end may be known before the body is read', async () => {
  const end = { error: undefined, trailers: status('0'), bytesSent: 0, bytesReceived: 8 };
  const reply: Reply = {
    status: 200,
    headers: headerFields(),
    body: new BytesBody(encodeFrame(MESSAGE, false)),
    onEnd: (listener) => listener(end),
  };
  expect(Uint8Array.from(await unary(() => Promise.resolve(reply), REQUEST))).toEqual(MESSAGE);
});

test('a call whose answer is refused is cancelled', async () => {
  const { service, calls } = serve({ body: encodeFrame(MESSAGE, true), trailers: status('0') });
  await expect(unary(service, REQUEST)).rejects.toThrow();
  expect(calls[0]?.cancellation.reason?.message).toBe('the answer is compressed, which was not offered');
});
