import {
  type ChannelOptions,
  credentials,
  InterceptingCall,
  type InterceptorOptions,
  makeGenericClientConstructor,
  Metadata,
  type NextCall,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { MeshChannel, type MeshChannelEnv } from '../../../src/client/grpc/channel.js';
import { grpcClient } from '../../../src/client/grpc/client.js';
import { encodeFrame } from '../../../src/client/grpc/framing.js';
import { type Body, BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { type HeaderFields, headerFields } from '../../../src/core/headers.js';
import { type Reply, ReplyEnding } from '../../../src/core/reply.js';
import type { Service } from '../../../src/core/service.js';
import { ConnectError } from '../../../src/client/transport/errors.js';
import { FakeClock } from '../../support/fake-clock.js';
import { until } from '../../support/http2-fixture.js';

const asBytes = { serialize: (text: string) => Buffer.from(text), deserialize: (bytes: Buffer) => bytes.toString() };
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Text/${path}`,
  requestStream,
  responseStream,
  requestSerialize: asBytes.serialize,
  requestDeserialize: asBytes.deserialize,
  responseSerialize: asBytes.serialize,
  responseDeserialize: asBytes.deserialize,
});
const TextClient = makeGenericClientConstructor(
  {
    Unary: method('Unary', false, false),
    Upload: method('Upload', true, false),
    Download: method('Download', false, true),
    Chat: method('Chat', true, true),
  },
  'Text',
);
// biome-ignore lint: methods of a client that is made at run time
type Methods = Record<string, (...args: any[]) => any>;

const replyOf = (body: Body, headers: Record<string, string> = {}, httpStatus = 200): Reply => {
  const ending = new ReplyEnding();
  return {
    status: httpStatus,
    headers: headerFields({ 'content-type': 'application/grpc', ...headers }),
    body,
    onEnd: (listener) => ending.onEnd(listener),
  };
};
const OK = headerFields({ 'grpc-status': '0' });
const answer = (text: string, trailers: HeaderFields = OK, headers: Record<string, string> = {}): Reply =>
  replyOf(new BytesBody(encodeFrame(Buffer.from(text), false), trailers), headers);

const clock = new FakeClock();
const opened: MeshChannel[] = [];
afterEach(() => {
  for (const channel of opened.splice(0)) channel.close();
  expect(clock.pending).toBe(0);
});

/** A client over a service that the test scripts; `calls` are those that reached it. */
function clientOf(
  service: (call: Call) => Reply | Promise<Reply>,
  options: Partial<ChannelOptions> = {},
  env: Partial<MeshChannelEnv> = {},
): { client: Methods; calls: Call[]; channel: MeshChannel } {
  const calls: Call[] = [];
  const scripted: Service = async (call) => {
    calls.push(call);
    return service(call);
  };
  const channel = new MeshChannel(scripted, 'text', { clock, options, ...env });
  opened.push(channel);
  const client = new TextClient('unused', credentials.createInsecure(), { channelOverride: channel });
  return { client: client as unknown as Methods, calls, channel };
}

const unary = (
  client: Methods,
  ...args: unknown[]
): Promise<{ error: ServiceError | null; value: string | undefined }> =>
  new Promise((resolve) =>
    client['Unary']?.(...args, (error: ServiceError | null, value: string) => resolve({ error, value })),
  );

describe('a unary call', () => {
  test('is one POST with a body that can be sent again', async () => {
    const { client, calls } = clientOf(() => answer('hi'), {}, { version: '9.9.9' });
    expect(await unary(client, 'hello')).toEqual({ error: null, value: 'hi' });
    const [call] = calls;
    expect(call).toMatchObject({
      protocol: 'grpc',
      method: 'POST',
      path: '/test.Text/Unary',
      authority: 'text',
      timeoutMs: undefined,
    });
    expect(call?.body).toBeInstanceOf(BytesBody);
    expect(call?.body?.replayable).toBe(true);
    expect({ ...call?.headers }).toEqual({
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'inmesh/9.9.9 grpc-node',
      'grpc-accept-encoding': 'identity,deflate,gzip',
    });
  });

  test('tells the deadline, wait-for-ready, idempotence and host of the call', async () => {
    const { client, calls } = clientOf(() => answer('hi'));
    const metadata = new Metadata({ waitForReady: true, idempotentRequest: true });
    await unary(client, 'x', metadata, { deadline: clock.wallTime() + 1_234, host: 'other' });
    expect(calls[0]).toMatchObject({
      timeoutMs: 1_234,
      waitForReady: true,
      idempotent: true,
      host: 'other',
      authority: 'text',
    });
  });

  test('an error of the mesh is the status that it stands for, with its flag', async () => {
    const { client } = clientOf(() => Promise.reject(new ConnectError('10.0.0.1:80', 'refused')));
    const { error } = await unary(client, 'x');
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: 'cannot connect to 10.0.0.1:80: refused [UF]' });
  });

  test('a trailers-only reply is a status without a head', async () => {
    const { client } = clientOf(() =>
      replyOf(new BytesBody(new Uint8Array(0)), {
        'grpc-status': '5',
        'grpc-message': 'no caf%C3%A9',
        'x-why': 'gone',
      }),
    );
    const { error } = await unary(client, 'x');
    expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'no café' });
    expect(error?.metadata.get('x-why')).toEqual(['gone']);
  });

  test('a page of a proxy is the status of its HTTP code; a gRPC status in its trailers wins', async () => {
    const html = (trailers?: HeaderFields): Reply =>
      replyOf(new BytesBody(Buffer.from('<html>bad</html>'), trailers), { 'content-type': 'text/html' }, 503);
    expect((await unary(clientOf(() => html()).client, 'x')).error?.code).toBe(status.UNAVAILABLE);
    expect((await unary(clientOf(() => html(headerFields({ 'grpc-status': '7' }))).client, 'x')).error?.code).toBe(
      status.PERMISSION_DENIED,
    );
  });

  test('a reply that ends in the middle of a message is INTERNAL', async () => {
    const cut = encodeFrame(Buffer.from('whole'), false).subarray(0, 7);
    const { client } = clientOf(() => replyOf(new BytesBody(cut, OK)));
    expect((await unary(client, 'x')).error).toMatchObject({ code: status.INTERNAL });
  });

  test('a message above the limit is RESOURCE_EXHAUSTED, to send and to receive', async () => {
    const { client, calls } = clientOf(() => answer('far too long'), {
      'grpc.max_receive_message_length': 5,
      'grpc.max_send_message_length': 3,
    });
    const received = await unary(client, 'x');
    expect(received.error).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('max_receive_message_length'),
    });
    expect(calls[0]?.cancellation.cancelled).toBe(true);
    expect((await unary(client, 'long')).error).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('max_send_message_length'),
    });
    expect(calls.length).toBe(1);
  });

  test('a compressed message of an encoding that was not offered, or of none, is INTERNAL', async () => {
    const packed = (headers: Record<string, string>): Reply =>
      replyOf(new BytesBody(encodeFrame(Buffer.from('x'), true), OK), headers);
    expect((await unary(clientOf(() => packed({ 'grpc-encoding': 'snappy' })).client, 'x')).error?.code).toBe(
      status.INTERNAL,
    );
    expect((await unary(clientOf(() => packed({})).client, 'x')).error?.code).toBe(status.INTERNAL);
    expect((await unary(clientOf(() => packed({ 'grpc-encoding': 'gzip' })).client, 'x')).error?.code).toBe(
      status.INTERNAL,
    );
  });

  test('an encoding that the server does not accept is not used again; a call may ask for its own', async () => {
    const { client, calls } = clientOf(() => answer('hi', OK, { 'grpc-accept-encoding': 'identity,deflate' }), {
      'grpc.default_compression_algorithm': 2,
    });
    await unary(client, 'x');
    await unary(client, 'x');
    const own = new Metadata();
    own.set('grpc-internal-encoding-request', 'deflate');
    await unary(client, 'x', own);
    expect(calls.map((call) => call.headers['grpc-encoding'])).toEqual(['gzip', undefined, 'deflate']);
  });

  test('cancelling gives CANCELLED and cancels the call below', async () => {
    const { client, calls } = clientOf(() => new Promise(() => {}));
    let handle: { cancel(): void } | undefined;
    const ended = new Promise<ServiceError>((resolve) => {
      handle = client['Unary']?.('x', resolve);
    });
    handle?.cancel();
    expect(await ended).toMatchObject({ code: status.CANCELLED });
    expect(calls[0]?.cancellation.reason).toMatchObject({ code: 'CANCELLED' });
  });

  test('interceptors above the channel see and change it', async () => {
    const { client, calls } = clientOf(() => answer('hi'));
    const interceptor = (options: InterceptorOptions, next: NextCall): InterceptingCall =>
      new InterceptingCall(next(options), {
        start(metadata, listener, go) {
          metadata.set('x-added', 'yes');
          setImmediate(() => go(metadata, listener));
        },
      });
    expect((await unary(client, 'x', { interceptors: [interceptor] })).value).toBe('hi');
    expect(calls[0]?.headers['x-added']).toBe('yes');
    expect(calls[0]?.body?.replayable).toBe(true);
  });
});

describe('a streaming call', () => {
  test('starts before there is a message, and its messages go as they are written', async () => {
    const { client, calls } = clientOf(() => new Promise(() => {}));
    const stream = client['Chat']?.();
    stream.on('error', () => {});
    await until(() => calls.length === 1);
    expect(calls[0]?.body).toBeInstanceOf(StreamBody);
    const got: string[] = [];
    calls[0]?.body?.pipe({
      write: (chunk) => got.push(Buffer.from(chunk).subarray(5).toString()) > 0,
      end: () => got.push('END'),
      fail: () => {},
    });
    stream.write('a');
    stream.write('b');
    stream.end();
    await until(() => got.length === 3);
    expect(got).toEqual(['a', 'b', 'END']);
    stream.cancel();
  });

  test('a sink that is full holds the writer back, and the end of the call lets it go', async () => {
    const { client, calls } = clientOf(() => new Promise(() => {}));
    const stream = client['Upload']?.(() => {});
    await until(() => calls.length === 1);
    const flow = calls[0]?.body?.pipe({ write: () => false, end: () => {}, fail: () => {} });
    let written = 0;
    stream.write('a', () => written++);
    stream.write('b', () => written++);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBe(0);
    flow?.resume();
    await until(() => written === 1);
    stream.cancel();
    await until(() => written === 2);
  });

  test('a reader that is slow holds the server back, message by message, and nothing is lost or reordered', async () => {
    let resumed = 0;
    const body: StreamBody = new StreamBody({ resume: () => resumed++, cancel: () => {} });
    const { client } = clientOf(() => replyOf(body));
    const stream = client['Download']?.('x');
    const total = 500;
    let sent = 0;
    const got: string[] = [];
    stream.pause();
    stream.on('data', (text: string) => got.push(text));
    await new Promise((resolve) => setImmediate(resolve));
    while (sent < total && body.write(encodeFrame(Buffer.from(String(sent++)), false)));
    expect(sent).toBeLessThan(100);
    stream.resume();
    await until(() => {
      while (sent < total && body.write(encodeFrame(Buffer.from(String(sent++)), false)));
      if (sent === total) body.end(OK);
      return got.length === total;
    });
    expect(got).toEqual(Array.from({ length: total }, (_, i) => String(i)));
    expect(resumed).toBeGreaterThan(0);
  });

  test('messages that came before an error status are delivered before it', async () => {
    const frames = Buffer.concat(['a', 'b'].map((text) => encodeFrame(Buffer.from(text), false)));
    const { client } = clientOf(() =>
      replyOf(new BytesBody(frames, headerFields({ 'grpc-status': '10', 'grpc-message': 'later' }))),
    );
    const stream = client['Download']?.('x');
    const events: string[] = [];
    stream.on('data', (text: string) => events.push(text));
    const error = await new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    expect(error.code).toBe(status.ABORTED);
    expect(events).toEqual(['a', 'b']);
  });
});

describe('call credentials', () => {
  const token = credentials.createFromMetadataGenerator(({ service_url, method_name }, done) => {
    const metadata = new Metadata();
    metadata.set('authorization', `${service_url} ${method_name}`);
    done(null, metadata);
  });

  test('are asked for the service and the method, and sent where TLS carries the call', async () => {
    const { client, calls } = clientOf(() => answer('hi'), {}, { secure: true });
    expect((await unary(client, 'x', { credentials: token })).value).toBe('hi');
    expect(calls[0]?.headers['authorization']).toBe('https://text/test.Text /test.Text/Unary');
    expect(calls[0]?.scheme).toBe('https');
    expect(calls[0]?.body?.replayable).toBe(true);
  });

  test('are not sent in plain text', async () => {
    const { client, calls } = clientOf(() => answer('hi'));
    expect((await unary(client, 'x', { credentials: token })).error).toMatchObject({ code: status.UNAUTHENTICATED });
    expect(calls).toEqual([]);
  });

  test('that fail end the call, and pretend no status of a server', async () => {
    const failing = (code?: number) =>
      credentials.createFromMetadataGenerator((_, done) => done(Object.assign(new Error('no token'), { code })));
    const { client } = clientOf(() => answer('hi'), {}, { secure: true });
    expect((await unary(client, 'x', { credentials: failing() })).error).toMatchObject({
      code: status.UNKNOWN,
      details: expect.stringContaining('no token'),
    });
    expect((await unary(client, 'x', { credentials: failing(status.NOT_FOUND) })).error?.code).toBe(status.INTERNAL);
    expect((await unary(client, 'x', { credentials: failing(status.UNAVAILABLE) })).error?.code).toBe(
      status.UNAVAILABLE,
    );
  });
});

describe('the channel', () => {
  test('passes on the deadline and the cancellation of the server call that it is used for', async () => {
    const { EventEmitter } = await import('node:events');
    const parent = Object.assign(new EventEmitter(), { getDeadline: () => new Date(clock.wallTime() + 500) });
    const { client, calls } = clientOf(() => new Promise(() => {}));
    const ended = unary(client, 'x', { parent, deadline: clock.wallTime() + 9_000 });
    await until(() => calls.length === 1);
    expect(calls[0]?.timeoutMs).toBe(500);
    parent.emit('cancelled');
    expect((await ended).error?.code).toBe(status.CANCELLED);
    expect(parent.listenerCount('cancelled')).toBe(0);
  });

  test('is ready when the mesh is, and waitForReady waits for that', async () => {
    let ready: () => void = () => {};
    const { client, channel } = clientOf(
      () => answer('hi'),
      {},
      { ready: new Promise((resolve) => (ready = resolve)) },
    );
    expect(channel.getConnectivityState(true)).toBe(1);
    let waited: Error | undefined | 'no' = 'no';
    client['waitForReady']?.(clock.wallTime() + 1_000, (error?: Error) => {
      waited = error;
    });
    await until(() => clock.pending === 1);
    ready();
    await until(() => waited !== 'no');
    expect(waited).toBeUndefined();
    client['waitForReady']?.(clock.wallTime() - 1, (error?: Error) => {
      waited = error ?? 'no';
    });
    await until(() => waited === 'no');
  });

  test('a wait that takes too long ends with an error', async () => {
    const { channel } = clientOf(() => answer('hi'), {}, { ready: new Promise(() => {}) });
    const ended = new Promise<Error | undefined>((resolve) =>
      channel.watchConnectivityState(1, clock.wallTime() + 100, resolve),
    );
    await clock.advance(101);
    expect((await ended)?.message).toContain('deadline');
  });

  test('takes no calls once it is closed, and says so', () => {
    const { channel } = clientOf(() => answer('hi'));
    channel.close();
    expect(channel.getConnectivityState(false)).toBe(4);
    expect(() => channel.createCall('/a/B', Number.POSITIVE_INFINITY, null, null, null)).toThrow(/was closed/);
  });

  test('grpcClient makes a typed client from the class that a generator made', async () => {
    const client = grpcClient(async () => answer('hi'), TextClient as never, 'text', { clock }) as unknown as Methods;
    expect((await unary(client, 'x')).value).toBe('hi');
    client['close']?.();
  });
});
