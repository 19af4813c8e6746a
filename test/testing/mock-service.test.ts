import { describe, expect, test } from 'vitest';
import { collect } from '../../src/core/body.js';
import { CancelledError } from '../../src/core/errors.js';
import type { ReplyEnd } from '../../src/core/reply.js';
import { connectionLost } from '../../src/testing/failures.js';
import { mockService } from '../../src/testing/mock-service.js';
import { mockReply, replyOf } from '../../src/testing/reply.js';
import { aCall } from '../support/calls.js';
import { settle } from '../support/fake-clock.js';

const read = async (reply: ReturnType<typeof replyOf>): Promise<string> =>
  Buffer.from(await collect(reply.body, 1_000_000, () => new CancelledError())).toString();

describe('mockService', () => {
  test('answers call by call, and remembers the calls', async () => {
    const lost = connectionLost();
    const service = mockService([
      new Response('one', { status: 503 }),
      lost,
      (call) => mockReply({ body: call.path }),
      async () => Response.json({ n: 4 }),
    ]);
    const first = await service(aCall());
    expect([first.status, await read(first)]).toEqual([503, 'one']);
    await expect(service(aCall())).rejects.toBe(lost);
    expect(await read(await service(aCall({ path: '/three' })))).toBe('/three');
    expect((await service(aCall())).headers).toMatchObject({ 'content-type': 'application/json' });
    expect(service.calls.map(({ path }) => path)).toEqual(['/', '/', '/three', '/']);
  });

  test('a call more than scripted fails, and says which', async () => {
    await expect(mockService([])(aCall({ path: '/surprise' }))).rejects.toThrow(
      'call 1 (GET /surprise) came, but only 0 were scripted',
    );
  });
});

describe('a reply', () => {
  const endOf = (reply: ReturnType<typeof replyOf>): Promise<ReplyEnd> =>
    new Promise((resolve) => reply.onEnd(resolve));

  test('may have trailers', async () => {
    const reply = mockReply({ body: 'x', trailers: { 'grpc-status': '0' } });
    expect(await endOf(reply)).toMatchObject({ error: undefined, trailers: { 'grpc-status': '0' }, bytesReceived: 1 });
  });

  test('of a Response keeps repeated cookies apart', () => {
    const response = new Response(null);
    response.headers.append('set-cookie', 'a=1');
    response.headers.append('set-cookie', 'b=2');
    expect(replyOf(response).headers['set-cookie']).toEqual(['a=1', 'b=2']);
  });

  test('of a Response is streamed no faster than it is read', async () => {
    let pulled = 0;
    const chunk = new Uint8Array(65_536);
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        if (pulled > 100) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const reply = replyOf(new Response(stream));
    await settle();
    expect(pulled).toBeLessThan(5);
    expect((await collect(reply.body, 100_000_000, () => new CancelledError())).byteLength).toBe(100 * 65_536);
    expect(await endOf(reply)).toMatchObject({ error: undefined, bytesReceived: 100 * 65_536 });
  });

  test('of a Response whose body breaks off fails with the cause', async () => {
    const cause = new Error('no more');
    const reply = replyOf(
      new Response(
        new ReadableStream({
          pull(controller) {
            controller.error(cause);
          },
        }),
      ),
    );
    await expect(read(reply)).rejects.toMatchObject({ code: 'CONNECTION_LOST', cause });
    expect((await endOf(reply)).error?.code).toBe('CONNECTION_LOST');
  });

  test('that is cancelled cancels the stream behind it', async () => {
    let cancelled: unknown;
    const reply = replyOf(
      new Response(
        new ReadableStream({
          cancel(reason) {
            cancelled = reason;
          },
        }),
      ),
    );
    const reason = new CancelledError();
    reply.body.cancel(reason);
    await settle();
    expect(cancelled).toBe(reason);
    expect((await endOf(reply)).error).toBe(reason);
  });
});
