import { describe, expect, test } from 'vitest';
import { BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { CancelledError, MeshClosedError } from '../../../src/core/errors.js';
import { localReply, type Reply } from '../../../src/core/reply.js';
import type { Service } from '../../../src/core/service.js';
import { BreakerOpenError } from '../../../src/resilience/breaker/errors.js';
import { DeadlineExceededError } from '../../../src/resilience/deadline/errors.js';
import { aCall, aReply, scripted } from '../../support/calls.js';
import { Lost, Refused, STATIC, textOf, withFallbacks } from './support.js';

const text = (body: string, status = 200): Reply => localReply(status, Object.create(null), Buffer.from(body));
const grpc = (more = {}): Call => aCall({ protocol: 'grpc', method: 'POST', path: '/reviews.Reviews/Get', ...more });
const frame = (message: string): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);

describe('what makes a fallback answer', () => {
  test.each([
    ['an open breaker', () => Promise.reject(new BreakerOpenError('reviews', 1_000)), 'BREAKER_OPEN', 'MC'],
    ['no connection', () => Promise.reject(new Refused()), 'CONNECT_FAILED', 'UF'],
    ['a lost connection', () => Promise.reject(new Lost()), 'CONNECTION_LOST', 'UC'],
    ['a deadline', () => Promise.reject(new DeadlineExceededError('late', 'maybe')), 'DEADLINE_EXCEEDED', 'UT'],
    ['a 503', () => Promise.resolve(aReply(503)), '503', undefined],
  ])('%s', async (_, next: Service, reason, flag) => {
    const { service, events } = withFallbacks([STATIC], next);
    const call = aCall();
    const reply = await service(call);
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({
      'inmesh-fallback': 'static',
      'content-type': 'application/json',
      'content-length': '2',
      'x-a': ['1', '2'],
    });
    expect(await textOf(reply)).toBe('[]');
    expect(call.record.fallback).toBe('static');
    expect(call.record.flags).toEqual(flag === undefined ? undefined : [flag]);
    expect(events).toEqual([{ kind: 'fallback', cluster: 'reviews', by: 'static', reason }]);
  });

  test.each([
    ['a good reply', () => Promise.resolve(aReply(200)), { status: 200 }],
    ['a 500, which is an answer', () => Promise.resolve(aReply(500)), { status: 500 }],
    ['a caller who gave up', () => Promise.reject(new CancelledError()), { code: 'CANCELLED' }],
    ['a mesh that was closed', () => Promise.reject(new MeshClosedError()), { code: 'MESH_CLOSED' }],
  ])('not %s', async (_, next: Service, outcome) => {
    const { service, events } = withFallbacks([STATIC], next);
    expect(await service(aCall()).catch((error: unknown) => error)).toMatchObject(outcome);
    expect(events).toEqual([]);
  });

  test('UNAVAILABLE in the head of a gRPC reply, and no other status', async () => {
    const next = scripted(aReply(200, { 'grpc-status': '14' }), aReply(200, { 'grpc-status': '13' }));
    const { service, events } = withFallbacks([{ ...STATIC, body: Buffer.from('hello') }], next);
    const reply = await service(grpc());
    expect(reply.headers).toMatchObject({
      'content-type': 'application/grpc',
      'inmesh-fallback': 'static',
      'x-a': ['1', '2'],
    });
    expect(await textOf(reply)).toBe(frame('hello').toString());
    reply.onEnd((end) => expect(end.trailers).toEqual({ 'grpc-status': '0' }));
    expect((await service(grpc())).headers['grpc-status']).toBe('13');
    expect(events).toMatchObject([{ reason: 'UNAVAILABLE' }]);
  });

  test('a static gRPC status other than OK is the whole reply', async () => {
    const { service } = withFallbacks([{ ...STATIC, grpcStatus: 5 }], scripted(new Refused()));
    const reply = await service(grpc());
    expect(reply.headers['grpc-status']).toBe('5');
    expect(await textOf(reply)).toBe('');
  });
});

