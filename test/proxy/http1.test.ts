import http from 'node:http';
import net from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { Call } from '../../src/core/call.js';
import { ConfigUnavailableError, MeshClosedError, type MeshError, NoRouteError } from '../../src/core/errors.js';
import { headerFields } from '../../src/core/headers.js';
import { localReply } from '../../src/core/reply.js';
import { settle } from '../support/fake-clock.js';
import { bodyOf, Cleanup, deferred, get, listening, openReply, proxyFor, raw, serviceTo } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ok = (text = 'ok') => localReply(200, headerFields(), Buffer.from(text));

/** A proxy that answers everything, and the calls that it made. */
async function recording() {
  const calls: Call[] = [];
  const proxy = await proxyFor(cleanup, async (call) => {
    calls.push(call);
    return ok();
  });
  return { proxy, calls };
}

describe('a request over HTTP/1.1', () => {
  test('goes to the host of its Host field, with method, path, query and fields as they were', async () => {
    const { proxy, calls } = await recording();
    const answer = await get(proxy.port, {
      method: 'PATCH',
      path: '/a/b?c=d&e=%2f',
      headers: { host: 'reviews:8080', 'X-One': '1', 'set-thing': ['a', 'b'] },
    });
    expect(answer).toMatchObject({ status: 200, text: 'ok' });
    const [call] = calls;
    expect(call).toMatchObject({
      protocol: 'http',
      scheme: 'http',
      authority: 'reviews:8080',
      method: 'PATCH',
      path: '/a/b?c=d&e=%2f',
    });
    expect(call?.headers).toMatchObject({ 'x-one': '1', 'set-thing': ['a', 'b'] });
    expect(call?.headers['host']).toBeUndefined();
    expect(call?.body).toBeUndefined();
  });

  test('is as important as any other, whatever its client says, unless clients are trusted', async () => {
    const calls: Call[] = [];
    const service = async (call: Call) => {
      calls.push(call);
      return ok();
    };
    const headers = { host: 'reviews', 'inmesh-priority': 'high' };
    await get((await proxyFor(cleanup, service)).port, { headers });
    await get((await proxyFor(cleanup, service, { trustPriority: true })).port, { headers });
    expect(calls.map((call) => call.headers['inmesh-priority'])).toEqual([undefined, 'high']);
  });

  test('in absolute form goes to the host of its target', async () => {
    const { proxy, calls } = await recording();
    await get(proxy.port, { path: 'http://ratings/stars', headers: { host: 'ratings' } });
    await get(proxy.port, { path: 'http://ratings:80?x', headers: { host: 'Ratings' } });
    await get(proxy.port, { path: 'https://outside.example/', headers: { host: 'outside.example' } });
    expect(calls.map(({ scheme, authority, path }) => [scheme, authority, path])).toEqual([
      ['http', 'ratings', '/stars'],
      ['http', 'ratings:80', '/?x'],
      ['https', 'outside.example', '/'],
    ]);
  });

  test('loses the fields of its connection and says who forwarded it', async () => {
    const { proxy, calls } = await recording();
    await get(proxy.port, {
      headers: {
        host: 'a',
        connection: 'keep-alive, x-mine',
        'x-mine': '1',
        'keep-alive': 'timeout=5',
        'proxy-authorization': 'secret',
        te: 'gzip',
        'x-forwarded-for': '10.0.0.1',
        via: '1.1 other',
      },
    });
    const headers = calls[0]?.headers ?? {};
    expect(Object.keys(headers).sort()).toEqual(['via', 'x-forwarded-for', 'x-forwarded-proto']);
    expect(headers['x-forwarded-for']).toBe('10.0.0.1, 127.0.0.1');
    expect(headers['x-forwarded-proto']).toBe('http');
    expect(String(headers['via'])).toMatch(/^1\.1 other,1\.1 inmesh-[0-9a-f]{8}$/);
  });

  test("carries its caller's time limit into the call, the shortest of several, less what is kept to tell of a failure", async () => {
    const { proxy, calls } = await recording();
    await get(proxy.port, { headers: { host: 'a', 'x-envoy-expected-rq-timeout-ms': '250' } });
    await get(proxy.port, {
      headers: { host: 'a', 'x-envoy-expected-rq-timeout-ms': '250', 'x-envoy-upstream-rq-timeout-ms': '100' },
    });
    await get(proxy.port, {
      headers: { host: 'a', 'inmesh-timeout-ms': '90', 'x-envoy-expected-rq-timeout-ms': '250' },
    });
    await get(proxy.port, { headers: { host: 'a', 'x-envoy-upstream-rq-timeout-ms': '0' } });
    await get(proxy.port, { headers: { host: 'a', 'x-envoy-expected-rq-timeout-ms': 'soon' } });
    expect(calls.map((call) => call.timeoutMs)).toEqual([245, 95, 85.5, undefined, undefined]);
    for (const { headers } of calls)
      expect(Object.keys(headers).filter((name) => name.includes('timeout'))).toEqual([]);
  });

  test('with a body reaches a real server whole, with its size when it has one and with its trailers', async () => {
    const seen: unknown[] = [];
    const upstream = await listening(
      cleanup,
      http.createServer((request, response) => {
        let text = '';
        request.on('data', (chunk) => {
          text += chunk;
        });
        request.on('end', () => {
          seen.push([text, request.headers['transfer-encoding'], request.trailers]);
          response.setHeader('trailer', 'x-sum');
          response.write('got ');
          response.addTrailers({ 'x-sum': '42' });
          response.end(text);
        });
      }),
    );
    const proxy = await proxyFor(cleanup, serviceTo(upstream.port, cleanup));
    const answer = await get(proxy.port, { method: 'POST', headers: { host: 'a', 'content-length': '5' } }, 'hello');
    expect(answer).toMatchObject({ text: 'got hello', trailers: { 'x-sum': '42' } });

    const request = http.request({ port: proxy.port, method: 'POST', headers: { host: 'a', trailer: 'x-end' } });
    request.write('one');
    request.addTrailers({ 'x-end': 'yes' });
    request.end('two');
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    await once(response, 'end');
    expect(seen[1]).toEqual(['onetwo', 'chunked', { 'x-end': 'yes' }]);
  });

  test('streams both ways at once', async () => {
    const upstream = await listening(
      cleanup,
      http.createServer((request, response) => {
        response.flushHeaders();
        request.on('data', (chunk: Buffer) => response.write(chunk.toString().toUpperCase()));
        request.on('end', () => response.end());
      }),
    );
    const proxy = await proxyFor(cleanup, serviceTo(upstream.port, cleanup));
    const request = http.request({ port: proxy.port, method: 'POST', headers: { host: 'a' } });
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    for (const word of ['one', 'two', 'three']) {
      request.write(word);
      const [chunk] = await once(response, 'data');
      expect(String(chunk)).toBe(word.toUpperCase());
    }
    request.end();
    await once(response, 'end');
  });

  test('is pulled no faster than the service takes its body', async () => {
    let received = 0;
    const stalled = deferred<void>();
    let go = (): void => {};
    const proxy = await proxyFor(cleanup, (call) => {
      const done = deferred<ReturnType<typeof ok>>();
      let open = false;
      const flow = call.body?.pipe({
        write(chunk) {
          received += chunk.byteLength;
          stalled.resolve();
          return open;
        },
        end: () => done.resolve(ok(String(received))),
        fail: done.reject,
      });
      go = () => {
        open = true;
        flow?.resume();
      };
      return done.promise;
    });
    const total = 32 * 1024 * 1024;
    const answer = get(proxy.port, { method: 'PUT', headers: { host: 'a' } }, Buffer.alloc(total));
    await stalled.promise;
    for (let turn = 0; turn < 50; turn++) await settle();
    // One chunk was taken, those already read wait, and the rest is with the client.
    expect(received).toBeLessThan(1024 * 1024);
    go();
    expect((await answer).text).toBe(String(total));
  });

  test('that expects 100 Continue is told to continue when somebody takes its body', async () => {
    const taken = deferred<Call>();
    const proxy = await proxyFor(cleanup, async (call) => {
      taken.resolve(call);
      const { bytes } = await bodyOf(call);
      return ok(`got ${bytes}`);
    });
    const request = http.request({
      port: proxy.port,
      method: 'POST',
      headers: { host: 'a', expect: '100-continue', 'content-length': '5' },
    });
    request.flushHeaders();
    await once(request, 'continue');
    expect((await taken.promise).headers['expect']).toBeUndefined();
    request.end('hello');
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(String((await response.toArray()).join(''))).toBe('got hello');
    expect(response.headers.connection).toBe('keep-alive');
  });

  test('that expects 100 Continue and is refused is not told to continue', async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new MeshClosedError()));
    const answer = await raw(
      proxy.port,
      'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(answer).not.toContain('100 Continue');
  });

  test('for the server itself, OPTIONS *, is answered by the proxy', async () => {
    const { proxy, calls } = await recording();
    expect((await get(proxy.port, { method: 'OPTIONS', path: '*', headers: { host: 'a' } })).status).toBe(204);
    expect(calls).toEqual([]);
  });
});

