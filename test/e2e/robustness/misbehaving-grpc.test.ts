import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Mesh, meshClient } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { httpServer, tcpServer } from '../../support/http1-fixture.js';
import { FRAME, frame, goawayFrame, http2Server } from '../../support/http2-fixture.js';
import { collectingLogger, Opened, WAIT } from './support.js';

/* Servers that break the promises of HTTP/2 and of gRPC, through the mesh's channel and through the proxy. */

const opened = new Opened();
let mesh: Mesh | undefined;
/** Sockets and sessions that servers of the test have open. */
let open: (() => number)[] = [];
afterEach(async () => {
  await vi.waitFor(async () => {
    for (const cluster of (await mesh?.configDump())?.clusters ?? []) {
      expect(cluster).toMatchObject({ requests: 0, pending: 0 });
      for (const endpoint of cluster.endpoints) expect(endpoint.inflight).toBe(0);
    }
  }, WAIT);
  await mesh?.close();
  await vi.waitFor(() => expect(open.map((count) => count())).toEqual(open.map(() => 0)), WAIT);
  open = [];
  await opened.close();
});

const bytes = (value: Buffer): Buffer => value;
const METHODS = {
  unary: { path: '/test.Raw/Unary', requestStream: false, responseStream: false },
  stream: { path: '/test.Raw/Stream', requestStream: false, responseStream: true },
} as const;
const RAW: grpc.ServiceDefinition = Object.fromEntries(
  Object.entries(METHODS).map(([name, method]) => [
    name,
    {
      ...method,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    },
  ]),
);

interface RawClient {
  unary(
    request: Buffer,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, reply?: Buffer) => void,
  ): grpc.ClientUnaryCall;
  stream(request: Buffer, options: grpc.CallOptions): grpc.ClientReadableStream<Buffer>;
  close(): void;
}
const Raw = grpc.makeGenericClientConstructor(RAW, 'Raw');

interface Outcome {
  readonly code: grpc.status;
  readonly details: string;
  readonly messages: readonly string[];
}

const within = (timeoutMs: number): grpc.CallOptions => ({ deadline: Date.now() + timeoutMs });

const unary = (client: RawClient, timeoutMs = 10_000): Promise<Outcome> =>
  new Promise((resolve) => {
    client.unary(Buffer.from('q'), within(timeoutMs), (error, reply) =>
      resolve({
        code: error?.code ?? 0,
        details: error?.details ?? '',
        messages: reply === undefined ? [] : [reply.toString()],
      }),
    );
  });

const streaming = (client: RawClient, timeoutMs = 10_000): Promise<Outcome> =>
  new Promise((resolve) => {
    const messages: string[] = [];
    const call = client.stream(Buffer.from('q'), within(timeoutMs));
    call.on('data', (message: Buffer) => messages.push(message.toString()));
    call.on('error', () => {});
    call.on('status', ({ code, details }: grpc.StatusObject) => resolve({ code, details, messages }));
  });

type Way = 'channel' | 'proxy';
const WAYS: readonly Way[] = ['channel', 'proxy'];

async function clientOf(way: Way, ...ports: readonly number[]): Promise<RawClient> {
  const services = { raw: ports.map((port) => `127.0.0.1:${port}`) };
  const made = meshClient({ services, logger: collectingLogger(), accessLog: () => {} });
  mesh = made;
  if (way === 'channel') return made.grpc(Raw, 'raw') as unknown as RawClient;
  const proxy = opened.add(await startProxy({ service: made.service, listen: '127.0.0.1:0' }), (each) => each.close());
  const address = `127.0.0.1:${proxy.port}`;
  const client = new Raw(address, grpc.credentials.createInsecure(), { 'grpc.default_authority': 'raw' });
  return opened.add(client as unknown as RawClient, (each) => each.close());
}

interface Counted {
  readonly port: number;
  /** Requests that arrived. */
  asked: number;
}

/** An HTTP/2 server that answers every stream with `answer`. */
async function serving(answer: (stream: ServerHttp2Stream) => void): Promise<Counted> {
  const running = opened.add(await http2Server(), (each) => each.close());
  open.push(() => running.sessions.size);
  const counted = { port: running.port, asked: 0 };
  running.server.on('stream', (stream) => {
    counted.asked++;
    answer(stream);
  });
  return counted;
}

/** A TCP server that writes what it likes. */
async function writing(serve: (socket: Socket) => void): Promise<Counted> {
  const counted = { port: 0, asked: 0 };
  const running = await tcpServer((socket) => {
    counted.asked++;
    socket.resume();
    serve(socket);
  });
  open.push(() => running.sockets.size);
  opened.add(running, (each) => each.close());
  return Object.assign(counted, { port: running.port });
}

