import { afterEach, expect, test } from 'vitest';
import { BytesBody, StreamBody } from '../../../src/core/body.js';
import { RequestBodyError } from '../../../src/core/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import { aCall } from '../../support/calls.js';
import {
  answering,
  endOf,
  failureOf,
  httpServer,
  type OpenTransport,
  type RunningHttp,
  textOf,
  transportTo,
  until,
} from '../../support/http1-fixture.js';
import type { RequestListener } from 'node:http';

let server: RunningHttp;
let open: OpenTransport;

async function serve(handler: RequestListener): Promise<OpenTransport> {
  server = await httpServer(handler);
  open = transportTo(server.port);
  return open;
}

afterEach(async () => {
  await open.transport.close(true);
  await server.close();
  expect([open.limits.open, open.limits.waiting, open.transport.connections]).toEqual([0, 0, 0]);
});

const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { method, url, headers } = request;
    response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }));
  });
};

test('a reply has its status, lower-case headers, repeated ones as a list, and its body', async () => {
  const { transport } = await serve((_request, response) => {
    response.writeHead(201, { 'X-Thing': 'a', 'Set-Cookie': ['a=1', 'b=2'], constructor: 'safe' });
    response.end('hello');
  });
  const reply = await transport.call(aCall());
  expect(reply.status).toBe(201);
  expect(reply.headers['x-thing']).toBe('a');
  expect(reply.headers['set-cookie']).toEqual(['a=1', 'b=2']);
  expect(reply.headers['constructor']).toBe('safe');
  expect(reply.headers['toString']).toBeUndefined();
  expect(await textOf(reply.body)).toBe('hello');
  expect(await endOf(reply)).toMatchObject({ error: undefined, bytesReceived: 5, bytesSent: 0 });
});

test('calls in a row share one connection', async () => {
  const { transport, limits } = await serve((_request, response) => response.end('x'));
  for (let i = 0; i < 5; i++) expect(await textOf((await transport.call(aCall())).body)).toBe('x');
  expect(server.accepted()).toBe(1);
  expect(limits.open).toBe(1);
  expect(transport.connections).toBe(1);
});

test('the server is shown the host of the call, and nothing that belongs to one connection', async () => {
  const { transport } = await serve(echo);
  const call = aCall({
    headers: headerFields({
      host: 'wrong',
      te: 'trailers',
      'transfer-encoding': 'gzip',
      'keep-alive': 'timeout=9',
      connection: 'x-private',
      'x-private': '1',
      expect: '100-continue',
      'content-length': '99',
      upgrade: 'h2c',
      'x-kept': 'yes',
    }),
  });
  call.host = 'reviews.example:81';
  const seen = JSON.parse(await textOf((await transport.call(call)).body)) as { headers: Record<string, string> };
  expect(seen.headers).toEqual({ host: 'reviews.example:81', connection: 'keep-alive', 'x-kept': 'yes' });
});

test('a header or a path that cannot be written fails as the request of the caller, and harms no connection', async () => {
  const { transport, limits } = await serve((_request, response) => response.end('x'));
  await textOf((await transport.call(aCall())).body);
  for (const call of [
    aCall({ headers: headerFields({ 'x-bad': 'a\r\nb' }) }),
    aCall({ path: '/a b' }),
    aCall({ method: 'G T' }),
  ]) {
    expect(await failureOf(transport.call(call))).toMatchObject({ code: 'REQUEST_INVALID', origin: 'workload' });
  }
  await textOf((await transport.call(aCall())).body);
  expect(server.accepted()).toBe(1);
  expect(limits.open).toBe(1);
});

test('bytes go with their length, and so does a stream of known size', async () => {
  const { transport } = await serve(echo);
  const bytes = aCall({ method: 'POST', body: new BytesBody(Buffer.from('bytes')) });
  const known = new StreamBody({ resume() {}, cancel() {} }, 6);
  // Fed while it is sent: its end cannot be seen beforehand.
  setImmediate(() => {
    known.write(Buffer.from('str'));
    known.write(Buffer.from('eam'));
    known.end();
  });
  for (const call of [bytes, aCall({ method: 'POST', body: known })]) {
    const reply = await transport.call(call);
    const seen = JSON.parse(await textOf(reply.body)) as { headers: Record<string, string>; body: string };
    expect(seen.headers['content-length']).toBe(String(seen.body.length));
    expect(seen.headers['transfer-encoding']).toBeUndefined();
    expect((await endOf(reply)).bytesSent).toBe(seen.body.length);
  }
});

test('a stream of unknown size goes in chunks, and an empty POST says that it is empty', async () => {
  const { transport } = await serve(echo);
  const body = new StreamBody({ resume() {}, cancel() {} });
  const pending = transport.call(aCall({ method: 'POST', body }));
  body.write(Buffer.from('a'));
  await until(() => server.sockets.size === 1);
  body.write(Buffer.from('b'));
  body.end();
  const chunked = JSON.parse(await textOf((await pending).body)) as { headers: Record<string, string>; body: string };
  expect(chunked.body).toBe('ab');
  expect(chunked.headers['transfer-encoding']).toBe('chunked');
  const empty = JSON.parse(await textOf((await transport.call(aCall({ method: 'POST' }))).body)) as typeof chunked;
  expect(empty.headers['content-length']).toBe('0');
});

