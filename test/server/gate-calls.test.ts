import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallerOf } from '../../src/server/caller.js';
import type { InboundOptions } from '../../src/server/inbound.js';
import { type TestMesh, testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { EchoGrpc, FRAMEWORKS } from '../support/inbound-servers.js';

/** Calls that a gate makes for a request before its handler runs: to find out who makes it, say. */

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const HEADERS = {
  'inmesh-timeout-ms': '5000',
  'inmesh-priority': 'batch',
  traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
  baggage: 'user=7',
};

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Start = (handled: () => unknown, options: InboundOptions) => Promise<Ask>;
/** Asks with the headers above; the signal leaves. */
type Ask = (signal?: AbortSignal) => Promise<unknown>;

const overHttp =
  (framework: (typeof FRAMEWORKS)[string]): Start =>
  async (handled, options) => {
    const { port, close } = await framework(handled, options);
    closing.push(close);
    return (signal) =>
      fetch(`http://127.0.0.1:${port}/`, { headers: HEADERS, ...(signal === undefined ? {} : { signal }) });
  };

const overGrpc: Start = async (handled, options) => {
  const server = await EchoGrpc.start(handled, options);
  closing.push(() => server.close());
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(HEADERS)) metadata.set(name, value);
  return (signal) => server.unary(metadata, (call) => signal?.addEventListener('abort', () => call.cancel()));
};

const SERVERS: Record<string, Start> = {
  ...Object.fromEntries(Object.entries(FRAMEWORKS).map(([name, framework]) => [name, overHttp(framework)])),
  'grpc-js': overGrpc,
};

describe.each(Object.entries(SERVERS))('%s: a call that a gate makes', (_, start) => {
  const limits = { requests: 100, perMs: 1_000 };

  function meshWith(auth: () => Promise<Response>) {
    const clock = new FakeClock();
    const mesh = testMesh({ clock, services: { auth, reviews: () => new Response('ok') } });
    closing.push(() => mesh.close());
    return { clock, mesh };
  }
  const about = (mesh: TestMesh, path: string) => {
    const { call } = mesh.requests.find((request) => request.call.path === path) ?? {};
    const { 'inmesh-timeout-ms': left, 'inmesh-priority': priority, traceparent, baggage } = call?.headers ?? {};
    return { left: Number(left), priority, trace: String(traceparent).slice(3, 35), baggage };
  };

  test('gets what remains of the request’s time, its trace, its baggage and its priority', async () => {
    const { clock, mesh } = meshWith(async () => {
      await clock.advance(1_000);
      return new Response('ok');
    });
    const caller: CallerOf = async () => {
      await mesh.fetch('http://auth/gate');
      await mesh.fetch('http://reviews/gate-after');
      return { principal: 'x' };
    };
    const ask = await start(() => mesh.fetch('http://reviews/handler'), { clock, mesh, limits, caller });
    await ask();
    const [gate, after, handler] = ['/gate', '/gate-after', '/handler'].map((path) => about(mesh, path));
    expect(gate).toEqual({ left: expect.any(Number), priority: 'batch', trace: TRACE, baggage: 'user=7' });
    expect(gate?.left).toBeGreaterThan(4_000);
    expect(gate?.left).toBeLessThanOrEqual(5_000);
    // As much less as the first has taken, and what is kept back is no more for the handler.
    expect(after).toEqual({ ...gate, left: (gate?.left ?? 0) - 1_000 });
    expect(handler).toEqual(after);
  });

  test('ends when the request’s client leaves', async () => {
    let reached: () => void = () => {};
    const here = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const { clock, mesh } = meshWith(() => {
      reached();
      return new Promise(() => {});
    });
    let handled = 0;
    let failed: (error: unknown) => void = () => {};
    const failure = new Promise((resolve) => {
      failed = resolve;
    });
    const caller: CallerOf = () => mesh.fetch('http://auth/').then(() => undefined, failed) as Promise<undefined>;
    const ask = await start(() => handled++, { clock, mesh, limits, caller });
    const leaving = new AbortController();
    const asked = ask(leaving.signal);
    asked.catch(() => {});
    await here;
    leaving.abort();
    expect(await failure).toMatchObject({ code: 'CANCELLED' });
    await expect(asked).rejects.toThrow();
    expect(handled).toBe(0);
  });
});
