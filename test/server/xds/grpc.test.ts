import {
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ambient } from '../../../src/core/ambient.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { chain, freeAddress, listener, route, type Served, serve, table, until } from './support.js';

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: String,
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: String,
};
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  ...text,
});
const ECHO = {
  unary: method('Unary', false, false),
  upload: method('Upload', true, false),
  download: method('Download', false, true),
  chat: method('Chat', true, true),
};

/** The services of a grpc-js server, as users add them. */
const HANDLERS = {
  unary: (call: ServerUnaryCall<string, string>, reply: sendUnaryData<string>) => reply(null, `re: ${call.request}`),
  upload(call: ServerReadableStream<string, string>, reply: sendUnaryData<string>) {
    const parts: string[] = [];
    call.on('data', (part: string) => parts.push(part));
    call.on('end', () => reply(null, parts.join('+')));
  },
  download(call: ServerWritableStream<string, string>) {
    for (const letter of call.request) call.write(letter);
    call.end();
  },
  chat(call: ServerDuplexStream<string, string>) {
    call.on('data', (part: string) => call.write(`re: ${part}`));
    call.on('end', () => call.end());
  },
};

describe('a grpc-js server', () => {
  let server: XdsServer;
  let address: Address;
  let served: Served;
  const clients: Client[] = [];

  beforeEach(async () => {
    server = new XdsServer();
    server.addService(ECHO, HANDLERS);
    address = await freeAddress();
    served = serve(server, address);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await served.close();
    server.forceShutdown();
    expect(served.clock.pending).toBe(0);
    expect(served.deadlines.slots).toBe(0);
  });

  function client(options: ChannelOptions = {}, target = `${address.host}:${address.port}`): Client {
    const made = new Client(target, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1, ...options });
    clients.push(made);
    return made;
  }

  /** The answer, or `<code>: <details>`. */
  function unary(from: Client, request: string, metadata = new Metadata(), path = ECHO.unary.path): Promise<string> {
    return new Promise((resolve) => {
      from.makeUnaryRequest(
        path,
        text.requestSerialize,
        text.responseDeserialize,
        request,
        metadata,
        {},
        (error, value) => resolve(error === null ? (value ?? '') : told(error)),
      );
    });
  }
  const told = ({ code, details }: ServiceError): string => `${code}: ${details}`;

  async function all(stream: AsyncIterable<string>): Promise<string[]> {
    const parts: string[] = [];
    try {
      for await (const part of stream) parts.push(part);
    } catch (error) {
      parts.push(told(error as ServiceError));
    }
    return parts;
  }

  const inline = (...routes: readonly ReturnType<typeof route>[]) => ({
    defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table(routes) } }),
  });

  it('serves all four kinds of call', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const from = client();
    expect(await unary(from, 'hi')).toBe('re: hi');
    const uploaded = new Promise((resolve) => {
      const upload = from.makeClientStreamRequest(
        ECHO.upload.path,
        text.requestSerialize,
        text.responseDeserialize,
        (_, value) => resolve(value),
      );
      upload.write('a');
      upload.write('b');
      upload.end();
    });
    expect(await uploaded).toBe('a+b');
    expect(
      await all(
        from.makeServerStreamRequest(ECHO.download.path, text.requestSerialize, text.responseDeserialize, 'xyz'),
      ),
    ).toEqual(['x', 'y', 'z']);
    const chat = from.makeBidiStreamRequest(ECHO.chat.path, text.requestSerialize, text.responseDeserialize);
    chat.write('1');
    chat.write('2');
    chat.end();
    expect(await all(chat)).toEqual(['re: 1', 're: 2']);
  });

  it('calls without a route, or with one that is not for a server, are UNAVAILABLE; so are streams (A36)', async () => {
    served.config.changed(
      listener(
        address,
        inline(route('/test.Echo/Download'), route('/test.Echo/Chat', { kind: 'unservable', reason: 'x' })),
      ),
    );
    await served.serving.ready();
    const from = client();
    expect(await unary(from, 'hi')).toBe('14: no route of this server matches the request');
    expect(
      await all(from.makeServerStreamRequest(ECHO.download.path, text.requestSerialize, text.responseDeserialize, 'x')),
    ).toEqual(['x']);
    const chat = from.makeBidiStreamRequest(ECHO.chat.path, text.requestSerialize, text.responseDeserialize);
    chat.write('1');
    expect(await all(chat)).toEqual([expect.stringMatching(/^14: .*not for a server/)]);
  });

  it('the virtual host is that of :authority, and metadata is matched without what is binary (A28)', async () => {
    const present = (name: string, wanted: boolean) =>
      ({ name, match: { kind: 'present', present: wanted }, invert: false, treatMissingAsEmpty: false }) as const;
    const match = {
      headers: [
        present('x-team', true),
        present('x-blob-bin', false),
        {
          ...present('content-type', true),
          match: { kind: 'exact', value: 'application/grpc', ignoreCase: false },
        } as const,
      ],
    };
    served.config.changed(
      listener(address, {
        defaultFilterChain: chain(
          'c',
          {},
          {
            routes: {
              kind: 'inline',
              config: table([route('/', { kind: 'non_forwarding' }, match)], ['echo.example']),
            },
          },
        ),
      }),
    );
    await served.serving.ready();
    const metadata = new Metadata();
    metadata.set('x-team', 'a');
    metadata.set('x-blob-bin', Buffer.from('b'));
    expect(await unary(client({ 'grpc.default_authority': 'echo.example' }), 'hi', metadata)).toBe('re: hi');
    expect(await unary(client({ 'grpc.default_authority': 'echo.example' }), 'hi')).toMatch(/^14: no route/);
    expect(await unary(client(), 'hi', metadata)).toMatch(/^14: no route/);
  });

  it('a missing RouteConfiguration fails the calls of its chain and not the server; an update applies to the next call (A36)', async () => {
    const to = listener(address, { defaultFilterChain: chain('c', {}, { routes: { kind: 'rds', name: 'r' } }) });
    served.config.changed(to);
    await served.serving.ready();
    const from = client();
    expect(await unary(from, 'hi')).toBe('14: the route configuration of this server cannot be used');
    served.config.changed(to, { r: table([route('/')]) });
    expect(await unary(from, 'hi')).toBe('re: hi');
    expect(served.serving.connections).toBe(1);
    expect(served.modes).toEqual(['SERVING']);
  });

  it('a changed listener: the old connection is told to go, its calls finish, and the next call has the new routes', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const from = client();
    const chat = from.makeBidiStreamRequest(ECHO.chat.path, text.requestSerialize, text.responseDeserialize);
    chat.write('1');
    const parts = chat[Symbol.asyncIterator]();
    expect(await parts.next()).toEqual({ value: 're: 1', done: false });
    served.config.changed(listener(address, inline(route('/test.Echo/Chat'))));
    await until(() => served.serving.connections === 1);
    // The client makes a new connection for it.
    expect(await unary(from, 'hi')).toMatch(/^14: no route/);
    chat.write('2');
    expect(await parts.next()).toEqual({ value: 're: 2', done: false });
    expect(served.serving.connections).toBe(2);
    chat.end();
    expect(await parts.next()).toMatchObject({ done: true });
    await until(() => served.serving.connections === 1);
    expect(served.modes).toEqual(['SERVING']);
  });

  it('calls that outlast the drain grace time are cut off', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const chat = client().makeBidiStreamRequest(ECHO.chat.path, text.requestSerialize, text.responseDeserialize);
    chat.write('1');
    const parts = chat[Symbol.asyncIterator]();
    await parts.next();
    served.config.changed(listener(address, inline(route('/'))));
    await served.clock.advance(600_000);
    await expect(parts.next()).rejects.toMatchObject({ code: 14 });
    await until(() => served.serving.connections === 0);
  });

  it('without its listener it refuses connections, finishes what was started, and serves again when it is back', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const from = client({
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 100,
    });
    const chat = from.makeBidiStreamRequest(ECHO.chat.path, text.requestSerialize, text.responseDeserialize);
    chat.write('1');
    const parts = chat[Symbol.asyncIterator]();
    await parts.next();
    served.config.failed('listener is gone');
    chat.write('2');
    expect(await parts.next()).toEqual({ value: 're: 2', done: false });
    chat.end();
    expect(await parts.next()).toMatchObject({ done: true });
    await until(() => served.serving.connections === 0);
    expect(await unary(from, 'hi')).toMatch(/^14: /);
    served.config.changed(listener(address));
    await served.serving.ready();
    expect(await unary(client(), 'hi')).toBe('re: hi');
  });

  it('chains decide for their connections, calls of the others go on: by source type and by port of the client', async () => {
    const chains = [
      chain('local', { sourceType: 'same_ip_or_loopback' }, { routes: { kind: 'rds', name: 'local' } }),
      chain('all', {}, { routes: { kind: 'rds', name: 'all' } }),
    ];
    served.config.changed(listener(address, { filterChains: chains }), {
      local: table([route('/test.Echo/U')]),
      all: table([]),
    });
    await served.serving.ready();
    expect(await unary(client(), 'hi')).toBe('re: hi');
  });

  it('max_stream_duration ends a call with DEADLINE_EXCEEDED, and its handler hears that it is cancelled', async () => {
    const cancelled = new Promise<void>((resolve) => {
      server.removeService(ECHO);
      server.addService(ECHO, {
        ...HANDLERS,
        unary(call: ServerUnaryCall<string, string>, reply: sendUnaryData<string>) {
          call.on('cancelled', () => {
            resolve();
            reply(null, 'too late');
          });
        },
        download(call: ServerWritableStream<string, string>) {
          call.write('begun');
          call.on('cancelled', () => call.write('too late'));
        },
      });
    });
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { maxStreamDurationMs: 1_000 }) }));
    await served.serving.ready();
    const from = client();
    const answer = unary(from, 'hi');
    const download = from.makeServerStreamRequest(
      ECHO.download.path,
      text.requestSerialize,
      text.responseDeserialize,
      'x',
    );
    const parts = all(download);
    await until(() => served.deadlines.slots > 0);
    await new Promise((resolve) => download.once('data', resolve));
    await served.clock.advance(1_004);
    expect(await answer).toBe('4: the call took longer than max_stream_duration');
    expect(await parts).toContain('4: the call took longer than max_stream_duration');
    await cancelled;
  });

  it('handlers and the interceptors of the application see only calls that are served, under the limit as their deadline', async () => {
    await served.close();
    const seen: string[] = [];
    const deadlines: number[] = [];
    server = new XdsServer({
      interceptors: [
        meshServerInterceptor({ clock: served.clock }),
        (descriptor, call) => {
          const onReceiveMetadata = (metadata: Metadata, forward: (metadata: Metadata) => void): void => {
            seen.push(descriptor.path);
            forward(metadata);
          };
          return new ServerInterceptingCall(call, { start: (next) => next({ onReceiveMetadata }) });
        },
      ],
    });
    server.addService(ECHO, {
      ...HANDLERS,
      unary(call: ServerUnaryCall<string, string>, reply: sendUnaryData<string>) {
        deadlines.push(Number(call.getDeadline()), ambient()?.deadline ?? 0);
        reply(null, 'ok');
      },
    });
    served = serve(server, address);
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { maxStreamDurationMs: 1_000 }) }));
    await served.serving.ready();
    expect(await unary(client(), 'hi')).toBe('ok');
    // The wall time that grpc-js speaks, and the monotonic one for the calls that the handler makes.
    expect(deadlines).toEqual([served.clock.wallTime() + 1_000, served.clock.now() + 1_000]);
    served.config.changed(listener(address, inline()));
    expect(await unary(client(), 'hi')).toMatch(/^14: /);
    expect(seen).toEqual([ECHO.unary.path]);
  });

  it('two addresses, each with its own configuration (A36: configuration is per address)', async () => {
    const other = await freeAddress('::1');
    const second = serve(server, other);
    served.config.changed(listener(address, inline(route('/'))));
    second.config.changed(listener(other, inline()));
    await Promise.all([served.serving.ready(), second.serving.ready()]);
    expect(second.config.addresses).toEqual([other]);
    expect(await unary(client(), 'hi')).toBe('re: hi');
    expect(await unary(client({}, `[::1]:${other.port}`), 'hi')).toMatch(/^14: no route/);
    await second.close();
    expect(await unary(client(), 'hi')).toBe('re: hi');
  });

  it('tryShutdown ends the serving and waits for calls; forceShutdown does not wait', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const from = client();
    const chat = from.makeBidiStreamRequest(ECHO.chat.path, text.requestSerialize, text.responseDeserialize);
    chat.write('1');
    const parts = chat[Symbol.asyncIterator]();
    await parts.next();
    let down = false;
    const shutdown = new Promise<void>((resolve) =>
      server.tryShutdown(() => {
        down = true;
        resolve();
      }),
    );
    await until(() => served.config.watchers.size === 0);
    expect(await unary(client(), 'hi')).toMatch(/^14: /);
    expect(down).toBe(false);
    server.forceShutdown();
    // As from a server that is bound.
    await expect(parts.next()).rejects.toMatchObject({ code: 1 });
    await shutdown;
    expect(served.serving.connections).toBe(0);
  });

  it('is not bound by itself, and a server of grpc-js itself is not served: calls would go by no routes', () => {
    expect(() => (server as Server).bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), () => {})).toThrow(
      'mesh.serve',
    );
    expect(() => serve(new Server() as never, address)).toThrow('an XdsServer');
  });
});
