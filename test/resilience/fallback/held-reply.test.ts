import { describe, expect, test } from 'vitest';
import { StreamBody } from '../../../src/core/body.js';
import { headerFields } from '../../../src/core/headers.js';
import { type Reply, ReplyEnding } from '../../../src/core/reply.js';
import { HELD_REPLY_MS } from '../../../src/resilience/fallback/held-reply.js';
import { aCall } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { STATIC, textOf, withFallbacks } from './support.js';

/* The reply of a failed call, while a fallback that takes time is asked: nobody reads it, and it must not hold its place for that long. */

/** A 503 of which `sorry` has come, and a function that answers when told to. */
function asking(kinds: readonly (typeof STATIC)[] = []) {
  let cancelled = 0;
  const ending = new ReplyEnding();
  const end = (): void => {
    body.end();
    ending.settle({ error: undefined, trailers: undefined, bytesSent: 0, bytesReceived: 5 });
  };
  const body = new StreamBody({
    resume() {},
    cancel: () => {
      cancelled++;
    },
  });
  body.write(Buffer.from('sorry'));
  const headers = headerFields({ 'content-length': '70000', 'content-type': 'text/plain', 'retry-after': '1' });
  const busy: Reply = { status: 503, headers, body, onEnd: (listener) => ending.onEnd(listener) };
  let answer: (reply: { body: string } | undefined) => void = () => {};
  const mine = () =>
    new Promise<{ body: string } | undefined>((resolve) => {
      answer = resolve;
    });
  const { service, clock } = withFallbacks([{ kind: 'function', name: 'mine' }, ...kinds], async () => busy, {
    fallbacks: { mine },
  });
  const replying = service(aCall({ method: 'PUT' })).then(async (reply) => ({ reply, text: await textOf(reply) }));
  return { clock, end, replying, answer: (reply?: { body: string }) => answer(reply), cancelled: () => cancelled };
}

describe('a failed reply while a function is asked', () => {
  test('is cut when its rest takes longer than 100 ms; when nothing has an answer its head stands, without content', async () => {
    const { clock, replying, answer, cancelled } = asking();
    await clock.advance(HELD_REPLY_MS - 1);
    expect(cancelled()).toBe(0);
    await clock.advance(1);
    expect(cancelled()).toBe(1);
    answer();
    const { reply, text } = await replying;
    expect([reply.status, reply.headers, text]).toEqual([503, { 'retry-after': '1' }, '']);
  });

  test('stands as it is when it has come whole, however long the function takes', async () => {
    const { clock, replying, end, answer, cancelled } = asking();
    await settle();
    end();
    await clock.advance(10_000);
    answer();
    const { reply, text } = await replying;
    expect([reply.status, reply.headers['content-length'], text]).toEqual([503, '70000', 'sorry']);
    expect(cancelled()).toBe(0);
  });

  test('stands as it is when the function soon has no answer', async () => {
    const { clock, replying, end, answer } = asking();
    await settle();
    answer();
    await clock.advance(10_000);
    end();
    expect((await replying).text).toBe('sorry');
  });

  test('leaves no timer, whoever answers', async () => {
    const asked = asking();
    await settle();
    asked.answer({ body: 'mine' });
    expect((await asked.replying).text).toBe('mine');
    asked.end();
    await asked.clock.advance(HELD_REPLY_MS);
    const late = asking([STATIC]);
    await late.clock.advance(HELD_REPLY_MS);
    late.answer();
    expect((await late.replying).text).toBe('[]');
    expect(late.cancelled()).toBe(1);
    await late.clock.advance(15_000);
    expect([asked.clock.pending, late.clock.pending]).toEqual([0, 0]);
  });
});