const HEAD = { ':status': 200, 'content-type': 'application/grpc' };
const message = (text: string, length = text.length, flag = 0): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
};
/** A head, one whole message, and then what `then` does. */
const begun =
  (then: (stream: ServerHttp2Stream) => void) =>
  (stream: ServerHttp2Stream): void => {
    stream.respond(HEAD);
    stream.write(message('one'), () => setImmediate(() => then(stream)));
  };
const ended = (stream: ServerHttp2Stream, headers: Record<string, string | number>, body?: Buffer): void => {
  stream.respond(headers, body === undefined ? { endStream: true } : {});
  if (body !== undefined) stream.end(body);
};

const { status } = grpc;

interface Misdeed {
  readonly name: string;
  readonly answer: (stream: ServerHttp2Stream) => void;
  readonly code: grpc.status;
  /** Attempts that reach the server: 2 where it provably did not look at the first. */
  readonly asked: number;
  readonly messages?: readonly string[];
  readonly details?: RegExp;
  /** Passed on by the proxy as it is: what grpc-js, its client here, makes of it is grpc-js's own affair. */
  readonly readByClient?: true;
}

const misdeeds: readonly Misdeed[] = [
  // Once more transparently, then as the policy has it (gRFC A6).
  { name: 'refuses the stream', answer: (stream) => stream.close(7), code: status.UNAVAILABLE, asked: 3 },
  { name: 'resets with INTERNAL_ERROR', answer: (stream) => stream.close(2), code: status.INTERNAL, asked: 1 },
  { name: 'resets with CANCEL', answer: (stream) => stream.close(8), code: status.CANCELLED, asked: 1 },
  {
    name: 'resets with ENHANCE_YOUR_CALM',
    answer: (stream) => stream.close(11),
    code: status.RESOURCE_EXHAUSTED,
    asked: 1,
  },
  {
    name: 'resets with INADEQUATE_SECURITY',
    answer: (stream) => stream.close(12),
    code: status.PERMISSION_DENIED,
    asked: 1,
  },
  {
    name: 'resets within the reply',
    answer: begun((stream) => stream.close(2)),
    code: status.INTERNAL,
    asked: 1,
    messages: ['one'],
  },
  {
    name: 'loses the connection within the reply',
    answer: begun((stream) => stream.session?.destroy()),
    code: status.UNAVAILABLE,
    asked: 1,
    messages: ['one'],
  },
  {
    name: 'loses the connection before the reply',
    answer: (stream) => stream.session?.destroy(),
    code: status.UNAVAILABLE,
    asked: 1,
  },
  {
    name: 'ends without trailers',
    answer: begun((stream) => stream.end()),
    code: status.INTERNAL,
    asked: 1,
    messages: ['one'],
  },
  { name: 'ends without anything', answer: (stream) => ended(stream, HEAD), code: status.INTERNAL, asked: 1 },
  {
    name: 'ends within a message',
    answer: (stream) => ended(stream, HEAD, message('half', 100)),
    code: status.INTERNAL,
    asked: 1,
  },
  {
    name: 'announces a message of 4 GiB',
    answer: (stream) => {
      stream.respond(HEAD);
      stream.write(message('x', 0xffff_ffff));
    },
    code: status.RESOURCE_EXHAUSTED,
    asked: 1,
  },
  {
    name: 'says compressed, and names no encoding',
    answer: (stream) => ended(stream, HEAD, message('xxxx', 4, 1)),
    code: status.INTERNAL,
    asked: 1,
    readByClient: true,
  },
  {
    name: 'sends noise in place of gzip',
    answer: (stream) => ended(stream, { ...HEAD, 'grpc-encoding': 'gzip' }, message('xxxx', 4, 1)),
    code: status.INTERNAL,
    asked: 1,
  },
  {
    name: 'answers with a page',
    answer: (stream) => ended(stream, { ':status': 200, 'content-type': 'text/html' }, Buffer.from('<html>')),
    code: status.UNKNOWN,
    asked: 1,
    readByClient: true,
  },
  {
    name: 'answers with 503 of another proxy',
    answer: (stream) => ended(stream, { ':status': 503 }),
    code: status.UNAVAILABLE,
    asked: 1,
  },
  {
    name: 'answers with 404',
    answer: (stream) => ended(stream, { ':status': 404 }),
    code: status.UNIMPLEMENTED,
    asked: 1,
  },
  {
    name: 'gives a status that is no number',
    answer: (stream) => ended(stream, { ...HEAD, 'grpc-status': 'fine' }),
    code: status.UNKNOWN,
    asked: 1,
    readByClient: true,
  },
  {
    name: 'gives a message that is not well encoded',
    answer: (stream) => ended(stream, { ...HEAD, 'grpc-status': '9', 'grpc-message': '%zz%F0%9F' }),
    code: status.FAILED_PRECONDITION,
    asked: 1,
    details: /%zz/,
  },
];