describe('a reply over HTTP/1.1', () => {
  test('has status, fields and repeated fields as the service gave them, without those of its connection', async () => {
    const headers = headerFields({
      'set-cookie': ['a=1', 'b=2'],
      connection: 'x-hop',
      'x-hop': '1',
      'proxy-authenticate': 'Basic',
      'content-type': 'text/plain',
    });
    const proxy = await proxyFor(cleanup, async () => localReply(418, headers, Buffer.from('short')));
    const answer = await get(proxy.port, { headers: { host: 'a' } });
    expect(answer).toMatchObject({ status: 418, text: 'short' });
    expect(answer.headers).toMatchObject({
      'set-cookie': ['a=1', 'b=2'],
      'content-length': '5',
      'content-type': 'text/plain',
    });
    expect(answer.headers['x-hop']).toBeUndefined();
    expect(answer.headers['proxy-authenticate']).toBeUndefined();
  });

  test.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('to %s with status %i has no body, and the connection serves the next request', async (method, status) => {
    const proxy = await proxyFor(cleanup, async () =>
      localReply(status, headerFields({ 'content-length': '4' }), Buffer.from('body')),
    );
    const agent = cleanup.add(new http.Agent({ keepAlive: true, maxSockets: 1 }), (it) => it.destroy());
    for (let i = 0; i < 2; i++) {
      const answer = await get(proxy.port, { method, agent, headers: { host: 'a' } });
      expect(answer).toMatchObject({ status, text: '' });
      expect(answer.headers['content-length']).toBe(status === 204 ? undefined : '4');
    }
  });

  test('is produced no faster than the client reads', async () => {
    const { reply, body, state, room } = openReply();
    const proxy = await proxyFor(cleanup, async () => reply);
    const socket = cleanup.add(net.connect(proxy.port, '127.0.0.1'), (it) => it.destroy());
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const chunk = Buffer.alloc(65_536, 'x');
    let written = 0;
    while (written < 256 * 1024 * 1024) {
      written += chunk.byteLength;
      if (!body.write(chunk)) {
        const roomy = room();
        // Unread by the client: the kernel's buffers fill, then nobody asks for more.
        for (let turn = 0; turn < 20; turn++) await settle();
        if (state.resumed === 0 || written > 32 * 1024 * 1024) {
          socket.resume();
          await roomy;
          break;
        }
      }
    }
    expect(written).toBeLessThan(64 * 1024 * 1024);
    let received = 0;
    socket.on('data', (data) => {
      received += data.byteLength;
    });
    body.end();
    socket.on('data', (data) => {
      if (data.subarray(-5).toString() === '0\r\n\r\n') socket.end();
    });
    await once(socket, 'close');
    expect(received).toBeGreaterThan(0);
    expect(state.cancelled).toBe(false);
  });

  test('that breaks off is not taken for whole', async () => {
    const { reply, body } = openReply();
    const proxy = await proxyFor(cleanup, async () => reply);
    const answer = get(proxy.port, { headers: { host: 'a' } });
    body.write(Buffer.from('half'));
    await settle();
    body.fail(new ConfigUnavailableError('gone'));
    await expect(answer).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  test.each([
    ['shorter', 'ab'],
    ['longer', 'abcdef'],
  ])('with a body %s than it announced breaks the connection', async (_how, text) => {
    const { reply, body } = openReply(200, { 'content-length': '4' });
    const proxy = await proxyFor(cleanup, async () => reply);
    body.write(Buffer.from(text));
    body.end();
    await expect(get(proxy.port, { headers: { host: 'a' } })).rejects.toThrow();
  });

  test.each([
    ['a line break in a value', { 'x-bad': 'a\r\nset-cookie: b=1' }],
    ['a name that is none', { 'x bad': 'a' }],
  ])('with %s is refused with 502', async (_what, headers) => {
    const proxy = await proxyFor(cleanup, async () => localReply(200, headerFields(headers), Buffer.from('x')));
    const answer = await get(proxy.port, { headers: { host: 'a' } });
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'PROTOCOL_ERROR', origin: 'workload' });
    expect(answer.headers['set-cookie']).toBeUndefined();
  });
});

