import { createServer as createHttpServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeshClosedError } from '../../../src/core/errors.js';
import { type Address, addressKey } from '../../../src/core/model/endpoint.js';
import type { OnServingMode } from '../../../src/server/xds/index.js';
import { chain, freeAddress, listener, type Served, serve, until } from './support.js';

describe('serving modes (A36)', () => {
  let address: Address;
  let served: Served;
  let blocker: Server | undefined;

  beforeEach(async () => {
    address = await freeAddress();
    served = serve(
      createHttpServer((_, response) => response.end('ok')),
      address,
    );
  });

  afterEach(async () => {
    await served.close();
    expect(served.clock.pending).toBe(0);
    await new Promise<unknown>((resolve) => (blocker === undefined ? resolve(0) : blocker.close(resolve)));
    blocker = undefined;
  });

  /** Somebody else takes the port. */
  async function block(): Promise<void> {
    const other = createServer();
    blocker = other;
    await new Promise<void>((resolve) => other.listen(address.port, address.host, resolve));
  }
  async function unblock(): Promise<void> {
    await new Promise((resolve) => blocker?.close(resolve));
    blocker = undefined;
  }

  const open = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket: Socket = connect(address.port, address.host, () => resolve(true));
      socket.once('connect', () => socket.destroy());
      socket.once('error', () => resolve(false));
    });

  it('begins NOT_SERVING without a word, and keeps the process alive while it waits for its listener', async () => {
    expect(served.serving.mode).toBe('NOT_SERVING');
    expect(served.serving.error).toBeUndefined();
    expect(served.modes).toEqual([]);
    expect(await open()).toBe(false);
    expect(served.clock.pending).toBe(1);
  });

  it('each change is told once, and another reason is a change', async () => {
    served.config.failed('a');
    served.config.failed('a');
    served.config.failed('b');
    served.config.changed(listener(address));
    await served.serving.ready();
    served.config.changed(listener(address, { defaultFilterChain: chain('x') }));
    served.config.ambient('trouble');
    expect(await open()).toBe(true);
    served.config.failed('b');
    expect(served.modes).toEqual(['NOT_SERVING: a', 'NOT_SERVING: b', 'SERVING', 'NOT_SERVING: b']);
    expect(await open()).toBe(false);
    expect(served.log).toEqual(['warn: xDS server: the last configuration stands']);
  });

  it('a port that is taken is tried again by itself; until then the reason is told', async () => {
    await block();
    served.config.changed(listener(address));
    await until(() => served.modes.length === 1);
    expect(served.modes[0]).toMatch(new RegExp(`^NOT_SERVING: cannot listen on ${addressKey(address)}: .*EADDRINUSE`));
    // 1 s ± 20 %, then twice that.
    await served.clock.advance(1_200);
    await until(() => served.clock.pending === 2);
    expect(served.modes).toHaveLength(1);
    await unblock();
    await served.clock.advance(2_400);
    await served.serving.ready();
    expect(served.modes.at(-1)).toBe('SERVING');
    expect(await open()).toBe(true);
  });

  it('a port that is taken is not tried again once there is no listener', async () => {
    await block();
    served.config.changed(listener(address));
    await until(() => served.modes.length === 1);
    served.config.failed('gone');
    expect(served.clock.pending).toBe(1);
    await unblock();
    await served.clock.advance(60_000);
    expect(await open()).toBe(false);
    expect(served.modes.at(-1)).toBe('NOT_SERVING: gone');
  });

  it('a listener that goes while the port is being opened leaves it closed', async () => {
    served.config.changed(listener(address));
    served.config.failed('gone');
    expect(await open()).toBe(false);
    expect(served.modes).toEqual(['NOT_SERVING: gone']);
  });

  it('without a callback errors are logged, and each return to SERVING after one', async () => {
    await served.close();
    served = serve(createHttpServer(), address, { onServingMode: undefined as unknown as OnServingMode });
    served.config.failed('gone');
    served.config.changed(listener(address));
    await served.serving.ready();
    expect(served.log).toEqual(['error: xDS server: not serving', 'warn: xDS server: serving again']);
  });

  it('a callback that throws is logged and harms nothing', async () => {
    await served.close();
    served = serve(createHttpServer(), address, {
      onServingMode: () => {
        throw new Error('oops');
      },
    });
    served.config.changed(listener(address));
    await served.serving.ready();
    expect(await open()).toBe(true);
    expect(served.log).toEqual(['error: onServingMode failed']);
  });

  it('close ends the wait for the listener with MESH_CLOSED, and whatever comes later is not heard', async () => {
    const ready = served.serving.ready();
    const [watcher] = served.config.watchers;
    const closed = served.serving.close();
    await expect(ready).rejects.toBeInstanceOf(MeshClosedError);
    await closed;
    watcher?.changed({ listener: listener(address), routes: new Map() });
    watcher?.failed(new MeshClosedError());
    expect(await open()).toBe(false);
    expect(served.modes).toEqual([]);
    await expect(served.serving.ready()).rejects.toBeInstanceOf(MeshClosedError);
    expect(served.serving.error).toMatchObject({ code: 'MESH_CLOSED' });
  });

  it('close waits for requests under way, and a shorter grace time later cuts them', async () => {
    await served.close();
    let asked = 0;
    served = serve(
      createHttpServer(() => asked++),
      address,
    );
    served.config.changed(listener(address));
    await served.serving.ready();
    const hanging = fetch(`http://${addressKey(address)}/`).catch((error: Error) => error);
    await until(() => asked === 1);
    let done = false;
    const closed = served.serving.close().then(() => {
      done = true;
    });
    expect(await open()).toBe(false);
    await served.clock.advance(300_000);
    expect(done).toBe(false);
    void served.serving.close({ graceMs: 10 });
    // A longer one than what is left changes nothing.
    void served.serving.close({ graceMs: 1_000_000 });
    await served.clock.advance(10);
    await closed;
    expect(await hanging).toBeInstanceOf(TypeError);
  });

  it('idle connections of a generation that is drained already end when the listener goes', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const socket = connect(address.port, address.host);
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    await until(() => served.serving.connections === 1);
    served.config.changed(listener(address, { defaultFilterChain: chain('x') }));
    expect(served.serving.connections).toBe(1);
    served.config.failed('gone');
    await ended;
    await until(() => served.serving.connections === 0);
  });

  it("the application's maxConnections holds", async () => {
    await served.close();
    const server = createHttpServer((_, response) => response.end('ok'));
    server.maxConnections = 1;
    served = serve(server, address);
    served.config.changed(listener(address));
    await served.serving.ready();
    const first = connect(address.port, address.host);
    await until(() => served.serving.connections === 1);
    const second = connect(address.port, address.host);
    second.on('error', () => {});
    await new Promise((resolve) => second.once('close', resolve));
    expect(served.serving.connections).toBe(1);
    first.destroy();
  });
});

describe('what cannot be served', () => {
  it.each(['8080', 'localhost:8080', '0.0.0.0:0', '0.0.0.0:65536', '[0.0.0.0]:80', '::1:80', '[::1]', '1.2.3:80', ''])(
    'address "%s" is refused with an example',
    (text) => {
      const serving = () => serve(createHttpServer(), { host: '', port: 0 }, { address: text });
      expect(serving).toThrow(/^serve\.address: must be an IP address and a port from 1 to 65535, like "0.0.0.0:8080"/);
    },
  );

  it.each([-1, Number.NaN, 86_400_001])('a drain grace time of %d ms is refused', (drainGraceMs) => {
    const serving = () => serve(createHttpServer(), { host: '127.0.0.1', port: 80 }, { drainGraceMs });
    expect(serving).toThrow(/^serve\.drainGraceMs: must be a number from 0 to 86400000/);
  });

  it.each([
    ['https', () => createHttpsServer()],
    ['http2 with TLS', () => createSecureServer()],
  ])('a server of %s is refused', (_, create: () => unknown) => {
    expect(() => serve(create() as never, { host: '127.0.0.1', port: 80 })).toThrow('with TLS of its own');
  });
});
