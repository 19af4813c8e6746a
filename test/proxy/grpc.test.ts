import { once } from 'node:events';
import {
  type Client,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { Service } from '../../src/core/service.js';
import { Cleanup, deferred, proxyFor, serviceTo } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() };
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Words/${name}`,
  requestStream,
  responseStream,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
});
const definition = {
  upper: method('Upper', false, false),
  join: method('Join', true, false),
  split: method('Split', false, true),
  chat: method('Chat', true, true),
  sleep: method('Sleep', false, false),
} satisfies ServiceDefinition;
const Words = makeGenericClientConstructor(definition, 'Words');

const implementation = {
  upper(call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) {
    if (call.request === 'fail') {
      const details = new Metadata();
      details.set('why', 'asked');
      return done({ code: status.FAILED_PRECONDITION, details: 'not todäy %', metadata: details });
    }
    const trailer = new Metadata();
    trailer.set('length', String(call.request.length));
    call.sendMetadata(call.metadata);
    done(null, call.request.toUpperCase(), trailer);
  },
  async join(call: ServerReadableStream<string, string>, done: sendUnaryData<string>) {
    const words: string[] = [];
    for await (const word of call) words.push(word as string);
    done(null, words.join(' '));
  },
  split(call: ServerWritableStream<string, string>) {
    for (const word of call.request.split(' ')) call.write(word);
    call.end();
  },
  chat(call: ServerDuplexStream<string, string>) {
    call.on('data', (word: string) => call.write(`${word}!`));
    call.on('end', () => call.end());
  },
  sleep(call: ServerUnaryCall<string, string>) {
    call.on('cancelled', () => asleep.resolve());
  },
};
let asleep = deferred<void>();

/** A grpc-js server, the proxy in front of it, and a grpc-js client of the proxy: nothing of it ours but the middle. */
async function words(wrap: (service: Service) => Service = (service) => service) {
  const server = cleanup.add(new Server(), (it) => it.forceShutdown());
  server.addService(definition, implementation as never);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const proxy = await proxyFor(cleanup, wrap(serviceTo(port, cleanup, 'http2')));
  const client = new Words(`127.0.0.1:${proxy.port}`, credentials.createInsecure()) as Client &
    Record<string, (...args: unknown[]) => never>;
  return cleanup.add(client, (it) => it.close());
}

describe('a gRPC client of the proxy', () => {
  test('makes a unary call with metadata, trailers and a deadline', async () => {
    const authorities: string[] = [];
    const client = await words((next) => (call) => {
      authorities.push(`${call.protocol} ${call.path}`);
      expect(call.timeoutMs).toBeGreaterThan(0);
      return next(call);
    });
    const metadata = new Metadata();
    metadata.set('x-one', '1');
    metadata.set('x-raw-bin', Buffer.from([0, 255]));
    const answer = deferred<string>();
    const call = client.upper?.(
      'hello',
      metadata,
      { deadline: Date.now() + 60_000 },
      (error: Error | null, value: string) => (error ? answer.reject(error) : answer.resolve(value)),
    ) as unknown as NodeJS.EventEmitter;
    const head = once(call, 'metadata') as Promise<[Metadata]>;
    const end = once(call, 'status') as Promise<[{ metadata: Metadata }]>;
    expect(await answer.promise).toBe('HELLO');
    expect((await head)[0].get('x-one')).toEqual(['1']);
    expect((await head)[0].get('x-raw-bin')).toEqual([Buffer.from([0, 255])]);
    expect((await end)[0].metadata.get('length')).toEqual(['5']);
    expect(authorities).toEqual(['grpc /test.Words/Upper']);
  });

  test('gets status, message and trailing metadata of a call that the server failed', async () => {
    const client = await words();
    const failure = await new Promise<{ code: number; details: string; metadata: Metadata }>((resolve) => {
      client.upper?.('fail', (error: never) => resolve(error));
    });
    expect(failure).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'not todäy %' });
    expect(failure.metadata.get('why')).toEqual(['asked']);
  });

  test('streams to the server, from it, and both ways', async () => {
    const client = await words();
    const joined = deferred<string>();
    const upload = client.join?.((_error: Error | null, value: string) =>
      joined.resolve(value),
    ) as unknown as NodeJS.WritableStream;
    for (const word of ['a', 'b', 'c']) upload.write(word);
    upload.end();
    expect(await joined.promise).toBe('a b c');

    const download = client.split?.('a b c') as unknown as AsyncIterable<string>;
    const parts: string[] = [];
    for await (const part of download) parts.push(part);
    expect(parts).toEqual(['a', 'b', 'c']);

    const chat = client.chat?.() as unknown as NodeJS.ReadWriteStream;
    for (const word of ['ping', 'pong']) {
      chat.write(word as never);
      expect(await once(chat, 'data')).toEqual([`${word}!`]);
    }
    chat.end();
    await once(chat, 'end');
  });

  test('carries megabytes both ways', async () => {
    const client = await words();
    const large = 'x'.repeat(3_000_000);
    const value = await new Promise((resolve) =>
      client.upper?.(large, (_error: unknown, answer: string) => resolve(answer)),
    );
    expect(value).toBe(large.toUpperCase());
  });

  test('cancels the call at the server when it cancels', async () => {
    asleep = deferred<void>();
    const called = deferred<void>();
    const client = await words((next) => (call) => {
      called.resolve();
      return next(call);
    });
    const failure = deferred<{ code: number }>();
    const call = client.sleep?.('', (error: { code: number }) => failure.resolve(error)) as unknown as {
      cancel(): void;
    };
    await called.promise;
    call.cancel();
    expect((await failure.promise).code).toBe(status.CANCELLED);
  });
});