describe('fallbacks in order', () => {
  test('the first that has an answer gives it', async () => {
    const kinds = [{ kind: 'function', name: 'none' }, { kind: 'function', name: 'some' }, STATIC] as const;
    const fallbacks = { none: () => undefined, some: () => ({ body: 'from a function' }) };
    const { service } = withFallbacks(kinds, scripted(new Refused()), { fallbacks });
    const reply = await service(aCall());
    expect(reply.headers['inmesh-fallback']).toBe('function');
    expect(await textOf(reply)).toBe('from a function');
  });

  test('when none has, what the call came to stands', async () => {
    const kinds = [
      { kind: 'function', name: 'missing' },
      { kind: 'service', cluster: 'gone' },
    ] as const;
    const { service, events, warnings } = withFallbacks(kinds, scripted(new Refused(), text('sorry', 503)));
    await expect(service(aCall())).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    const reply = await service(aCall());
    expect([reply.status, await textOf(reply), reply.headers['inmesh-fallback']]).toEqual([503, 'sorry', undefined]);
    expect(events).toEqual([]);
    expect(warnings.length).toBe(1);
  });
});

describe('another service as fallback', () => {
  const SERVICE = [{ kind: 'service', cluster: 'ratings' }] as const;

  test('gets the call once, and answers it', async () => {
    const ratings = scripted(text('from ratings'));
    const { service } = withFallbacks(SERVICE, scripted(aReply(503)), { clusters: { ratings } });
    const call = aCall();
    call.affinity = '10.0.0.1:80';
    call.subset = { version: 'v2' };
    const reply = await service(call);
    expect(await textOf(reply)).toBe('from ratings');
    expect(reply.headers['inmesh-fallback']).toBe('service');
    expect(call.record.cluster).toBe('ratings');
    expect(ratings.calls[0]).toMatchObject({ affinity: undefined, subset: undefined, attempt: 1 });
  });

  test('does not count when it cannot either', async () => {
    const ratings = scripted(aReply(504), new Refused());
    const { service } = withFallbacks([...SERVICE, ...SERVICE, STATIC], scripted(new Lost()), {
      clusters: { ratings },
    });
    const call = aCall();
    call.record.cluster = 'reviews';
    expect((await service(call)).headers['inmesh-fallback']).toBe('static');
    expect(call.record.cluster).toBe('reviews');
  });

  test('gets what may have done its work already only when twice does no harm', async () => {
    const ratings = scripted(text('safe'), text('safe'));
    const { service } = withFallbacks(SERVICE, scripted(new Lost(), new Refused(), new Lost()), {
      clusters: { ratings },
    });
    await expect(service(aCall({ method: 'POST' }))).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(await textOf(await service(aCall({ method: 'POST' })))).toBe('safe');
    expect(await textOf(await service(aCall({ method: 'POST', idempotent: true })))).toBe('safe');
  });

  test('is told that the request is a repetition when a server may have seen it, so that nobody below tries again', async () => {
    const ratings = scripted(...Array.from({ length: 3 }, () => text('safe')));
    const next = scripted(aReply(503), new Lost(), new Refused());
    const { service } = withFallbacks(SERVICE, next, { clusters: { ratings } });
    for (let i = 0; i < 3; i++) {
      const call = aCall();
      await service(call);
      expect(call.headers['inmesh-retry']).toBeUndefined();
    }
    expect(ratings.calls.map(({ headers }) => headers['inmesh-retry'])).toEqual(['1', '1', undefined]);
  });

  test('gets a body that can be had only once from its beginning', async () => {
    const body = new StreamBody({ resume() {}, cancel() {} });
    body.write(Buffer.from('first '));
    const half: Service = async (call) => {
      call.body?.pipe({ write: () => true, end() {}, fail() {} });
      return aReply(503);
    };
    const echo: Service = async (call) => {
      const got = textOf({ body: call.body } as Reply);
      body.write(Buffer.from('second'));
      body.end();
      return text(await got);
    };
    const { service } = withFallbacks(SERVICE, half, { clusters: { echo, ratings: echo } });
    expect(await textOf(await service(aCall({ method: 'PUT', body })))).toBe('first second');
  });

  test('is cancelled with the call, and is not asked when the deadline has passed', async () => {
    let asked: Call | undefined;
    const ratings: Service = (call) => {
      asked = call;
      return new Promise((_, reject) => call.cancellation.add(reject));
    };
    const { service } = withFallbacks([...SERVICE, STATIC], () => Promise.reject(new Lost()), {
      clusters: { ratings },
    });
    const call = aCall();
    const replying = service(call);
    await new Promise(setImmediate);
    call.cancel(new DeadlineExceededError('late', 'maybe'));
    expect((await replying).headers['inmesh-fallback']).toBe('static');
    expect(asked?.cancellation.cancelled).toBe(true);
    asked = undefined;
    expect((await service(call)).headers['inmesh-fallback']).toBe('static');
    expect(asked).toBeUndefined();
  });
});