describe.each(WAYS)('through the %s, a server that', (way) => {
  test.each(misdeeds.filter(({ readByClient }) => way === 'channel' || !readByClient))(
    '$name',
    async ({ answer, code, asked, messages = [], details }) => {
      const bad = await serving(answer);
      const client = await clientOf(way, bad.port);
      const outcome = await streaming(client);
      expect({ ...outcome, name: grpc.status[outcome.code] }).toMatchObject({
        name: grpc.status[code],
        messages,
      });
      if (details !== undefined) expect(outcome.details).toMatch(details);
      expect(outcome.details).not.toBe('');
      expect(bad.asked).toBe(asked);
    },
  );

  test('never answers: the deadline holds, the server learns of it', async () => {
    let reset: number | undefined;
    const bad = await serving((stream) => {
      stream.on('close', () => {
        reset = stream.rstCode;
      });
    });
    const client = await clientOf(way, bad.port);
    expect(await unary(client, 150)).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await vi.waitFor(() => expect(reset).toBe(8), WAIT);
    expect(bad.asked).toBe(1);
  });

  test('trickles messages for ever: the deadline holds', async () => {
    const bad = await serving((stream) => {
      stream.respond(HEAD);
      const timer = setInterval(() => stream.write(message('drip')), 10);
      stream.on('close', () => clearInterval(timer));
    });
    const client = await clientOf(way, bad.port);
    const outcome = await streaming(client, 300);
    expect(outcome.code).toBe(status.DEADLINE_EXCEEDED);
    expect(outcome.messages.length).toBeGreaterThan(0);
  });

  test('accepts and says nothing: the deadline holds', async () => {
    const bad = await writing(() => {});
    const client = await clientOf(way, bad.port);
    expect(await unary(client, 200)).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  });

  test.each([
    ['speaks SSH', (socket: Socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    ['sends noise', (socket: Socket) => socket.end(Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 89) % 256)))],
    ['hangs up', (socket: Socket) => socket.end()],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
    [
      'says GOAWAY to everybody',
      (socket: Socket) => socket.write(Buffer.concat([frame(FRAME.SETTINGS, 0, 0), goawayFrame(0, 0)])),
    ],
    [
      'sends a frame that is too large',
      (socket: Socket) =>
        socket.write(Buffer.concat([frame(FRAME.SETTINGS, 0, 0), Buffer.from('ffffff000000000000', 'hex')])),
    ],
  ])('%s: UNAVAILABLE, with the endpoint in the message', async (_, serve) => {
    const bad = await writing(serve);
    const client = await clientOf(way, bad.port);
    const outcome = await unary(client);
    expect([status.UNAVAILABLE, status.INTERNAL]).toContain(outcome.code);
    expect(outcome.details).toContain(`127.0.0.1:${bad.port}`);
  });

  test('is an HTTP/1.1 server: UNAVAILABLE', async () => {
    const web = opened.add(await httpServer((_request, response) => response.end('hello')), (each) => each.close());
    const outcome = await unary(await clientOf(way, web.port));
    expect(outcome.code).toBe(status.UNAVAILABLE);
  });

  test('refuses every stream: beside a sound one it costs no call', async () => {
    const bad = await serving((stream) => stream.close(7));
    const good = await serving((stream) => {
      stream.respond(HEAD, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(message('ok'));
    });
    const client = await clientOf(way, bad.port, good.port);
    for (let i = 0; i < 20; i++) expect(await unary(client)).toMatchObject({ code: 0, messages: ['ok'] });
    expect(good.asked).toBe(20);
  });

  test('resets what it may have done: nobody asks again, sound ones beside it or not', async () => {
    const bad = [await serving((stream) => stream.close(2)), await serving((stream) => stream.close(2))];
    const client = await clientOf(way, ...bad.map(({ port }) => port));
    for (let i = 1; i <= 5; i++) {
      expect((await unary(client)).code).toBe(status.INTERNAL);
      expect(bad.reduce((sum, { asked }) => sum + asked, 0)).toBe(i);
    }
  });
});

test('streams under way when the mesh is closed end with UNAVAILABLE, and say why', async () => {
  const bad = await serving(begun(() => {}));
  const client = await clientOf('channel', bad.port);
  const outcomes = Array.from({ length: 5 }, () => streaming(client));
  await vi.waitFor(() => expect(bad.asked).toBe(5), WAIT);
  await mesh?.close();
  for (const outcome of await Promise.all(outcomes)) {
    expect(outcome).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('mesh.close()') });
  }
  expect((await unary(client)).code).toBe(status.UNAVAILABLE);
});