test('a server that does not read makes the sender of the body wait', async () => {
  let release = (): void => {};
  const { transport } = await serve((request, response) => {
    request.pause();
    release = () => request.resume();
    request.on('end', () => response.end('done'));
  });
  let wanted = 0;
  let sent = 0;
  const chunk = new Uint8Array(65_536);
  const body = new StreamBody({
    resume: () => {
      wanted++;
      fill();
    },
    cancel() {},
  });
  const fill = (): void => {
    while (sent < 400) {
      sent++;
      if (!body.write(chunk)) return;
    }
    body.end();
  };
  const pending = transport.call(aCall({ method: 'POST', body }));
  fill();
  await until(() => server.sockets.size === 1 && wanted > 0);
  let before = -1;
  await until(() => {
    const still = before === sent && sent < 400;
    before = sent;
    return still;
  });
  release();
  const reply = await pending;
  expect(await textOf(reply.body)).toBe('done');
  expect((await endOf(reply)).bytesSent).toBe(400 * 65_536);
});

test('a reader that does not read makes the server wait, and gets every byte in the end', async () => {
  const total = 40 * 1_048_576;
  let written = 0;
  const { transport } = await serve((_request, response) => {
    const push = (): void => {
      while (written < total) {
        written += 65_536;
        if (!response.write(Buffer.alloc(65_536, 120))) {
          response.once('drain', push);
          return;
        }
      }
      response.end();
    };
    push();
  });
  const reply = await transport.call(aCall());
  // Loopback socket buffers hold some megabytes; without back-pressure all 40 would arrive.
  let before = -1;
  await until(() => {
    const still = before === written;
    before = written;
    return still && written > 0;
  });
  let received = 0;
  let paused = 0;
  const flow: { resume(): void } = await new Promise((resolve, reject) => {
    const piped = reply.body.pipe({
      write(chunk) {
        received += chunk.byteLength;
        if (++paused % 8 !== 0) return true;
        setImmediate(() => flow.resume());
        return false;
      },
      end: () => {},
      fail: reject,
    });
    resolve(piped);
  });
  expect((await endOf(reply)).bytesReceived).toBe(total);
  await until(() => received === total);
});

test('HEAD, 204 and 304 have an empty body', async () => {
  const { transport } = await serve((request, response) => {
    response.writeHead(Number(request.url?.slice(1)), { 'x-a': '1' });
    response.end();
  });
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    const reply = await transport.call(aCall({ method, path: `/${status}` }));
    expect(reply.status).toBe(status);
    expect(await textOf(reply.body)).toBe('');
    expect((await endOf(reply)).error).toBeUndefined();
  }
});

test('trailers come with the end', async () => {
  const { transport } = await serve((_request, response) => {
    response.writeHead(200, { trailer: 'x-sum' });
    response.write('data');
    response.addTrailers({ 'X-Sum': '42' });
    response.end();
  });
  const reply = await transport.call(aCall());
  const trailers = await new Promise((resolve, reject) => {
    reply.body.pipe({ write: () => true, end: resolve, fail: reject });
  });
  expect(trailers).toEqual(headerFields({ 'x-sum': '42' }));
  expect((await endOf(reply)).trailers).toEqual(headerFields({ 'x-sum': '42' }));
});

test('informational replies are passed over', async () => {
  const { transport } = await serve((_request, response) => {
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.writeProcessing();
    response.end('after');
  });
  const reply = await transport.call(aCall());
  expect(reply.status).toBe(200);
  expect(await textOf(reply.body)).toBe('after');
});

test('a body that fails at its source fails the call, and the server sees the request break off', async () => {
  let broken = false;
  const { transport } = await serve((request) => {
    request.on('error', () => {
      broken = true;
    });
  });
  const body = new StreamBody({ resume() {}, cancel() {} });
  const pending = transport.call(aCall({ method: 'POST', body }));
  body.write(Buffer.from('part'));
  await until(() => server.sockets.size === 1);
  const cause = new RequestBodyError('the file is gone');
  body.fail(cause);
  expect(await failureOf(pending)).toBe(cause);
  await until(() => broken);
});

test('a server may answer before it has read the request, and the rest of the body is let go', async () => {
  server = await answering((socket) => socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig'));
  open = transportTo(server.port);
  let cancelled = false;
  const body = new StreamBody({
    resume() {},
    cancel: () => {
      cancelled = true;
    },
  });
  const pending = open.transport.call(aCall({ method: 'POST', body }));
  body.write(Buffer.from('part'));
  const reply = await pending;
  expect(reply.status).toBe(413);
  expect(await textOf(reply.body)).toBe('big');
  await until(() => cancelled);
  await until(() => open.limits.open === 0);
});