describe("a function of the application's as fallback", () => {
  const FUNCTION = [{ kind: 'function', name: 'mine' }] as const;

  test('is told of the call and why', async () => {
    let told: unknown;
    const mine = (request: unknown) => {
      told = request;
      return new Response('{"ok":true}', {
        status: 203,
        headers: [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
        ],
      });
    };
    const { service } = withFallbacks(FUNCTION, scripted(new Refused('no')), { fallbacks: { mine } });
    const body = new BytesBody(Buffer.from('hello'));
    const reply = await service(
      aCall({ method: 'PUT', path: '/7?x=1', headers: Object.assign(Object.create(null), { 'x-user': 'ann' }), body }),
    );
    expect(told).toMatchObject({
      protocol: 'http',
      authority: 'reviews',
      method: 'PUT',
      path: '/7?x=1',
      headers: { 'x-user': 'ann' },
      body: Buffer.from('hello'),
      reason: 'CONNECT_FAILED',
      error: { message: 'no' },
    });
    expect(reply.status).toBe(203);
    expect(reply.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], 'content-length': '11' });
  });

  test('answers gRPC with a message, or with a status', async () => {
    let told: unknown;
    const answers = [{ body: Buffer.from('yes') }, { grpcStatus: 9, grpcMessage: 'not now, 100 %' }];
    const mine = ({ body }: { readonly body: unknown }) => {
      told = body;
      return answers.shift();
    };
    const { service } = withFallbacks(FUNCTION, scripted(new Refused(), new Refused()), { fallbacks: { mine } });
    const reply = await service(grpc({ body: new BytesBody(frame('who?')) }));
    expect(told).toEqual(Buffer.from('who?'));
    expect(await textOf(reply)).toBe(frame('yes').toString());
    expect((await service(grpc())).headers).toMatchObject({
      'grpc-status': '9',
      'grpc-message': 'not%20now%2C%20100%20%25',
    });
  });

  test('that throws has no answer, and is told of once a minute', async () => {
    const mine = (): never => {
      throw new Error('broken');
    };
    const next: Service = () => Promise.reject(new Refused());
    const { service, warnings, clock } = withFallbacks([...FUNCTION, STATIC], next, { fallbacks: { mine } });
    for (let i = 0; i < 3; i++) expect((await service(aCall())).headers['inmesh-fallback']).toBe('static');
    expect(warnings.length).toBe(1);
    await clock.advance(60_000);
    await service(aCall());
    expect(warnings.length).toBe(2);
  });

  test('is awaited no longer than the deadline', async () => {
    const { service } = withFallbacks([...FUNCTION, STATIC], () => Promise.reject(new Refused()), {
      fallbacks: { mine: () => new Promise(() => {}) },
    });
    const call = aCall();
    const replying = service(call);
    await new Promise(setImmediate);
    call.cancel(new DeadlineExceededError('late', 'maybe'));
    expect((await replying).headers['inmesh-fallback']).toBe('static');
  });

  test('is awaited by 1,024 calls at once, and no more', async () => {
    let asked = 0;
    const mine = (): Promise<undefined> => {
      asked++;
      return new Promise(() => {});
    };
    const { service } = withFallbacks([...FUNCTION, STATIC], () => Promise.reject(new Refused()), {
      fallbacks: { mine },
    });
    const replies = Array.from({ length: 1_030 }, () => service(aCall()));
    expect((await Promise.race(replies)).headers['inmesh-fallback']).toBe('static');
    expect(asked).toBe(1_024);
  });
});
