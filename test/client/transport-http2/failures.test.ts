import { constants } from 'node:http2';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import { CancelledError, type MeshError } from '../../../src/core/errors.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  bytes,
  callOf,
  endOf,
  FRAME,
  type Fixture,
  frame,
  goawayFrame,
  http2Server,
  rawServer,
  rstFrame,
  text,
  transportTo,
  until,
} from '../../support/http2-fixture.js';

let fixture: Fixture;
let server: { port: number; close(): Promise<void> };

afterEach(async () => {
  await fixture.transport.close(true);
  await server.close();
  expect(fixture.limits.open, 'connection permits held').toBe(0);
  expect(fixture.limits.waiting, 'places in the line held').toBe(0);
});

const SETTINGS = frame(FRAME.SETTINGS, 0, 0);
const OK = frame(FRAME.HEADERS, 4, 1, Buffer.from([0x88]));

/** A server that sends SETTINGS and then, once the request's HEADERS have come, whatever `answer` writes. `seen` gets every frame. */
async function scripted(
  answer: (socket: Socket) => void,
  seen: (type: number, socket: Socket) => void = () => {},
): Promise<void> {
  server = await rawServer((socket) => {
    socket.write(SETTINGS);
    socket.on(
      'data',
      readFrames((type) => {
        if (type === FRAME.HEADERS) answer(socket);
        seen(type, socket);
      }),
    );
  });
  fixture = transportTo(server.port);
}

/** Calls `seen` with the type of each frame in what a client sends. */
function readFrames(seen: (type: number) => void): (chunk: Buffer) => void {
  let input = Buffer.alloc(0);
  let at = 24; // the client's preface
  return (chunk) => {
    input = Buffer.concat([input, chunk]);
    while (at + 9 <= input.length && at + 9 + input.readUIntBE(at, 3) <= input.length) {
      const type = input[at + 3] as number;
      at += 9 + input.readUIntBE(at, 3);
      seen(type);
    }
  };
}

const failure = (pending: Promise<unknown>): Promise<MeshError> =>
  pending.then(
    () => Promise.reject(new Error('the call succeeded')),
    (error: MeshError) => error,
  );

describe('a stream that the server resets', () => {
  test.each([
    ['NO_ERROR', 0, 13],
    ['PROTOCOL_ERROR', 1, 13],
    ['INTERNAL_ERROR', 2, 13],
    ['FLOW_CONTROL_ERROR', 3, 13],
    ['CANCEL', 8, 1],
    ['CONNECT_ERROR', 10, 13],
    ['ENHANCE_YOUR_CALM', 11, 8],
    ['INADEQUATE_SECURITY', 12, 7],
    ['HTTP_1_1_REQUIRED', 13, 13],
  ])('with %s was reached, and has gRPC status of the mapping', async (name, code, grpcStatus) => {
    await scripted((socket) => socket.write(rstFrame(1, code)));
    const error = await failure(fixture.transport.call(callOf()));
    expect(error).toMatchObject({ code: 'STREAM_RESET', reached: 'yes', flag: 'UR', grpcStatus, resetCode: code });
    expect(error.message).toContain(name);
  });

  test('with REFUSED_STREAM was not reached', async () => {
    await scripted((socket) => socket.write(rstFrame(1, constants.NGHTTP2_REFUSED_STREAM)));
    const error = await failure(fixture.transport.call(callOf()));
    expect(error).toMatchObject({ code: 'STREAM_REFUSED', reached: 'no', grpcStatus: 14 });
  });

  test('in mid-body fails the body', async () => {
    await scripted((socket) => {
      socket.write(Buffer.concat([OK, frame(FRAME.DATA, 0, 1, Buffer.from('part')), rstFrame(1, 2)]));
    });
    const reply = await fixture.transport.call(callOf());
    await expect(text(reply.body)).rejects.toMatchObject({ code: 'STREAM_RESET', reached: 'yes' });
    expect((await endOf(reply)).error).toMatchObject({ code: 'STREAM_RESET' });
  });

  test('with NO_ERROR in mid-body is noticed when the length was announced', async () => {
    // Literal header field, content-length (static index 28): 10.
    const head = frame(FRAME.HEADERS, 4, 1, Buffer.from([0x88, 0x0f, 0x0d, 0x02, 0x31, 0x30]));
    await scripted((socket) =>
      socket.write(Buffer.concat([head, frame(FRAME.DATA, 0, 1, Buffer.from('part')), rstFrame(1, 0)])),
    );
    const reply = await fixture.transport.call(callOf());
    expect(reply.headers['content-length']).toBe('10');
    await expect(text(reply.body)).rejects.toMatchObject({ code: 'STREAM_RESET' });
  });
});

test('a reset with NO_ERROR ends a call whose request is stuck behind flow control, and frees its place', async () => {
  await scripted((socket) => socket.write(rstFrame(1, 0)));
  const error = await failure(fixture.transport.call(callOf({ method: 'POST', body: bytes(1_000_000) })));
  expect(error).toMatchObject({ code: 'STREAM_RESET', reached: 'yes' });
  await fixture.transport.close();
  expect(fixture.transport.connections).toBe(0);
});