describe('a call that fails', () => {
  test("is answered with the error's status, its flag, and a JSON body", async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new ConfigUnavailableError('no configuration for "a"')));
    const answer = await get(proxy.port, { headers: { host: 'a' } });
    expect(answer.status).toBe(503);
    expect(answer.headers['mesh-error']).toBe('NC');
    expect(answer.headers['content-type']).toBe('application/json');
    expect(JSON.parse(answer.text)).toEqual({
      code: 'CONFIG_UNAVAILABLE',
      origin: 'mesh',
      message: 'no configuration for "a"',
    });
  });

  test('is answered with what its route changes in replies, but for what tells of the failure', async () => {
    const proxy = await proxyFor(cleanup, (call) => {
      call.record.changeReply(({ status, headers }) =>
        Object.assign(headers, { 'x-status': String(status), vary: 'a' }),
      );
      call.record.changeReply(({ headers }) =>
        Object.assign(headers, { vary: 'b', 'mesh-error': '-', connection: 'x' }),
      );
      return Promise.reject(new NoRouteError('none'));
    });
    const answer = await get(proxy.port, { headers: { host: 'a' } });
    expect(answer.status).toBe(404);
    expect(answer.headers).toMatchObject({ 'x-status': '404', vary: 'b', 'mesh-error': 'NR' });
    expect(answer.headers['connection']).not.toBe('x');
  });

  test('is answered without those changes when they cannot be sent', async () => {
    const proxy = await proxyFor(cleanup, (call) => {
      call.record.changeReply(({ headers }) => Object.assign(headers, { 'x-bad': 'a\nb' }));
      return Promise.reject(new NoRouteError('none'));
    });
    const answer = await get(proxy.port, { headers: { host: 'a' } });
    expect(answer.status).toBe(404);
    expect(answer.headers).not.toHaveProperty('x-bad');
  });

  test('with an error that is none of ours is answered with 500, and says nothing of itself', async () => {
    const logged: unknown[] = [];
    const logger = { debug() {}, info() {}, warn() {}, error: (...entry: unknown[]) => logged.push(entry) };
    const proxy = await proxyFor(cleanup, () => Promise.reject(new TypeError('secret detail')), { logger });
    const answer = await get(proxy.port, { headers: { host: 'a' } });
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('secret');
    expect(JSON.stringify(logged)).toContain('secret detail');
  });

  test('while its body is still being sent is answered, and the connection serves the next request', async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new MeshClosedError()));
    const agent = cleanup.add(new http.Agent({ keepAlive: true, maxSockets: 1 }), (it) => it.destroy());
    for (let i = 0; i < 2; i++) {
      const answer = await get(proxy.port, { method: 'POST', agent, headers: { host: 'a' } }, Buffer.alloc(100_000));
      expect(answer.status).toBe(503);
    }
  });

  test('while a body without end is being sent is answered, and the connection is cut', async () => {
    const proxy = await proxyFor(cleanup, () => Promise.reject(new MeshClosedError()), {
      limits: { maxDiscardBytes: 100_000 },
    });
    const socket = net.connect(proxy.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => {});
    socket.write('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`;
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', more);
    more();
    await closed;
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  });
});

