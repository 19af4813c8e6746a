import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ambient } from '../../src/core/ambient.js';
import { DEFAULT_LIMIT_REPLY, type LimitRule } from '../../src/core/model/limit.js';
import { Inbound, type InboundOptions } from '../../src/server/inbound.js';
import { meshUpgrade } from '../../src/server/upgrade.js';
import { FakeClock } from '../support/fake-clock.js';
import { type TestMesh, testMesh } from '../../src/testing/index.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import { addressKey } from '../../src/core/model/endpoint.js';
import { seededRandom } from '../../src/core/random.js';
import { serveXds } from '../../src/server/xds/index.js';
import { chain, freeAddress, listener, route, ScriptedConfig, table, until } from './xds/support.js';

/** WebSockets and other tunnels (`Upgrade`) are requests until they are let in. */

const closing: (() => unknown)[] = [];
let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A tunnel that is asked for: all that came on it so far, and when it was let in or ended. */
class Tunnel {
  static async ask(port: number, headers = ''): Promise<Tunnel> {
    const tunnel = new Tunnel(connect(port, '127.0.0.1'));
    tunnel.socket.write(`GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n${headers}\r\n`);
    await tunnel.#answered;
    return tunnel;
  }

  text = '';
  readonly #answered: Promise<void>;

  private constructor(readonly socket: Socket) {
    closing.push(() => socket.destroy());
    socket.on('error', () => {});
    this.#answered = new Promise((resolve) => {
      socket.on('data', (data) => {
        this.text += data;
        if (this.text.includes('101 ')) resolve();
      });
      socket.on('close', () => resolve());
    });
  }

  get status(): number {
    return Number(this.text.slice(9, 12));
  }
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n';

async function start(options: InboundOptions, seen: () => void = () => {}): Promise<number> {
  const server = createServer();
  server.on(
    'upgrade',
    meshUpgrade(
      (_, socket) => {
        seen();
        socket.write(SWITCH);
        socket.resume().on('end', () => socket.end());
      },
      { clock, ...options },
    ),
  );
  return listen(server);
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.on('connection', (socket) => closing.push(() => socket.destroy()));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe('a listener of node:http', () => {
  test('hears of what the limits let in; others get their 429 on the socket', async () => {
    let runs = 0;
    const port = await start({ limits: { requests: 1, perMs: 60_000, name: 'one' } }, () => runs++);
    expect((await Tunnel.ask(port)).status).toBe(101);
    const refused = await Tunnel.ask(port);
    expect(refused.text).toMatch(/^HTTP\/1.1 429 Too Many Requests\r\n/);
    expect(refused.text).toMatch(/\r\nretry-after: 60\r\n/);
    expect(refused.text).toMatch(/\r\n\r\n\{"code":"RATE_LIMITED".*\}\n$/);
    expect(runs).toBe(1);
  });

  test('a server that is full answers 503; a tunnel that is open takes no place of it', async () => {
    const shed = { initialLimit: 1, minLimit: 1, maxLimit: 1, maxLagMs: false } as const;
    const port = await start({ shed });
    for (let i = 0; i < 3; i++) expect((await Tunnel.ask(port)).status).toBe(101);
    const others = new Inbound({ shed, clock });
    const request = others.context({}, 'http');
    expect(others.refusal(request, 'http')).toBeUndefined();
    expect((await Tunnel.ask(port)).status).toBe(503);
    request.over();
    expect((await Tunnel.ask(port)).status).toBe(101);
  });

  test('runs inside the context of its request, which ends with the socket', async () => {
    let seen: ReturnType<typeof ambient>;
    const port = await start({}, () => {
      seen = ambient();
    });
    const tunnel = await Tunnel.ask(port, 'inmesh-priority: batch\r\n');
    expect([seen?.priority, seen?.cancellation?.cancelled]).toEqual(['batch', false]);
    tunnel.socket.destroy();
    await until(() => seen?.cancellation?.cancelled === true);
  });
});

describe('a server under configuration', () => {
  let mesh: TestMesh;
  beforeEach(() => {
    mesh = testMesh({ services: {}, clock });
    closing.push(() => mesh.close());
  });

  test('answers on the socket what its routes’ limits refuse', async () => {
    const rule: LimitRule = {
      name: 'one',
      key: [],
      limit: { algorithm: 'token_bucket', requests: 1, perMs: 10_000, burst: 1 },
      mode: 'enforce',
      store: { kind: 'local' },
      onStoreFailure: 'local',
    };
    const server = createServer();
    server.on('upgrade', (_, socket) => socket.write(SWITCH));
    const deadlines = new Deadlines(clock);
    closing.push(() => deadlines.close());
    const config = new ScriptedConfig();
    const address = await freeAddress();
    const serving = serveXds(
      server,
      { address: addressKey(address), onServingMode: () => {} },
      {
        ...{ watch: config.watch, clock, random: seededRandom(1), logger: silentLogger, deadlines, meter: noMeter },
        limits: mesh.servers.limits,
        tls: mesh.servers.tls,
      },
    );
    closing.push(() => serving.close({ graceMs: 0 }));
    const limited = { ...route('/'), limits: { rules: [rule], ...DEFAULT_LIMIT_REPLY } };
    config.changed(
      listener(address, {
        defaultFilterChain: chain('all', {}, { routes: { kind: 'inline', config: table([limited]) } }),
      }),
    );
    await serving.ready();
    expect((await Tunnel.ask(address.port)).status).toBe(101);
    const refused = await Tunnel.ask(address.port);
    expect(refused.text).toMatch(/^HTTP\/1.1 429 Too Many Requests\r\n/);
    expect(refused.text).toMatch(
      /\r\ncontent-type: application\/json\r\n[\s\S]*\r\n\r\n\{"code":"RATE_LIMITED".*\}\n$/,
    );
  });
});