describe('GOAWAY', () => {
  test('refuses streams above the last id, lets those below finish, and new calls go to a new connection', async () => {
    const running = await http2Server();
    server = running;
    fixture = transportTo(server.port);
    const streams: { respond(): void }[] = [];
    running.server.on('stream', (stream) => {
      streams.push({
        respond: () => {
          stream.respond({ ':status': 200 });
          stream.end('done');
        },
      });
    });
    const first = fixture.transport.call(callOf());
    await until(() => streams.length === 1);
    const second = fixture.transport.call(callOf());
    await until(() => streams.length === 2);
    const [session] = [...running.sessions];
    session?.goaway(constants.NGHTTP2_NO_ERROR, 1);
    const error = await failure(second);
    expect(error).toMatchObject({ code: 'STREAM_REFUSED', reached: 'no' });
    const third = fixture.transport.call(callOf());
    await until(() => streams.length === 3);
    streams[2]?.respond();
    expect(await text((await third).body)).toBe('done');
    streams[0]?.respond();
    expect(await text((await first).body)).toBe('done');
    expect(running.sessions.size).toBeGreaterThanOrEqual(1);
  });

  test('graceful, in two steps, loses no call', async () => {
    const running = await http2Server();
    server = running;
    fixture = transportTo(server.port);
    const finish: (() => void)[] = [];
    running.server.on('stream', (stream) => {
      finish.push(() => {
        stream.respond({ ':status': 200 });
        stream.end('done');
      });
    });
    const pending = [fixture.transport.call(callOf()), fixture.transport.call(callOf())];
    await until(() => finish.length === 2);
    const [session] = [...running.sessions];
    session?.goaway(constants.NGHTTP2_NO_ERROR, 0x7fffffff);
    await new Promise((answered) => session?.ping(answered));
    pending.push(fixture.transport.call(callOf()));
    session?.goaway(constants.NGHTTP2_NO_ERROR, 3);
    await until(() => finish.length === 3);
    for (const each of finish) each();
    for (const reply of await Promise.all(pending)) expect(await text(reply.body)).toBe('done');
  });

  test('with an error code: streams above the last id were not reached, those below perhaps', async () => {
    await scripted((socket) => socket.write(goawayFrame(0, constants.NGHTTP2_ENHANCE_YOUR_CALM)));
    expect(await failure(fixture.transport.call(callOf()))).toMatchObject({ code: 'STREAM_REFUSED', reached: 'no' });
    await fixture.transport.close(true);
    await server.close();
    await scripted((socket) => socket.write(goawayFrame(1, constants.NGHTTP2_INTERNAL_ERROR)));
    const error = await failure(fixture.transport.call(callOf()));
    expect(error).toMatchObject({ code: 'CONNECTION_LOST', reached: 'maybe' });
    expect(error.message).toContain('INTERNAL_ERROR');
  });

  test('a server that says GOAWAY to every connection at once fails the call instead of going round in circles', async () => {
    let connections = 0;
    server = await rawServer((socket) => {
      connections++;
      const none = Buffer.alloc(6);
      none.writeUInt16BE(3, 0); // MAX_CONCURRENT_STREAMS 0
      socket.write(Buffer.concat([frame(FRAME.SETTINGS, 0, 0, none), goawayFrame(0, 0)]));
    });
    fixture = transportTo(server.port);
    expect(await failure(fixture.transport.call(callOf()))).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
    expect(connections).toBe(1);
  });
});

