import { channel } from 'node:diagnostics_channel';
import * as grpc from '@grpc/grpc-js';
import express from 'express';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { meshMiddleware } from '../../src/server/express.js';
import { Inbound, type InboundOptions } from '../../src/server/inbound.js';
import { testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { EchoGrpc, FRAMEWORKS, listening } from '../support/inbound-servers.js';

/** Every request that expired buys this one its refusal: no share stands in the way. */
const ENFORCE = { mode: 'enforce', maxShare: 1 } as const;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** What middleware tells the mesh. */
function heard() {
  const events: MeshEvent[] = [];
  return { events, mesh: { meter: { ...noMeter, event: (event: MeshEvent) => void events.push(event) } } };
}

describe.each(Object.entries(FRAMEWORKS))('%s: a request whose time is up', (_, framework) => {
  async function start(handled: () => void, options: InboundOptions): Promise<number> {
    const { port, close } = await framework(handled, options);
    closing.push(close);
    return port;
  }
  const ask = (port: number, ms: number): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers: { 'inmesh-timeout-ms': String(ms) }, body: 'x' });

  test('is answered 504 without its handler, and told of, when that is enforced', async () => {
    const { events, mesh } = heard();
    let handled = 0;
    const port = await start(() => handled++, { mesh, expired: ENFORCE });
    const response = await ask(port, 0);
    expect([response.status, response.headers.get('mesh-error')]).toEqual([504, 'MD']);
    expect(await response.json()).toMatchObject({ code: 'DEADLINE_EXCEEDED', origin: 'mesh' });
    expect([handled, events]).toEqual([0, [{ kind: 'deadline:expired', protocol: 'http', refused: true }]]);
    // The connection goes on, for requests that are waited for.
    expect(await (await ask(port, 60_000)).text()).toBe('ok');
    expect([handled, events.length]).toEqual([1, 1]);
  });

  test('is answered 504 without its handler too when its time ran out while a gate waited', async () => {
    const { events, mesh } = heard();
    const clock = new FakeClock();
    let handled = 0;
    const caller = async () => {
      await clock.advance(60);
      return {};
    };
    const port = await start(() => handled++, { clock, mesh, expired: ENFORCE, caller });
    expect([(await ask(port, 61)).status, (await ask(port, 60)).status]).toEqual([200, 504]);
    expect([handled, events]).toEqual([1, [{ kind: 'deadline:expired', protocol: 'http', refused: true }]]);
  });

  test('is served and told of otherwise', async () => {
    const { events, mesh } = heard();
    let handled = 0;
    const port = await start(() => handled++, { mesh });
    expect(await (await ask(port, 0)).text()).toBe('ok');
    // When the answer is out, and no later middleware has refused it.
    await vi.waitFor(() => expect(events).not.toEqual([]));
    expect([handled, events]).toEqual([1, [{ kind: 'deadline:expired', protocol: 'http', refused: false }]]);
  });
});

describe('grpc-js: a call whose time is up', () => {
  async function start(handled: () => void, options: InboundOptions): Promise<EchoGrpc> {
    const server = await EchoGrpc.start(handled, options);
    closing.push(() => server.close());
    return server;
  }

  function withTimeLeft(ms: number): grpc.Metadata {
    const metadata = new grpc.Metadata();
    metadata.set('inmesh-timeout-ms', String(ms));
    return metadata;
  }

  const unary = (server: EchoGrpc, metadata: grpc.Metadata): Promise<string | undefined> => server.unary(metadata);

  test('ends with DEADLINE_EXCEEDED without its handler when that is enforced, unary and streaming', async () => {
    const { events, mesh } = heard();
    let handled = 0;
    const client = await start(() => handled++, { mesh, expired: ENFORCE });
    await expect(unary(client, withTimeLeft(0))).rejects.toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
    const stream = client.bidi(withTimeLeft(0));
    stream.on('data', () => {});
    stream.write('x');
    const code = await new Promise((resolve) =>
      stream.on('error', (error) => resolve((error as grpc.ServiceError).code)),
    );
    expect(code).toBe(grpc.status.DEADLINE_EXCEEDED);
    expect(handled).toBe(0);
    expect(events).toEqual(Array(2).fill({ kind: 'deadline:expired', protocol: 'grpc', refused: true }));
    expect(await unary(client, withTimeLeft(60_000))).toBe('ok');
  });

  test('ends with DEADLINE_EXCEEDED without its handler too when its time ran out while a gate waited', async () => {
    const clock = new FakeClock();
    let handled = 0;
    const caller = async () => {
      await clock.advance(60);
      return {};
    };
    const client = await start(() => handled++, { clock, expired: ENFORCE, caller });
    expect(await unary(client, withTimeLeft(61))).toBe('ok');
    await expect(unary(client, withTimeLeft(60))).rejects.toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
    expect(handled).toBe(1);
  });

  test('is served and told of otherwise', async () => {
    const { events, mesh } = heard();
    const client = await start(() => {}, { mesh });
    expect(await unary(client, withTimeLeft(0))).toBe('ok');
    await vi.waitFor(() => expect(events).not.toEqual([]));
    expect(events).toEqual([{ kind: 'deadline:expired', protocol: 'grpc', refused: false }]);
  });
});

