import { once } from 'node:events';
import http2 from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import type { Call } from '../../src/core/call.js';
import { ConfigUnavailableError, MeshClosedError, type MeshError, NoRouteError } from '../../src/core/errors.js';
import { headerFields } from '../../src/core/headers.js';
import { localReply } from '../../src/core/reply.js';
import { settle } from '../support/fake-clock.js';
import { answerOf, bodyOf, Cleanup, deferred, get, openReply, proxyFor, session } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ok = (text = 'ok') => localReply(200, headerFields(), Buffer.from(text));
const GRPC = { ':method': 'POST', ':path': '/s/m', 'content-type': 'application/grpc', te: 'trailers' };

describe('a request over HTTP/2', () => {
  test('is served on the port that serves HTTP/1.1, with authority, method, path and fields as they were', async () => {
    const calls: Call[] = [];
    const proxy = await proxyFor(cleanup, async (call) => {
      calls.push(call);
      return ok();
    });
    const stream = session(cleanup, proxy).request({
      ':authority': 'reviews:8080',
      ':method': 'PUT',
      ':path': '/a?b',
      'x-one': ['1', '2'],
      cookie: ['a=1', 'b=2'],
      'x-envoy-expected-rq-timeout-ms': '70',
    });
    const [answer, other] = await Promise.all([
      answerOf(stream.end('body')),
      get(proxy.port, { headers: { host: 'ratings' } }),
    ]);
    expect(answer.headers[':status']).toBe(200);
    expect(answer.body.toString()).toBe('ok');
    expect(other.text).toBe('ok');
    const call = calls.find(({ authority }) => authority === 'reviews:8080');
    expect(call).toMatchObject({ protocol: 'http', scheme: 'http', method: 'PUT', path: '/a?b', timeoutMs: 66.5 });
    expect(call?.headers).toMatchObject({
      'x-one': ['1', '2'],
      cookie: 'a=1; b=2',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
    });
    expect(String(call?.headers['via'])).toMatch(/^2\.0 inmesh-/);
    expect(
      Object.keys(call?.headers ?? {}).filter((name) => name.startsWith(':') || name.startsWith('x-envoy')),
    ).toEqual([]);
  });

  test('carries its body and trailers to the service, and the reply and its trailers back', async () => {
    const { reply, body } = openReply(201, { 'x-kind': 'echo' });
    const proxy = await proxyFor(cleanup, async (call) => {
      const { bytes, trailers } = await bodyOf(call);
      body.write(bytes);
      body.end(headerFields({ 'x-echo': trailers?.['x-sum'] as string }));
      return reply;
    });
    const stream = session(cleanup, proxy).request({ ':method': 'POST', ':path': '/' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }));
    const answer = await answerOf(stream.end('hello'));
    expect(answer.headers).toMatchObject({ ':status': 201, 'x-kind': 'echo' });
    expect(answer.body.toString()).toBe('hello');
    expect(answer.trailers).toMatchObject({ 'x-echo': '42' });
  });

  test('is pulled no faster than the service takes its body, and the reply no faster than the client reads', async () => {
    const { reply, body, state } = openReply();
    let received = 0;
    const stalled = deferred<void>();
    let go = (): void => {};
    const proxy = await proxyFor(cleanup, async (call) => {
      let open = false;
      const flow = call.body?.pipe({
        write(chunk) {
          received += chunk.byteLength;
          stalled.resolve();
          return open;
        },
        end: () => body.end(),
        fail() {},
      });
      go = () => {
        open = true;
        flow?.resume();
      };
      return reply;
    });
    const stream = session(cleanup, proxy).request({ ':method': 'POST', ':path': '/' });
    const total = 4 * 1024 * 1024;
    stream.end(Buffer.alloc(total));
    await stalled.promise;
    // Not read by the client: after its window is full the proxy asks for no more.
    let written = 0;
    while (body.write(Buffer.alloc(16_384))) {
      written += 16_384;
      await settle();
    }
    expect(written).toBeLessThan(2 * 1024 * 1024);
    expect(received).toBeLessThan(256 * 1024);
    expect(state.resumed).toBe(0);
    go();
    const answer = await answerOf(stream);
    expect(received).toBe(total);
    expect(answer.body.byteLength).toBe(written + 16_384);
    expect(state.resumed).toBeGreaterThan(0);
  });

  test('expecting 100 Continue is told to continue when somebody takes its body', async () => {
    const proxy = await proxyFor(cleanup, async (call) => ok(String((await bodyOf(call)).bytes)));
    const stream = session(cleanup, proxy).request({ ':method': 'POST', ':path': '/', expect: '100-continue' });
    await once(stream, 'continue');
    expect((await answerOf(stream.end('hello'))).body.toString()).toBe('hello');
  });

  test.each([
    ['a host field that says something else', { ':authority': 'a', host: 'b' }, 400],
    ['a fragment', { ':authority': 'a', ':path': '/x#y' }, 400],
    ['CONNECT', { ':method': 'CONNECT', ':authority': 'a:443', ':path': undefined }, 405],
  ])('with %s is refused', async (_what, headers, status) => {
    const proxy = await proxyFor(cleanup, async () => ok());
    const answer = await answerOf(session(cleanup, proxy).request(headers));
    expect(answer.headers[':status']).toBe(status);
    expect(answer.headers['mesh-error']).toBe('DPE');
  });

  test('with more fields than allowed is refused, and others are served', async () => {
    const proxy = await proxyFor(cleanup, async () => ok(), { limits: { maxHeaders: 20 } });
    const connection = session(cleanup, proxy);
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'y']));
    const answer = await answerOf(connection.request(many));
    expect(answer.headers[':status'] ?? answer.resetCode).not.toBe(200);
    expect((await answerOf(session(cleanup, proxy).request({}))).headers[':status']).toBe(200);
  });

  test('is one of 100 at a time', async () => {
    const waiting: (() => void)[] = [];
    const proxy = await proxyFor(cleanup, () => new Promise((resolve) => waiting.push(() => resolve(ok()))));
    const connection = session(cleanup, proxy);
    await once(connection, 'remoteSettings');
    expect(connection.remoteSettings.maxConcurrentStreams).toBe(100);
    const answers = Array.from({ length: 101 }, () => answerOf(connection.request({})));
    while (waiting.length < 100) await settle();
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(waiting).toHaveLength(100);
    for (const finish of waiting.splice(0)) finish();
    while (waiting.length < 1) await settle();
    waiting[0]?.();
    expect((await Promise.all(answers)).map(({ headers }) => headers[':status'])).toEqual(Array(101).fill(200));
  });
});