describe('a connection that fails', () => {
  test('refused: CONNECT_FAILED, and the next call tries again', async () => {
    const running = await http2Server();
    await running.close();
    server = { port: running.port, close: () => Promise.resolve() };
    fixture = transportTo(running.port);
    const error = await failure(fixture.transport.call(callOf()));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no', flag: 'UF' });
    expect(error.message).toContain(`127.0.0.1:${running.port}`);
    expect(await failure(fixture.transport.call(callOf()))).toMatchObject({ code: 'CONNECT_FAILED' });
  });

  test('SETTINGS that never come: CONNECT_FAILED after the connect timeout', async () => {
    let connected = false;
    server = await rawServer(() => {
      connected = true;
    });
    const clock = new FakeClock();
    fixture = transportTo(server.port, { clock, connectTimeoutMs: 250 });
    const pending = failure(fixture.transport.call(callOf()));
    await until(() => connected);
    await clock.advance(249);
    expect([fixture.limits.open, fixture.transport.connections]).toEqual([1, 0]);
    // Until the client's own side has seen the connection.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(2);
    const error = await pending;
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
    expect(error.message).toContain('SETTINGS');
    expect(clock.pending).toBe(0);
  });

  test('hung up before SETTINGS: CONNECT_FAILED', async () => {
    server = await rawServer((socket) => socket.end());
    fixture = transportTo(server.port);
    expect(await failure(fixture.transport.call(callOf()))).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
  });

  test('an HTTP/1.1 server: CONNECT_FAILED', async () => {
    server = await rawServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    fixture = transportTo(server.port);
    expect(await failure(fixture.transport.call(callOf()))).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
  });

  test('lost before the head: maybe reached', async () => {
    await scripted((socket) => socket.destroy());
    expect(await failure(fixture.transport.call(callOf()))).toMatchObject({
      code: 'CONNECTION_LOST',
      reached: 'maybe',
      flag: 'UC',
    });
  });

  test('lost in mid-body: reached, and the body fails', async () => {
    await scripted((socket) => socket.end(Buffer.concat([OK, frame(FRAME.DATA, 0, 1, Buffer.from('part'))])));
    const reply = await fixture.transport.call(callOf());
    await expect(text(reply.body)).rejects.toMatchObject({ code: 'CONNECTION_LOST', reached: 'yes' });
  });

  test.each([
    ['a frame that is too large', frame(FRAME.DATA, 0, 1, Buffer.alloc(20_000))],
    ['DATA on stream 0', frame(FRAME.DATA, 0, 0, Buffer.from('x'))],
    ['broken HPACK', frame(FRAME.HEADERS, 4, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
    ['a SETTINGS frame of odd length', frame(FRAME.SETTINGS, 0, 0, Buffer.from([1, 2, 3]))],
    ['a WINDOW_UPDATE beyond 2^31 - 1', Buffer.concat([windowUpdate(0x7fffffff), windowUpdate(0x7fffffff)])],
    ['garbage', Buffer.from('ceci n’est pas une trame, du tout, vraiment pas')],
  ])('%s costs the calls on that connection at most, and it is replaced', async (_, hostile) => {
    // When nghttp2 gives a session up, Node (20 at least) stops reading and tells nobody: not even that the server hangs up. So the call
    // may end only when its caller gives it up, and the connection is found out by a PING.
    let gaveUp = false;
    await scripted(
      (socket) => socket.write(hostile),
      (type) => {
        gaveUp ||= type === FRAME.GOAWAY;
      },
    );
    const clock = new FakeClock();
    fixture = transportTo(server.port, { clock });
    const call = callOf();
    const pending = failure(fixture.transport.call(call));
    await until(() => gaveUp);
    call.cancel(new CancelledError('too slow'));
    expect((await pending).code).toMatch(/PROTOCOL_ERROR|CONNECTION_LOST|STREAM_RESET|CANCELLED/);
    await clock.advance(5_000);
    // The socket is cut when the server does not hang up within a second.
    await clock.advance(1_000);
    await until(() => fixture.transport.connections === 0);
  });

  test('a reply whose status is missing is an error of that stream', async () => {
    await scripted((socket) => socket.write(frame(FRAME.HEADERS, 5, 1, Buffer.from([0x00, 1, 0x61, 1, 0x62]))));
    expect((await failure(fixture.transport.call(callOf()))).code).toMatch(/PROTOCOL_ERROR|STREAM_RESET/);
  });

  test('half open: a PING without an answer ends it, and its calls fail', async () => {
    let headersSeen = false;
    await scripted(() => {
      headersSeen = true;
    });
    const clock = new FakeClock();
    fixture = transportTo(server.port, { clock }, { keepaliveIntervalMs: 10_000, keepaliveTimeoutMs: 2_000 });
    const pending = failure(fixture.transport.call(callOf()));
    await until(() => headersSeen);
    await clock.advance(10_000);
    await clock.advance(2_000);
    const error = await pending;
    expect(error).toMatchObject({ code: 'CONNECTION_LOST', reached: 'maybe' });
    expect(error.message).toContain('PING');
    await clock.advance(1_000);
  });

  test('PINGs that are answered keep it, and none is sent without calls', async () => {
    const running = await http2Server();
    server = running;
    const clock = new FakeClock();
    fixture = transportTo(server.port, { clock }, { keepaliveIntervalMs: 1_000 });
    let pings = 0;
    running.server.on('session', (session) => session.on('ping', () => pings++));
    let finish: () => void = () => {};
    let arrived = false;
    running.server.on('stream', (stream) => {
      arrived = true;
      finish = () => stream.respond({ ':status': 200 }, { endStream: true });
    });
    const pending = fixture.transport.call(callOf());
    await until(() => arrived);
    for (let round = 1; round <= 3; round++) {
      const before = clock.pending;
      await clock.advance(1_000);
      await until(() => pings === round && clock.pending === before);
    }
    finish();
    await pending;
    await until(() => clock.pending > 0);
    await clock.advance(5_000);
    expect(pings).toBe(3);
  });
});

function windowUpdate(by: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(by);
  return frame(FRAME.WINDOW_UPDATE, 0, 0, payload);
}

test('a lost connection is replaced for the next call', async () => {
  const running = await http2Server();
  server = running;
  fixture = transportTo(server.port, { clock: systemClock });
  running.server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  });
  for (let round = 0; round < 3; round++) {
    const reply = await fixture.transport.call(callOf({ method: 'POST', body: bytes('x') }));
    expect(await text(reply.body)).toBe('ok');
    for (const session of running.sessions) session.destroy();
    await until(() => fixture.transport.connections === 0);
  }
});
