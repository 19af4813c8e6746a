import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call, CallInit } from '../../../src/core/call.js';
import type { MeshError } from '../../../src/core/errors.js';
import type { TransportOptions } from '../../../src/core/transport.js';
import { aCall } from '../../support/calls.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { answering, failureOf, type RunningHttp, textOf, transportTo, until } from '../../support/http1-fixture.js';

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/**
 * A server that answers the first `kept` requests of a connection, and closes it when it sees the next: what a client sees whose request crossed with
 * the end of an idle connection, but every time. `heads` are the requests that came whole, `answered` those that were served.
 */
async function racing(kept: (connection: number) => number, how: (socket: Socket) => void) {
  const counts = new Map<Socket, number>();
  const numbers = new Map<Socket, number>();
  const heads: string[] = [];
  let answered = 0;
  const server: RunningHttp = await answering((socket, head) => {
    heads.push(head.split(' HTTP', 1)[0] as string);
    if (!numbers.has(socket)) numbers.set(socket, numbers.size);
    const count = (counts.get(socket) ?? 0) + 1;
    counts.set(socket, count);
    if (count > kept(numbers.get(socket) as number)) return how(socket);
    answered++;
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  });
  open.push(() => server.close());
  return { server, heads, answered: () => answered };
}

async function calls(
  port: number,
  inits: readonly Partial<CallInit>[],
  more: Partial<TransportOptions> = {},
  prepare: (call: Call) => void = () => {},
) {
  const { transport, limits } = transportTo(port, more);
  open.push(() => transport.close(true));
  const outcomes: string[] = [];
  for (const init of inits) {
    const call = aCall(init);
    prepare(call);
    const outcome = await transport.call(call).then(
      ({ body }) => textOf(body),
      (error: MeshError) => `${error.code} ${error.reached}`,
    );
    outcomes.push(outcome);
    // undici frees the connection in the turn after the last byte.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { outcomes, limits, transport };
}

const once = () =>
  racing(
    (connection) => (connection === 0 ? 1 : 100),
    (socket) => socket.destroy(),
  );

describe('a pooled connection that the server closes as it is reused', () => {
  test.each<[string, (socket: Socket) => void]>([
    ['ended', (socket) => void socket.end()],
    ['reset', (socket) => void socket.resetAndDestroy()],
  ])('costs an idempotent call nothing, however it was closed: %s', async (_, how) => {
    const { server, heads } = await racing((connection) => (connection === 0 ? 1 : 100), how);
    const { outcomes } = await calls(server.port, [{}, {}]);
    expect(outcomes).toEqual(['ok', 'ok']);
    expect(heads).toEqual(['GET /', 'GET /', 'GET /']);
    expect(server.accepted()).toBe(2);
  });

  test('costs a call with a body that is all there nothing: it is sent again whole', async () => {
    const { server, heads } = await once();
    const { outcomes } = await calls(server.port, [{}, { method: 'PUT', body: new BytesBody(Buffer.from('abc')) }]);
    expect(outcomes).toEqual(['ok', 'ok']);
    expect(heads[2]?.endsWith('PUT /')).toBe(true);
  });

  test('fails a POST, which may have been done, and not one that the application calls idempotent', async () => {
    const first = await once();
    expect((await calls(first.server.port, [{}, { method: 'POST' }])).outcomes).toEqual([
      'ok',
      'CONNECTION_LOST maybe',
    ]);
    const second = await once();
    const { outcomes } = await calls(second.server.port, [{}, { method: 'POST', idempotent: true }]);
    expect(outcomes).toEqual(['ok', 'ok']);
  });

  test('costs a POST nothing whose route has lost calls of every method sent again', async () => {
    const { server } = await once();
    const { outcomes } = await calls(server.port, [{}, { method: 'POST' }], {}, (call) => {
      call.resendable = true;
    });
    expect(outcomes).toEqual(['ok', 'ok']);
  });

  test('fails a GET that the application calls not idempotent', async () => {
    const { server } = await once();
    const { outcomes } = await calls(server.port, [{}, { idempotent: false }]);
    expect(outcomes).toEqual(['ok', 'CONNECTION_LOST maybe']);
  });

  test('is told from a fresh one that the server closes: that is no race', async () => {
    const { server, heads } = await racing(
      () => 0,
      (socket) => socket.destroy(),
    );
    const { outcomes } = await calls(server.port, [{}]);
    expect(outcomes).toEqual(['CONNECTION_LOST maybe']);
    expect(heads).toHaveLength(1);
  });

  test('has the call sent once more, and not again', async () => {
    const { server, heads } = await racing(
      (connection) => (connection === 0 ? 1 : 0),
      (socket) => socket.destroy(),
    );
    const { outcomes } = await calls(server.port, [{}, {}]);
    expect(outcomes).toEqual(['ok', 'CONNECTION_LOST maybe']);
    expect(heads).toHaveLength(3);
  });

  test('has the call go out on a new connection, though others lie idle', async () => {
    const { server } = await racing(
      (connection) => (connection < 2 ? 1 : 100),
      (socket) => socket.destroy(),
    );
    const { transport } = await calls(server.port, []);
    const two = await Promise.all([transport.call(aCall()), transport.call(aCall())]);
    for (const { body } of two) await textOf(body);
    await until(() => transport.connections === 2);
    expect(await textOf((await transport.call(aCall())).body)).toBe('ok');
    expect(server.accepted()).toBe(3);
  });

  test('has the call wait for the place of the one that was closed, where only one is allowed', async () => {
    const { server } = await once();
    const limits = new CountingLimits(1);
    const { outcomes } = await calls(server.port, [{}, {}], { limits });
    expect(outcomes).toEqual(['ok', 'ok']);
    expect(limits.open).toBe(1);
  });

  test('fails a streamed upload: nobody has its bytes any more', async () => {
    const { server } = await once();
    const body = new StreamBody({ resume() {}, cancel() {} });
    body.write(Buffer.from('abc'));
    body.end();
    const { outcomes } = await calls(server.port, [{}, { method: 'PUT', body }]);
    expect(outcomes[1]).toMatch(/^CONNECTION_LOST/);
  });

  test.each([
    ['2', 2, 'would end before the next request is sure to come'],
    ['60', 1, 'leaves time'],
  ])(
    'is not used again when its Keep-Alive: timeout=%s makes that likely (%i connections: it %s)',
    async (seconds, connections) => {
      const server = await answering((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nkeep-alive: timeout=${seconds}\r\ncontent-length: 2\r\n\r\nok`);
      });
      open.push(() => server.close());
      expect((await calls(server.port, [{}, {}])).outcomes).toEqual(['ok', 'ok']);
      expect(server.accepted()).toBe(connections);
    },
  );

  test('does not keep a call alive that its caller has given up', async () => {
    const { server } = await racing(
      (connection) => (connection === 0 ? 1 : 100),
      () => {},
    );
    const { transport } = await calls(server.port, [{}]);
    const call = aCall();
    const failing = failureOf<MeshError>(transport.call(call));
    await until(() => server.sockets.size === 1);
    await transport.close(true);
    expect((await failing).code).toBe('CONNECTION_LOST');
    expect(server.accepted()).toBe(1);
  });
});
