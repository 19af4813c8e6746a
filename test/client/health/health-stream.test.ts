import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrame } from '../../../src/client/grpc/framing.js';
import { openHealthStream } from '../../../src/client/health/health-stream.js';
import { StreamBody } from '../../../src/core/body.js';
import { headerFields } from '../../../src/core/headers.js';
import { type Reply, ReplyEnding } from '../../../src/core/reply.js';
import type { Transport } from '../../../src/core/transport.js';
import { ConnectError, ConnectionLostError } from '../../../src/client/transport/errors.js';
import { GOOD_END } from '../../support/calls.js';
import { settle } from '../../support/fake-clock.js';

const request = { method: 'Watch', service: '', authority: 'reviews', scheme: 'http', timeoutMs: undefined } as const;

/** A stream over a transport in memory, whose reply the test writes. */
async function stream(headers: Record<string, string> = {}, status = 200) {
  const ending = new ReplyEnding();
  const body = new StreamBody({ resume() {}, cancel() {} });
  const reply: Reply = { status, headers: headerFields(headers), body, onEnd: (listener) => ending.onEnd(listener) };
  let cancelled = 0;
  const transport: Transport = {
    connections: 1,
    call: (call) => {
      call.cancellation.add(() => void cancelled++);
      return Promise.resolve(reply);
    },
    connect: async () => {},
    close: async () => {},
  };
  const heard: (number | string)[] = [];
  const cancel = openHealthStream(transport, request, {
    message: (each) => void heard.push(each),
    ended: (code, detail, network) => void heard.push(`${code}${network ? ' network' : ''} ${detail}`.trim()),
  });
  await settle();
  return {
    body,
    heard,
    cancel,
    end: (grpcStatus?: number, error?: ConnectionLostError) =>
      ending.settle({
        ...GOOD_END,
        error,
        trailers:
          grpcStatus === undefined
            ? undefined
            : headerFields({ 'grpc-status': String(grpcStatus), 'grpc-message': 'because%20so' }),
      }),
    get cancelled() {
      return cancelled;
    },
  };
}

const serving = encodeFrame(Uint8Array.of(8, 1), false);

describe('a health stream', () => {
  test('tells of messages as they come, and of the status at the end', async () => {
    const s = await stream();
    s.body.write(serving.subarray(0, 3));
    s.body.write(serving.subarray(3));
    s.body.write(Buffer.concat([encodeFrame(Uint8Array.of(8, 2), false), encodeFrame(new Uint8Array(0), false)]));
    s.end(5);
    expect(s.heard).toEqual([1, 2, 0, '5 because so']);
  });

  test('a compressed message, and one that is too long, are refused, and the stream is cancelled', async () => {
    for (const bytes of [encodeFrame(Uint8Array.of(8, 1), true), encodeFrame(new Uint8Array(5_000), false)]) {
      const s = await stream();
      s.body.write(bytes);
      s.body.write(serving);
      s.end(0);
      expect(s.heard).toHaveLength(1);
      expect(s.heard[0]).toMatch(/^13 /);
      expect(s.cancelled).toBe(1);
    }
  });

  test('a lost connection is of the network; a reply without a status is the server’s word', async () => {
    const lost = await stream();
    lost.end(undefined, new ConnectionLostError('a', 'gone', 'yes'));
    expect(lost.heard).toEqual(['14 network connection to a was lost: gone']);
    const proxy = await stream({}, 404);
    proxy.end();
    // grpc/doc/http-grpc-status-mapping.md
    expect(proxy.heard).toEqual(['12 HTTP status 404 without a gRPC status']);
  });

  test('a status in the head ends it (trailers-only)', async () => {
    const s = await stream({ 'grpc-status': '12' });
    s.end();
    expect(s.heard).toEqual(['12']);
  });

  test('nothing is heard after it was cancelled', async () => {
    const s = await stream();
    s.cancel();
    s.body.write(serving);
    s.end(0);
    expect(s.heard).toEqual([]);
    expect(s.cancelled).toBe(1);
  });

  test('nobody there is of the network', async () => {
    const transport: Transport = {
      connections: 0,
      call: () => Promise.reject(new ConnectError('a', 'refused')),
      connect: async () => {},
      close: async () => {},
    };
    const heard: unknown[] = [];
    openHealthStream(transport, request, {
      message() {},
      ended: (code, detail, network) => void heard.push([code, detail, network]),
    });
    await settle();
    expect(heard).toEqual([[14, 'cannot connect to a: refused', true]]);
  });

  test('whatever comes, it ends once, and nothing follows the end', () => {
    const chunk = fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.constant(new Uint8Array(serving)));
    return fc.assert(
      fc.asyncProperty(
        fc.array(chunk, { maxLength: 10 }),
        fc.option(fc.nat(20), { nil: undefined }),
        async (chunks, status) => {
          const s = await stream();
          for (const each of chunks) s.body.write(each);
          s.end(status);
          s.end(0);
          expect(s.heard.filter((each) => typeof each === 'string')).toHaveLength(1);
          expect(typeof s.heard.at(-1)).toBe('string');
        },
      ),
      { numRuns: 300 },
    );
  });
});
