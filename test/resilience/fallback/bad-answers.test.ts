import { describe, expect, test } from 'vitest';
import type { BytesBody } from '../../../src/core/body.js';
import { aCall, scripted } from '../../support/calls.js';
import { Refused, STATIC, textOf, withFallbacks } from './support.js';

/* What a function answers is checked as the options of a call are: what no reply can be is no answer, and is told of. */

const FUNCTION = [{ kind: 'function', name: 'mine' }] as const;
const answering = (mine: () => unknown, { kinds = [...FUNCTION, STATIC] as const } = {}) =>
  withFallbacks(kinds, scripted(new Refused()), { fallbacks: { mine: mine as () => undefined } });

/** Without a prototype it has no text. */
const wordless = (): never => {
  throw Object.create(null);
};

describe('an answer that cannot be sent is none, and it is said why', () => {
  test.each([
    ['a status above 599', () => ({ status: 1_000 }), 'the answer.status: must be a number from 200 to 599, got 1000'],
    ['an informational status', () => ({ status: 100 }), 'the answer.status: must be a number from 200 to 599'],
    ['a status that is no number', () => ({ status: Number.NaN }), 'the answer.status: must be a whole number'],
    ['a status that is text', () => ({ status: '200' }), 'the answer.status: must be a whole number'],
    ['Response.error()', () => Response.error(), 'the answer.status: must be a number from 200 to 599, got 0'],
    ['a body that is a number', () => ({ body: 5 }), 'the answer.body: must be a string or bytes, got 5'],
    ['a body that is null', () => ({ body: null }), 'the answer.body: must be a string or bytes, got null'],
    ['a header with a line feed', () => ({ headers: { a: 'b\r\nc: d' } }), 'the answer.headers.a: must be Latin-1'],
    ['a header whose name is none', () => ({ headers: { 'a b': 'c' } }), 'the answer.headers: must have names'],
    ['a field that we do not know', () => ({ statusCode: 404 }), 'the answer.statusCode: unknown field'],
    ['null', () => null, 'the answer: must be an object, got null'],
    ['a text', () => 'hello', 'the answer: must be an object, got "hello"'],
    ['an exception without text', wordless, '{}'],
  ])('%s', async (_, mine, complaint) => {
    const { service, complaints } = answering(mine);
    expect((await service(aCall())).headers['inmesh-fallback']).toBe('static');
    expect(complaints).toEqual([expect.stringContaining(complaint)]);
  });

  test.each([
    ['a status beyond 16', () => ({ grpcStatus: 17 }), 'the answer.grpcStatus: must be a number from 0 to 16, got 17'],
    [
      'a message with half a character',
      () => ({ grpcStatus: 5, grpcMessage: '\ud800' }),
      'must be well-formed Unicode',
    ],
    ['a Response', () => new Response('hello'), 'a Response answers over HTTP'],
  ])('%s, over gRPC', async (_, mine, complaint) => {
    const { service, complaints } = answering(mine);
    const call = aCall({ protocol: 'grpc', method: 'POST', path: '/reviews.Reviews/Get' });
    expect((await service(call)).headers['inmesh-fallback']).toBe('static');
    expect(complaints).toEqual([expect.stringContaining(complaint)]);
  });
});

describe('the length of a reply over HTTP is what it is', () => {
  const reply = async (said: object, method = 'GET') => {
    const { status, headers, body } = await answering(() => said).service(aCall({ method }));
    return [status, headers['content-length'], await textOf({ body } as never)];
  };

  test('whatever its headers say', async () => {
    expect(await reply({ headers: { 'content-length': '99' }, body: 'plain' })).toEqual([200, '5', 'plain']);
    expect(await reply({ headers: { 'Content-Length': '99' } })).toEqual([200, undefined, '']);
    expect(await reply({ headers: { 'content-length': '99' } }, 'HEAD')).toEqual([200, '99', '']);
  });

  test.each([204, 205, 304])('%i has no content, from a function and from the configuration', async (status) => {
    expect(await reply({ status, body: 'x' })).toEqual([status, undefined, '']);
    const { service } = withFallbacks([{ ...STATIC, status }], scripted(new Refused()));
    const { headers, body } = await service(aCall());
    expect(headers['content-length']).toBeUndefined();
    expect((body as BytesBody).size).toBe(0);
  });
});
