import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Ambient, ambient } from '../../src/core/ambient.js';
import { systemClock } from '../../src/core/clock.js';
import { meshServerInterceptor } from '../../src/server/grpc.js';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const text = (value: string): Buffer => Buffer.from(value);
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: text,
  requestDeserialize: String,
  responseSerialize: text,
  responseDeserialize: String,
});
const definition = {
  unary: method('unary', false, false),
  bidi: method('bidi', true, true),
  hang: method('hang', false, false),
};

const seen: (Ambient | undefined)[] = [];
let server: grpc.Server;
let client: grpc.Client;
let hanging: (context: Ambient | undefined) => void = () => {};

beforeEach(async () => {
  seen.length = 0;
  server = new grpc.Server({ interceptors: [meshServerInterceptor()] });
  server.addService(definition, {
    async unary(_call: unknown, callback: grpc.sendUnaryData<string>) {
      await Promise.resolve();
      seen.push(ambient());
      callback(null, 'ok');
    },
    bidi(call: grpc.ServerDuplexStream<string, string>) {
      seen.push(ambient());
      call.on('data', (message: string) => {
        seen.push(ambient());
        call.write(message);
      });
      call.on('end', () => {
        seen.push(ambient());
        call.end();
      });
    },
    hang: () => hanging(ambient()),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
});

afterEach(() => {
  client.close();
  server.forceShutdown();
});

function metadata(): grpc.Metadata {
  const sent = new grpc.Metadata();
  sent.set('traceparent', TRACEPARENT);
  sent.set('tracestate', 'vendor=1');
  sent.set('baggage', 'user=7');
  return sent;
}

const unary = (name: 'unary' | 'hang', options: grpc.CallOptions = {}) => {
  const { path } = definition[name];
  let call: grpc.ClientUnaryCall | undefined;
  const done = new Promise<string | undefined>((resolve, reject) => {
    call = client.makeUnaryRequest(path, text, String, 'x', metadata(), options, (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
  return { done, cancel: () => call?.cancel() };
};

describe('a grpc-js handler runs inside the context of its call', () => {
  test('unary, with what is left of the deadline', async () => {
    const before = systemClock.now();
    await unary('unary', { deadline: new Date(Date.now() + 60_000) }).done;
    expect(seen[0]).toMatchObject({ traceparent: TRACEPARENT, tracestate: 'vendor=1', baggage: 'user=7' });
    // Not a measurement: it must be a moment of the monotonic clock, not of the wall.
    expect(Math.abs((seen[0]?.deadline ?? 0) - before - 60_000)).toBeLessThan(30_000);
  });

  test('without a deadline when the caller set none', async () => {
    await unary('unary').done;
    expect(seen[0]?.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test('streaming, for every message and at the end', async () => {
    const { path } = definition.bidi;
    const call = client.makeBidiStreamRequest<string, string>(path, text, String, metadata());
    call.write('a');
    call.write('b');
    call.end();
    const got: string[] = [];
    for await (const message of call) got.push(message as string);
    expect(got).toEqual(['a', 'b']);
    expect(seen.length).toBe(4);
    for (const context of seen) expect(context?.traceparent).toBe(TRACEPARENT);
  });
});

describe('cancellation', () => {
  test('fires when the caller cancels', async () => {
    const arrived = new Promise<Ambient | undefined>((resolve) => {
      hanging = resolve;
    });
    const call = unary('hang');
    const context = await arrived;
    const reason = new Promise((resolve) => context?.cancellation?.add(resolve));
    const cancelled = expect(call.done).rejects.toMatchObject({ code: grpc.status.CANCELLED });
    call.cancel();
    expect(await reason).toMatchObject({ code: 'CANCELLED' });
    await cancelled;
  });

  test('does not fire once the call was answered', async () => {
    await unary('unary').done;
    client.close();
    await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    expect(seen[0]?.cancellation?.cancelled).toBe(false);
  });
});