describe('a reply over HTTP/2', () => {
  test("to OPTIONS * is the proxy's own", async () => {
    const proxy = await proxyFor(cleanup, async () => ok());
    const answer = await answerOf(session(cleanup, proxy).request({ ':method': 'OPTIONS', ':path': '*' }));
    expect(answer.headers[':status']).toBe(204);
  });

  test.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('to %s with status %i has no body', async (method, status) => {
    const proxy = await proxyFor(cleanup, async () => localReply(status, headerFields(), Buffer.from('body')));
    const answer = await answerOf(session(cleanup, proxy).request({ ':method': method }));
    expect(answer.headers[':status']).toBe(status);
    expect(answer.body.byteLength).toBe(0);
    expect(answer.resetCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  });

  test('that is complete before its request arrives whole, and the client is asked to stop', async () => {
    const text = 'x'.repeat(1_000_000);
    const proxy = await proxyFor(cleanup, async () => ok(text));
    const stream = session(cleanup, proxy).request({ ':method': 'POST' });
    stream.write('never ended');
    const answer = await answerOf(stream);
    expect(answer.body.byteLength).toBe(text.length);
    expect(answer.resetCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  });

  test('that breaks off resets the stream', async () => {
    const { reply, body } = openReply();
    const proxy = await proxyFor(cleanup, async () => reply);
    const stream = session(cleanup, proxy).request({});
    body.write(Buffer.from('half'));
    await once(stream, 'response');
    body.fail(new ConfigUnavailableError('gone'));
    expect((await answerOf(stream)).resetCode).toBe(http2.constants.NGHTTP2_INTERNAL_ERROR);
  });

  test('with a field that HTTP/2 forbids is refused with 502', async () => {
    const proxy = await proxyFor(cleanup, async () =>
      localReply(200, headerFields({ 'content-type': ['a/b', 'c/d'] })),
    );
    expect((await answerOf(session(cleanup, proxy).request({}))).headers[':status']).toBe(502);
  });

  test('for a call that failed has status, flag and a JSON body', async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new MeshClosedError()));
    const answer = await answerOf(session(cleanup, proxy).request({ ':method': 'POST' }).end('x'));
    expect(answer.headers).toMatchObject({ ':status': 503, 'mesh-error': 'LR' });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'MESH_CLOSED', origin: 'mesh' });
  });

  test('for a HEAD that failed has no body', async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new MeshClosedError()));
    const answer = await answerOf(session(cleanup, proxy).request({ ':method': 'HEAD' }));
    expect(answer.headers[':status']).toBe(503);
    expect(answer.body.byteLength).toBe(0);
  });
});

