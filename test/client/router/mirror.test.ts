import { describe, expect, test } from 'vitest';
import { MAX_MIRRORS, shadowHost } from '../../../src/client/router/mirror.js';
import { MIRROR_LIMIT_BYTES } from '../../../src/client/router/mirror-body.js';
import { BytesBody, type Body, collect, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { ProtocolError } from '../../../src/client/transport/errors.js';
import type { MirrorPolicy } from '../../../src/core/model/route.js';
import type { Reply } from '../../../src/core/reply.js';
import { aReply, OpenReply } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';
import { aForward, aRoute } from '../../support/targets.js';
import { clusterAt, passUntil, routing } from './support.js';

const policy = (more: Partial<MirrorPolicy> = {}): MirrorPolicy => ({
  cluster: 'b',
  share: 1,
  shadowSuffix: true,
  hostRewrite: undefined,
  requestHeaders: undefined,
  ...more,
});
const mirrored = (
  mirrors: readonly MirrorPolicy[],
  answer?: (endpoint: string, call: Call) => Reply | Promise<Reply>,
  more: Parameters<typeof aForward>[1] = {},
) => routing([aRoute({ action: aForward({ a: 1 }, { mirrors, ...more }) })], answer);
const read = (body: Body | undefined): Promise<string> =>
  body === undefined
    ? Promise.resolve('')
    : collect(body, 1e9, () => new ProtocolError('x', 'x', 'no')).then((bytes) => Buffer.from(bytes).toString());
const producer = { resume() {}, cancel() {} };

describe('a mirrored call', () => {
  test('is sent after the call proper, as it is sent, to a host that says so', async () => {
    const { call, sent } = await mirrored([
      policy({ requestHeaders: { remove: ['x-secret'], set: [{ name: 'x-copy', value: '1', action: 'overwrite' }] } }),
    ]);
    await call({ path: '/a?b', method: 'PUT', body: new BytesBody(Buffer.from('hello')) }, { x: '1', 'x-secret': 's' });
    expect(sent.map(({ endpoint }) => clusterAt(endpoint))).toEqual(['a', 'b']);
    const [proper, copy] = sent.map((attempt) => attempt.call) as [Call, Call];
    expect(copy).toMatchObject({ path: '/a?b', method: 'PUT', host: 'reviews-shadow' });
    expect(copy.headers).toMatchObject({ x: '1', 'x-copy': '1' });
    expect(copy.headers).not.toHaveProperty('x-secret');
    expect(proper.headers).toMatchObject({ 'x-secret': 's' });
    expect(proper.headers).not.toHaveProperty('x-copy');
    expect(await read(copy.body)).toBe('hello');
  });

  test.each([
    ['reviews', 'reviews-shadow'],
    ['reviews:80', 'reviews-shadow:80'],
    ['[::1]:80', '[::1]-shadow:80'],
    ['[::1]', '[::1]-shadow'],
  ])('to %s is to %s', (host, shadow) => {
    expect(shadowHost(host)).toBe(shadow);
  });

  test('keeps its host where that is asked for, or has another', async () => {
    const { call, sent } = await mirrored([policy({ shadowSuffix: false }), policy({ hostRewrite: 'lab' })]);
    await call();
    expect(sent.map((attempt) => attempt.call.host)).toEqual(['reviews', 'reviews', 'lab']);
  });

  test('is a share of the calls', async () => {
    const { call, sent } = await mirrored([policy({ share: 0.3 })]);
    for (let i = 0; i < 2_000; i++) await call();
    // Binomial(2 000, 0.3): five standard deviations are 103.
    expect(Math.abs(sent.length - 2_600)).toBeLessThan(103);
  });

  test('neither delays nor fails the call proper, whatever becomes of it', async () => {
    const answers: (() => Reply | Promise<Reply>)[] = [
      () => new Promise<Reply>(() => {}),
      () => Promise.reject(new ProtocolError('b', 'broken', 'maybe')),
      () => aReply(500),
    ];
    for (const answer of answers) {
      const { call } = await mirrored([policy()], (endpoint) => (clusterAt(endpoint) === 'b' ? answer() : aReply(200)));
      expect((await call()).status).toBe(200);
      await settle();
    }
  });

  test('to a cluster that is not there is left out, and counted', async () => {
    const { call, sent, events } = await mirrored([policy({ cluster: 'nowhere' })]);
    expect((await call()).status).toBe(200);
    expect(sent).toHaveLength(1);
    expect(events).toEqual([{ kind: 'mirror:dropped', cluster: 'nowhere', reason: 'no-cluster' }]);
  });

  test('is not followed by another attempt, and none follows from the call proper’s', async () => {
    let failures = 1;
    const { call, sent, clock } = await mirrored([policy()], (endpoint) =>
      clusterAt(endpoint) === 'b' || failures-- > 0 ? aReply(503) : aReply(200),
    );
    const replying = call();
    await passUntil(clock, () => sent.length === 3);
    expect((await replying).status).toBe(200);
    expect(sent.map(({ endpoint }) => clusterAt(endpoint)).sort()).toEqual(['a', 'a', 'b']);
  });

  test('has a time limit for all of it, and gives its place back', async () => {
    const open: OpenReply[] = [];
    const { call, sent, clock, events } = await mirrored(
      [policy()],
      (endpoint) => {
        if (clusterAt(endpoint) !== 'b') return aReply(200);
        const reply = new OpenReply();
        open.push(reply);
        return reply;
      },
      { timeoutMs: 2_000 },
    );
    for (let i = 0; i < MAX_MIRRORS + 3; i++) await call();
    expect(open).toHaveLength(MAX_MIRRORS);
    expect(events.filter(({ kind }) => kind === 'mirror:dropped')).toHaveLength(3);
    await clock.advance(2_010);
    const copies = sent.filter(({ endpoint }) => clusterAt(endpoint) === 'b');
    expect(copies.every((copy) => copy.call.cancellation.cancelled)).toBe(true);
    for (const reply of open) reply.finish();
    await call();
    expect(open).toHaveLength(MAX_MIRRORS + 1);
  });
});

describe('a mirrored call with a body that streams', () => {
  const streaming = async (chunks: readonly string[], broken = false) => {
    let proper = Promise.resolve('');
    const { call, sent, events } = await mirrored([policy()], (endpoint, sending) => {
      if (clusterAt(endpoint) === 'a') {
        proper = read(sending.body);
        proper.catch(() => {});
      }
      return aReply(200);
    });
    const body = new StreamBody(producer);
    const replying = call({ method: 'POST', body });
    await settle();
    const atFirst = sent.length;
    for (const chunk of chunks) body.write(Buffer.from(chunk));
    if (broken) body.fail(new ProtocolError('x', 'broken', 'no'));
    else body.end();
    await replying;
    await settle();
    return { atFirst, proper, sent, events };
  };

  test('is sent once the last byte has passed, with a copy', async () => {
    const { atFirst, proper, sent } = await streaming(['one ', 'two']);
    expect(atFirst).toBe(1);
    expect(sent).toHaveLength(2);
    expect(await proper).toBe('one two');
    expect(await read(sent[1]?.call.body)).toBe('one two');
  });

  test('is left out when the body is longer than is kept, which harms the call proper nothing', async () => {
    const { proper, sent, events } = await streaming(['a'.repeat(MIRROR_LIMIT_BYTES), 'b']);
    expect(sent).toHaveLength(1);
    expect(events).toEqual([{ kind: 'mirror:dropped', cluster: 'b', reason: 'body-too-long' }]);
    expect((await proper).length).toBe(MIRROR_LIMIT_BYTES + 1);
  });

  test('is left out when the body breaks off', async () => {
    const { sent } = await streaming(['a'], true);
    expect(sent.filter(({ endpoint }) => clusterAt(endpoint) === 'b')).toHaveLength(0);
  });
});