describe('a client that goes away', () => {
  test('before the reply cancels the call', async () => {
    const called = deferred<Call>();
    const cancelled = deferred<MeshError>();
    const proxy = await proxyFor(cleanup, (call) => {
      called.resolve(call);
      call.cancellation.add(cancelled.resolve);
      return new Promise(() => {});
    });
    const socket = net.connect(proxy.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'));
    await called.promise;
    socket.destroy();
    expect(await cancelled.promise).toMatchObject({ code: 'CANCELLED', flag: 'DC' });
  });

  test('in the middle of the reply cancels the call and frees its body', async () => {
    const { reply, body, state } = openReply();
    const cancelled = deferred<MeshError>();
    const proxy = await proxyFor(cleanup, async (call) => {
      call.cancellation.add(cancelled.resolve);
      return reply;
    });
    const socket = net.connect(proxy.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'));
    body.write(Buffer.from('some'));
    await once(socket, 'data');
    socket.destroy();
    expect(await cancelled.promise).toMatchObject({ code: 'CANCELLED' });
    expect(state.cancelled).toBe(true);
  });

  test('in the middle of its request fails the body and cancels the call', async () => {
    const failed = deferred<unknown>();
    const cancelled = deferred<MeshError>();
    const proxy = await proxyFor(cleanup, (call) => {
      call.cancellation.add(cancelled.resolve);
      call.body?.pipe({ write: () => socket.destroy().destroyed, end() {}, fail: failed.resolve });
      return new Promise(() => {});
    });
    const socket = net.connect(proxy.port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf');
    expect(await failed.promise).toMatchObject({ code: 'REQUEST_BODY_FAILED' });
    expect(await cancelled.promise).toMatchObject({ code: 'CANCELLED' });
  });
});
