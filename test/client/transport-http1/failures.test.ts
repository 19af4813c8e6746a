import fc from 'fast-check';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { CancelledError, MeshError } from '../../../src/core/errors.js';
import { aCall } from '../../support/calls.js';
import {
  answering,
  endOf,
  failureOf,
  httpServer,
  type OpenTransport,
  type RunningHttp,
  tcpServer,
  textOf,
  transportTo,
  until,
} from '../../support/http1-fixture.js';

let server: RunningHttp;
let open: OpenTransport;

afterEach(async () => {
  await open.transport.close(true);
  await server.close();
  expect([open.limits.open, open.limits.waiting, open.transport.connections]).toEqual([0, 0, 0]);
});

/** A raw server that answers every request with these bytes and then does `after`. */
async function serves(answer: string | Uint8Array, after: (socket: Socket) => void = () => {}): Promise<OpenTransport> {
  server = await answering((socket) => {
    socket.write(answer);
    after(socket);
  });
  open = transportTo(server.port);
  return open;
}

test('a server that closes before it answers may have got the request', async () => {
  server = await answering((socket) => socket.end());
  open = transportTo(server.port);
  expect(await failureOf(open.transport.call(aCall()))).toMatchObject({
    code: 'CONNECTION_LOST',
    reached: 'maybe',
    flag: 'UC',
    origin: 'network',
    endpoint: `127.0.0.1:${server.port}`,
  });
});

test('a server that resets before it answers may have got the request', async () => {
  server = await answering((socket) => socket.resetAndDestroy());
  open = transportTo(server.port);
  expect(await failureOf(open.transport.call(aCall()))).toMatchObject({ code: 'CONNECTION_LOST', reached: 'maybe' });
});

test('a server that closes within the body has got the request; the reader gets what came, then the error', async () => {
  await serves('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', (socket) => socket.end());
  const reply = await open.transport.call(aCall());
  let text = '';
  const error = await new Promise((resolve) => {
    reply.body.pipe({
      write(chunk) {
        text += Buffer.from(chunk).toString();
        return true;
      },
      end: () => resolve(undefined),
      fail: resolve,
    });
  });
  expect(text).toBe('half');
  expect(error).toMatchObject({ code: 'CONNECTION_LOST', reached: 'yes' });
  expect((await endOf(reply)).error).toBe(error);
});

test('a reset within a chunked body is a lost connection', async () => {
  let cut = (): void => {};
  await serves('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n', (socket) => {
    cut = () => socket.resetAndDestroy();
  });
  const reply = await open.transport.call(aCall());
  cut();
  expect((await endOf(reply)).error).toMatchObject({ code: 'CONNECTION_LOST', reached: 'yes' });
  expect(await failureOf(textOf(reply.body))).toMatchObject({ code: 'CONNECTION_LOST' });
});

