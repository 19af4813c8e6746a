import { afterEach, expect, test } from 'vitest';
import { CancelledError } from '../../src/core/errors.js';
import { answerOf, Cleanup, openReply, proxyFor, raw, session } from './support.js';

/** Replies that break off as soon as their first bytes are there: a fault that cuts bodies (FaultPolicy `truncate`), a service that dies. */

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const START = Buffer.alloc(1_500, 'a');

/** Head, bytes and break all in one turn. `headers`: of the reply. */
const broken = (headers: Record<string, string>, bytes = START) =>
  proxyFor(cleanup, async () => {
    const { reply, body } = openReply(200, headers);
    if (bytes.length > 0) body.write(bytes);
    body.fail(new CancelledError('broke off'));
    return reply;
  });

test.each([
  ['chunked', {}],
  ['of an announced length', { 'content-length': '9000' }],
])('HTTP/1.1: what came before the break reaches the client, and is not taken for whole: %s', async (_, headers) => {
  const { port } = await broken({ 'x-a': 'b', ...headers });
  const text = await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*x-a: b\r\n/i);
  expect(text.split('\r\n\r\n').slice(1).join()).toContain(START.toString());
  expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
});

test('HTTP/1.1: a break right after the head leaves the head', async () => {
  const { port } = await broken({ 'x-a': 'b' }, Buffer.alloc(0));
  expect(await raw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*x-a: b\r\n/i);
});

test.each([
  ['bytes', START],
  ['only the head', Buffer.alloc(0)],
])('HTTP/2: what came before the break reaches the client, and the stream is reset: %s', async (_, bytes) => {
  const proxy = await broken({ 'x-a': 'b' }, bytes);
  const { headers, body, resetCode } = await answerOf(session(cleanup, proxy).request({ ':path': '/' }));
  expect([headers[':status'], headers['x-a'], body.length, resetCode]).toEqual([200, 'b', bytes.length, 2]);
});