test('a body that was long in coming: the time is looked at again before the handler runs', async () => {
  const clock = new FakeClock();
  const { events, mesh } = heard();
  let handled = 0;
  const app = express();
  const middleware = meshMiddleware({ clock, mesh, expired: ENFORCE });
  app.use(middleware);
  app.use((_req, _res, next) => void clock.advance(60).then(() => next()));
  app.use(middleware);
  app.use((_req, res) => {
    handled++;
    res.end();
  });
  const { port, close } = await listening(app);
  closing.push(close);
  const ask = async (ms: number) =>
    (await fetch(`http://127.0.0.1:${port}/`, { headers: { 'inmesh-timeout-ms': String(ms) } })).status;
  expect([await ask(61), await ask(60), handled, events.length]).toEqual([200, 504, 1, 1]);
});

describe('no more than a share is refused', () => {
  const inbound = (clock: FakeClock, options: InboundOptions['expired'], events: MeshEvent[] = []) =>
    new Inbound({
      clock,
      mesh: { meter: { ...noMeter, event: (event) => void events.push(event) } },
      ...(options === undefined ? {} : { expired: options }),
    });
  const offer = (gate: Inbound, ms: number): boolean => {
    const context = gate.context({ 'inmesh-timeout-ms': String(ms) }, 'http');
    const refused = gate.refusal(context, 'http') !== undefined;
    context.over();
    return refused;
  };

  test('one of five by default, though all have expired', () => {
    const events: MeshEvent[] = [];
    const gate = inbound(new FakeClock(), 'enforce', events);
    const refused = Array.from({ length: 100 }, () => offer(gate, 0));
    expect(refused.filter(Boolean).length).toBe(20);
    expect(refused.slice(0, 5)).toEqual([false, false, false, false, true]);
    expect(events.filter((event) => event.kind === 'deadline:expired' && event.refused).length).toBe(20);
    expect(events.length).toBe(100);
  });

  test('of the last ten seconds: requests of before buy nothing', async () => {
    const clock = new FakeClock();
    const gate = inbound(clock, 'enforce');
    for (let i = 0; i < 100; i++) offer(gate, 1_000);
    await clock.advance(11_000);
    expect(Array.from({ length: 4 }, () => offer(gate, 0))).toEqual([false, false, false, false]);
  });

  test('whatever comes when: never more than the share of what came in the same ten seconds and those before', async () => {
    const arrivals = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 4_000 }), expired: fc.boolean() }), {
      minLength: 1,
      maxLength: 200,
    });
    await fc.assert(
      fc.asyncProperty(arrivals, fc.constantFrom(0.05, 0.2, 0.5, 1), async (sequence, maxShare) => {
        const clock = new FakeClock();
        const gate = inbound(clock, { mode: 'enforce', maxShare });
        const log: { at: number; refused: boolean }[] = [];
        for (const { afterMs, expired } of sequence) {
          await Promise.resolve();
          if (afterMs > 0) await clock.advance(afterMs);
          const refused = offer(gate, expired ? 0 : 1_000);
          log.push({ at: clock.now(), refused });
          expect(refused && !expired).toBe(false);
          const ago = (ms: number) => log.filter(({ at }) => at > clock.now() - ms);
          expect(ago(10_000).filter((one) => one.refused).length).toBeLessThanOrEqual(
            maxShare * ago(20_000).length + 1e-9,
          );
        }
      }),
      { numRuns: 30 },
    );
  });

  test('none in audit mode, and none when the share is 0', () => {
    for (const options of ['audit', { mode: 'enforce', maxShare: 0 }] as const) {
      const gate = inbound(new FakeClock(), options);
      expect(Array.from({ length: 50 }, () => offer(gate, 0))).not.toContain(true);
    }
  });
});

test.each([
  [{ expired: 'on' }, 'expired.mode: must be one of audit, enforce, off, got "on"'],
  [{ expired: { maxShare: 2 } }, 'expired.maxShare: must be a number from 0 to 1, got 2'],
  [{ expired: { windowMs: 10 } }, 'expired.windowMs: must be a number from 1000 to 60000, got 10'],
])('%j is refused', (options, message) => {
  expect(() => new Inbound(options as InboundOptions)).toThrow(message);
});

test('a mesh counts them, and publishes each', async () => {
  const mesh = testMesh({ services: {} });
  closing.push(() => mesh.close());
  const published: unknown[] = [];
  const listener = (message: unknown): void => void published.push(message);
  channel('mesh:deadline:expired').subscribe(listener);
  closing.push(() => channel('mesh:deadline:expired').unsubscribe(listener));
  const gate = new Inbound({ mesh, expired: ENFORCE });
  gate.refusal(gate.context({ 'inmesh-timeout-ms': '0' }, 'grpc'), 'grpc');
  expect(published).toEqual([{ kind: 'deadline:expired', protocol: 'grpc', refused: true }]);
  expect(mesh.prometheus()).toMatch(/mesh_server_deadline_expired_total\{mesh_protocol="grpc",mesh_refused="true"\} 1/);
});