test.each([
  ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na'],
  ['a chunk size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
  ['a header with a NUL', 'HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n'],
  ['headers without end', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(100_000)}\r\n\r\n`],
  ['a switch of protocols', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ['a 100 that nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\n'],
])('%s is a broken protocol', async (_name, answer) => {
  await serves(answer);
  const error = await open.transport.call(aCall()).then(
    (reply) => endOf(reply).then((end) => end.error),
    (failed: unknown) => failed,
  );
  expect(error).toMatchObject({ code: 'PROTOCOL_ERROR', reached: 'yes', flag: 'UPE' });
});

test('a second answer that nobody asked for ends the connection, and the next call has another', async () => {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na';
  await serves(answer + answer);
  expect(await textOf((await open.transport.call(aCall())).body)).toBe('a');
  await until(() => open.limits.open === 0);
  expect(await textOf((await open.transport.call(aCall())).body)).toBe('a');
  expect(server.accepted()).toBe(2);
});

test('a refused connection never reached the server', async () => {
  server = await tcpServer(() => {});
  const { port } = server;
  await server.close();
  open = transportTo(port);
  const error = await failureOf(open.transport.call(aCall()));
  expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no', flag: 'UF' });
  expect(error.message).toContain('ECONNREFUSED');
});

test('a head that comes byte by byte is a head', async () => {
  server = await answering((socket) => {
    const text = 'HTTP/1.1 200 OK\r\nx-slow: yes\r\ncontent-length: 2\r\n\r\nok';
    let at = 0;
    const next = (): void => {
      if (at < text.length && !socket.destroyed) socket.write(text.charAt(at++), () => setImmediate(next));
    };
    next();
  });
  open = transportTo(server.port);
  const reply = await open.transport.call(aCall());
  expect(reply.headers['x-slow']).toBe('yes');
  expect(await textOf(reply.body)).toBe('ok');
});

test('a call to a server that never answers ends with its cancellation, and the connection with it', async () => {
  const silent = await tcpServer((socket) => socket.resume());
  server = silent;
  open = transportTo(server.port);
  const call = aCall();
  const pending = open.transport.call(call);
  await until(() => server.sockets.size === 1);
  const reason = new CancelledError();
  call.cancel(reason);
  expect(await failureOf(pending)).toBe(reason);
  await until(() => silent.sockets.size === 0 && open.limits.open === 0);
});

test('a cancelled call that has its head fails its body with the reason', async () => {
  await serves('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
  const call = aCall();
  const reply = await open.transport.call(call);
  const reason = new CancelledError();
  call.cancel(reason);
  expect((await endOf(reply)).error).toBe(reason);
  expect(await failureOf(textOf(reply.body))).toBe(reason);
  await until(() => server.sockets.size === 0);
});

test('a call that was cancelled before sends nothing', async () => {
  await serves('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  const call = aCall();
  const reason = new CancelledError();
  call.cancel(reason);
  expect(await failureOf(open.transport.call(call))).toBe(reason);
  expect(server.accepted()).toBe(0);
});

test('a reply whose reader lets go closes its connection and ends with a cancellation', async () => {
  await serves('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
  const reply = await open.transport.call(aCall());
  reply.body.cancel();
  expect((await endOf(reply)).error).toMatchObject({ code: 'CANCELLED' });
  await until(() => server.sockets.size === 0 && open.limits.open === 0);
});

test('a connection that the server closed while idle is not used again', async () => {
  server = await httpServer((_request, response) => response.end('ok'));
  open = transportTo(server.port);
  await textOf((await open.transport.call(aCall())).body);
  for (const socket of server.sockets) socket.end();
  await until(() => open.transport.connections === 0);
  expect(await textOf((await open.transport.call(aCall())).body)).toBe('ok');
  expect(server.accepted()).toBe(2);
});

/**
 * The keep-alive race, as often as it takes: the server closes right behind its answer without saying so, and the next call is made
 * at once. Whichever way a round goes, "no" must be true: a request that never reached the server cannot have been seen there.
 */
test('whatever a server that closes behind its answers does, what is said about reaching it is true', async () => {
  const seen = new Set<string>();
  server = await answering((socket, head) => {
    seen.add(/^GET (\S+)/.exec(head)?.[1] ?? '');
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', () =>
      seen.size % 2 === 0 ? socket.end() : socket.resetAndDestroy(),
    );
  });
  open = transportTo(server.port);
  let answered = 0;
  for (let i = 0; i < 300; i++) {
    const path = `/${i}`;
    try {
      await textOf((await open.transport.call(aCall({ path }))).body);
      answered++;
    } catch (error) {
      expect(error).toBeInstanceOf(MeshError);
      if ((error as MeshError).reached === 'no') expect(seen.has(path)).toBe(false);
    }
  }
  expect(answered).toBeGreaterThan(100);
});

test('no answer, however odd, does more than fail its own call', async () => {
  let answer: Uint8Array = new Uint8Array(0);
  server = await answering((socket) => socket.end(answer));
  open = transportTo(server.port);
  const piece = fc.oneof(
    fc.constantFrom(
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.0 200\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'content-length: 5\r\n',
      '\r\n',
      '\r\n\r\n',
    ),
    fc.constantFrom(
      'transfer-encoding: chunked\r\n',
      '5\r\nhello\r\n',
      '0\r\n\r\n',
      'connection: close\r\n',
      'x',
      'HTTP/1.1 999 ?\r\n',
    ),
    fc.string({ maxLength: 20 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      answer = Buffer.from(pieces.join(''), 'latin1');
      const outcome = await open.transport.call(aCall()).then(
        (reply) => endOf(reply).then((end) => end.error),
        (error: unknown) => error,
      );
      if (outcome !== undefined) expect(outcome).toBeInstanceOf(MeshError);
      await until(() => open.limits.open === 0);
    }),
    { numRuns: 250 },
  );
});
