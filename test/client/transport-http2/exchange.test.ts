import { afterEach, describe, expect, test } from 'vitest';
import { BytesBody } from '../../../src/core/body.js';
import { CancelledError, RequestBodyError } from '../../../src/core/errors.js';
import { headerFields } from '../../../src/core/headers.js';
import {
  bytes,
  callOf,
  endOf,
  type Fixture,
  handWritten,
  http2Server,
  type RunningServer,
  text,
  transportTo,
  until,
} from '../../support/http2-fixture.js';

let server: RunningServer;
let fixture: Fixture;

async function start(options: Parameters<typeof http2Server>[0] = {}): Promise<void> {
  server = await http2Server(options);
  fixture = transportTo(server.port);
}

afterEach(async () => {
  await fixture.transport.close(true);
  await server.close();
  expect(fixture.limits.open, 'connection permits held').toBe(0);
  expect(fixture.limits.waiting, 'places in the line held').toBe(0);
});

describe('a call over HTTP/2', () => {
  test('carries method, path, authority, headers and body, and brings back status, headers, body and trailers', async () => {
    await start();
    server.server.on('stream', (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        stream.respond({ ':status': 201, 'x-seen': JSON.stringify(headers) }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }));
        stream.end(Buffer.concat(chunks));
      });
    });
    const call = callOf({
      method: 'POST',
      path: '/orders?id=1',
      headers: headerFields({ 'x-a': 'b' }),
      body: bytes('hello'),
    });
    const reply = await fixture.transport.call(call);
    expect(reply.status).toBe(201);
    expect(reply.headers[':status']).toBeUndefined();
    expect(JSON.parse(reply.headers['x-seen'] as string)).toMatchObject({
      ':method': 'POST',
      ':path': '/orders?id=1',
      ':authority': 'reviews',
      ':scheme': 'http',
      'x-a': 'b',
      'content-length': '5',
    });
    expect(await text(reply.body)).toBe('hello');
    const end = await endOf(reply);
    expect(end).toMatchObject({ error: undefined, bytesSent: 5, bytesReceived: 5 });
    expect(end.trailers?.['x-sum']).toBe('42');
  });

  test('drops the fields of an HTTP/1.1 connection and every te but trailers', async () => {
    await start();
    server.server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(JSON.stringify(Object.keys(headers)));
    });
    const headers = headerFields({
      connection: 'x',
      'keep-alive': '1',
      'proxy-connection': 'x',
      'transfer-encoding': 'chunked',
      upgrade: 'h2c',
      host: 'other',
      te: 'gzip',
    });
    const first = await fixture.transport.call(callOf({ headers }));
    expect(JSON.parse(await text(first.body))).toEqual([':method', ':scheme', ':authority', ':path']);
    const second = await fixture.transport.call(callOf({ headers: headerFields({ te: 'trailers' }) }));
    expect(JSON.parse(await text(second.body))).toContain('te');
  });

  test.each([
    ['a name with a space', { 'x y': '1' }],
    ['a pseudo-header', { ':path': '/other' }],
    ['a value with a line break', { 'x-a': '1\r\nx-b: 2' }],
    ['more than the server takes', { 'x-a': 'a'.repeat(70_000) }],
  ])('refuses %s before it is sent, and the connection goes on', async (_, headers) => {
    await start();
    server.server.on('stream', (stream) => stream.respond({ ':status': 204 }, { endStream: true }));
    await fixture.transport.call(callOf());
    await expect(fixture.transport.call(callOf({ headers: headerFields(headers) }))).rejects.toMatchObject({
      name: 'InvalidRequestError',
      code: 'REQUEST_INVALID',
      reached: 'no',
    });
    expect((await fixture.transport.call(callOf())).status).toBe(204);
    expect(server.sessions.size).toBe(1);
  });

  test('a reply of headers alone has an empty body and has ended at once', async () => {
    await start();
    server.server.on('stream', (stream) => stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true }));
    const reply = await fixture.transport.call(callOf({ protocol: 'grpc', method: 'POST', body: bytes('x') }));
    expect(reply.body).toBeInstanceOf(BytesBody);
    expect(reply.body.size).toBe(0);
    expect(reply.headers['grpc-status']).toBe('5');
    expect((await endOf(reply)).error).toBeUndefined();
  });

  test('informational replies are passed over', async () => {
    await start();
    server.server.on('stream', (stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.respond({ ':status': 200 });
      stream.end('done');
    });
    const reply = await fixture.transport.call(callOf());
    expect(reply.status).toBe(200);
    expect(await text(reply.body)).toBe('done');
  });

  test('a streamed request body and its trailers arrive, and nothing is sent faster than the server reads', async () => {
    await start({ settings: { initialWindowSize: 65_535 } });
    let received = 0;
    let go: () => void = () => {};
    let trailers: unknown;
    let arrived = false;
    server.server.on('stream', (stream) => {
      arrived = true;
      stream.on('trailers', (fields) => {
        trailers = fields['x-end'];
      });
      go = () =>
        stream.on('data', (chunk: Buffer) => {
          received += chunk.length;
        });
      stream.on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end();
      });
    });
    const { body } = handWritten();
    const pending = fixture.transport.call(callOf({ method: 'POST', body }));
    let sent = 0;
    while (body.write(Buffer.alloc(16_384))) sent += 16_384;
    await until(() => arrived);
    // The window is 64 KiB; what more is accepted sits in buffers of bounded size.
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    while (body.write(Buffer.alloc(16_384))) sent += 16_384;
    expect(sent).toBeLessThan(400_000);
    expect(received).toBe(0);
    go();
    await until(() => received > 65_535);
    body.end(headerFields({ 'x-end': 'yes' }));
    expect((await pending).status).toBe(200);
    expect(trailers).toBe('yes');
  });

  test('a reader that pauses holds the server back, and gets every byte when it goes on', async () => {
    await start();
    const size = 8 * 1_048_576;
    let written = 0;
    server.server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      const more = (): void => {
        while (written < size) {
          written += 65_536;
          if (!stream.write(Buffer.alloc(65_536))) return void stream.once('drain', more);
        }
        stream.end();
      };
      more();
    });
    const reply = await fixture.transport.call(callOf());
    let received = 0;
    let open = false;
    let ended = false;
    const flow = reply.body.pipe({
      write(chunk) {
        received += chunk.byteLength;
        return open;
      },
      end: () => {
        ended = true;
      },
      fail: (error) => {
        throw error;
      },
    });
    await until(() => written > 1_048_576);
    const held = written;
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(held).toBeLessThan(4 * 1_048_576);
    open = true;
    flow.resume();
    await until(() => ended);
    expect(received).toBe(size);
  });

  test('cancelling before the head resets the stream with CANCEL and rejects with the reason', async () => {
    await start();
    let code: number | undefined;
    let arrived = false;
    server.server.on('stream', (stream) => {
      arrived = true;
      stream.on('close', () => {
        code = stream.rstCode;
      });
    });
    const call = callOf();
    const pending = fixture.transport.call(call);
    await until(() => arrived);
    const reason = new CancelledError('no longer needed');
    call.cancel(reason);
    await expect(pending).rejects.toBe(reason);
    await until(() => code !== undefined);
    expect(code).toBe(8);
  });

  test('cancelling after the head fails the body with the reason', async () => {
    await start();
    server.server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('part');
    });
    const call = callOf();
    const reply = await fixture.transport.call(call);
    const reason = new CancelledError();
    call.cancel(reason);
    await expect(text(reply.body)).rejects.toBe(reason);
    expect((await endOf(reply)).error).toBe(reason);
  });

  test('a reply body that nobody wants resets the stream and frees its place, even when all of it has arrived', async () => {
    await start({ settings: { maxConcurrentStreams: 1 } });
    server.server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.alloc(200_000));
    });
    for (let i = 0; i < 5; i++) {
      const reply = await fixture.transport.call(callOf());
      await new Promise((resolve) => setImmediate(resolve));
      reply.body.cancel();
      expect((await endOf(reply)).error).toMatchObject({ code: 'CANCELLED' });
    }
  });

  test('a request body that breaks off resets the stream and rejects with its error', async () => {
    await start();
    let aborted = false;
    server.server.on('stream', (stream) => stream.on('aborted', () => (aborted = true)));
    const { body } = handWritten();
    const pending = fixture.transport.call(callOf({ method: 'POST', body }));
    body.write(Buffer.from('a'));
    const error = new RequestBodyError('disk error');
    body.fail(error);
    await expect(pending).rejects.toBe(error);
    await until(() => aborted);
  });

  test('a reply that comes before the request has ended is a whole reply, and the rest of the request is not sent', async () => {
    await start();
    server.server.on('stream', (stream) => {
      stream.respond({ ':status': 413 });
      stream.end('too much');
    });
    const { body } = handWritten();
    const pending = fixture.transport.call(callOf({ method: 'POST', body }));
    body.write(Buffer.from('a'));
    const reply = await pending;
    expect(reply.status).toBe(413);
    expect(await text(reply.body)).toBe('too much');
    expect(body.write(Buffer.from('b'))).toBe(false);
  });
});