describe('a client that goes away', () => {
  test('by resetting its stream cancels the call, and the connection serves on', async () => {
    const called = deferred<Call>();
    const proxy = await proxyFor(cleanup, (call) => {
      if (call.path === '/next') return Promise.resolve(ok());
      called.resolve(call);
      return new Promise(() => {});
    });
    const connection = session(cleanup, proxy);
    const stream = connection.request({});
    const call = await called.promise;
    const cancelled = new Promise<MeshError>((resolve) => call.cancellation.add(resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    expect(await cancelled).toMatchObject({ code: 'CANCELLED', flag: 'DC' });
    expect((await answerOf(connection.request({ ':path': '/next' }))).headers[':status']).toBe(200);
  });

  test('with its connection cancels the call, fails its body and frees the reply', async () => {
    const { reply, body, state } = openReply();
    const failed = deferred<unknown>();
    const proxy = await proxyFor(cleanup, async (call) => {
      call.body?.pipe({ write: () => true, end() {}, fail: failed.resolve });
      return reply;
    });
    const connection = session(cleanup, proxy);
    const stream = connection.request({ ':method': 'POST' });
    stream.on('error', () => {});
    stream.write('some');
    body.write(Buffer.from('some'));
    await once(stream, 'response');
    connection.destroy();
    expect(await failed.promise).toMatchObject({ code: 'REQUEST_BODY_FAILED' });
    expect(state.cancelled).toBe(true);
  });
});

describe('gRPC', () => {
  test('becomes a gRPC call with its time limit, and te: trailers', async () => {
    const called = deferred<Call>();
    const proxy = await proxyFor(cleanup, async (call) => {
      called.resolve(call);
      return localReply(200, headerFields({ 'content-type': 'application/grpc', 'grpc-status': '0' }));
    });
    const answer = await answerOf(
      session(cleanup, proxy)
        .request({ ...GRPC, 'grpc-timeout': '1500m' })
        .end(),
    );
    const call = await called.promise;
    expect(call).toMatchObject({ protocol: 'grpc', timeoutMs: 1495, path: '/s/m' });
    expect(call.headers).toMatchObject({ te: 'trailers', 'content-type': 'application/grpc' });
    expect(call.headers['grpc-timeout']).toBeUndefined();
    // Trailers-only: one header block.
    expect(answer.headers['grpc-status']).toBe('0');
    expect(answer.trailers).toBeUndefined();
  });

  test('that fails is told so in a trailers-only reply, with a percent-encoded message', async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new ConfigUnavailableError('50 % für\n')));
    const answer = await answerOf(session(cleanup, proxy).request(GRPC).end());
    expect(answer.headers).toMatchObject({
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': '14',
      'grpc-message': '50 %25 f%C3%BCr%0A',
      'mesh-error': 'NC',
    });
    expect(answer.body.byteLength).toBe(0);
  });

  test('that no route takes is UNIMPLEMENTED, as to a client of Envoy, with what its route would change', async () => {
    const proxy = await proxyFor(cleanup, (call) => {
      call.record.changeReply(({ headers }) => Object.assign(headers, { 'x-new': 'y', 'x-bad': 'a\nb' }));
      call.record.changeReply(({ headers }) => delete headers['x-bad']);
      return Promise.reject(new NoRouteError('none'));
    });
    const answer = await answerOf(session(cleanup, proxy).request(GRPC).end());
    expect(answer.headers).toMatchObject({ ':status': 200, 'grpc-status': '12', 'mesh-error': 'NR', 'x-new': 'y' });
  });

  test('that fails in the middle of its reply is told so in trailers', async () => {
    const { reply, body } = openReply(200, { 'content-type': 'application/grpc' });
    const proxy = await proxyFor(cleanup, async () => reply);
    const stream = session(cleanup, proxy).request(GRPC);
    body.write(Buffer.from('message'));
    await once(stream, 'response');
    body.fail(new MeshClosedError());
    const answer = await answerOf(stream);
    expect(answer.body.toString()).toBe('message');
    expect(answer.trailers).toMatchObject({ 'grpc-status': '14', 'mesh-error': 'LR' });
  });
});
