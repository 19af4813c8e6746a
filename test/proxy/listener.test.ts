import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import { localReply } from '../../src/core/reply.js';
import { seededRandom } from '../../src/core/random.js';
import { startProxy } from '../../src/proxy/index.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { answerOf, Cleanup, deferred, get, openReply, proxyFor, raw, session } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ok = (text = 'ok') => localReply(200, headerFields(), Buffer.from(text));
const closed = (socket: net.Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve));
const connect = (port: number): net.Socket => {
  const socket = cleanup.add(net.connect(port, '127.0.0.1'), (it) => it.destroy());
  socket.on('error', () => {});
  return socket.resume();
};

describe('one port', () => {
  const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  /** An empty SETTINGS frame. */
  const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

  test('knows HTTP/2 when its preface comes byte by byte', async () => {
    const proxy = await proxyFor(cleanup, async () => ok());
    const socket = connect(proxy.port);
    socket.setNoDelay(true);
    const settings = once(socket, 'data');
    for (const byte of PREFACE) {
      socket.write(byte);
      await settle();
    }
    socket.write(SETTINGS);
    const [frame] = (await settings) as [Buffer];
    // The type of the server's first frame is SETTINGS.
    expect(frame[3]).toBe(4);
  });

  test('knows HTTP/1.1 when it begins like the preface', async () => {
    const proxy = await proxyFor(cleanup, async (call) => ok(call.method));
    expect((await get(proxy.port, { method: 'PROPFIND', headers: { host: 'a' } })).text).toBe('PROPFIND');
    expect(await raw(proxy.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\rX')).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('serves requests one after the other, in pieces and in one go', async () => {
    const proxy = await proxyFor(cleanup, async (call) => ok(call.path));
    const answer = await raw(
      proxy.port,
      'GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\n\r\nGET /three HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
    );
    expect(answer.match(/\/[a-z]+/g)).toEqual(['/one', '/two', '/three']);
  });

  test('cuts a connection that says nothing, and one that stops within the preface', async () => {
    const clock = new FakeClock();
    const proxy = await proxyFor(cleanup, async () => ok(), { clock, limits: { headersTimeoutMs: 5_000 } });
    const silent = connect(proxy.port);
    const stuck = connect(proxy.port);
    stuck.write('PRI * HT');
    await Promise.all([once(silent, 'connect'), once(stuck, 'connect')]);
    while (clock.pending < 2) await settle();
    const cut = Promise.all([closed(silent), closed(stuck)]);
    await clock.advance(5_000);
    await cut;
    expect(clock.pending).toBe(0);
  });

  test('lets a client go that shuts down before it has said anything', async () => {
    const clock = new FakeClock();
    const proxy = await proxyFor(cleanup, async () => ok(), { clock });
    const socket = connect(proxy.port);
    socket.end('PRI');
    await closed(socket);
    expect(clock.pending).toBe(0);
  });

  test('survives whatever is sent to it', async () => {
    const proxy = await proxyFor(cleanup, async () => ok(), { limits: { headersTimeoutMs: 200 } });
    const start = fc.constantFrom(
      '',
      PREFACE,
      'GET / HTTP/1.1\r\n',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n',
    );
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 200 }), async (text, bytes) => {
        const socket = connect(proxy.port);
        socket.end(Buffer.concat([Buffer.from(text), bytes]));
        await closed(socket);
      }),
      { numRuns: 150 },
    );
    expect((await get(proxy.port, { headers: { host: 'a' } })).text).toBe('ok');
  });

  test('closes connections beyond the limit as they come', async () => {
    const proxy = await proxyFor(cleanup, async () => ok(), { limits: { maxConnections: 1 } });
    const first = connect(proxy.port);
    await once(first, 'connect');
    first.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(first, 'data');
    await closed(connect(proxy.port));
    expect(first.destroyed).toBe(false);
  });
});

describe('close', () => {
  test('lets a request under way end, asks its client to go, and takes no new connection', async () => {
    const { reply, body } = openReply();
    const proxy = await startProxy({ service: async () => reply, listen: '127.0.0.1:0' });
    const called = deferred<void>();
    const answer = new Promise<http.IncomingMessage>((resolve) => {
      const agent = cleanup.add(new http.Agent({ keepAlive: true }), (it) => it.destroy());
      http.get({ port: proxy.port, agent, headers: { host: 'a' } }, resolve);
    }).then(async (response) => {
      called.resolve();
      return { connection: response.headers.connection, text: (await response.toArray()).join('') };
    });
    await called.promise;
    const idle = connect(proxy.port);
    idle.write('OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(idle, 'data');
    const done = proxy.close();
    await closed(idle);
    await expect(get(proxy.port, { headers: { host: 'a' } })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    body.write(Buffer.from('rest'));
    body.end();
    expect((await answer).text).toBe('rest');
    await done;
  });

  test('says Connection: close in answers that start while it drains', async () => {
    const release = deferred<void>();
    const called = deferred<void>();
    const proxy = await startProxy({
      service: async () => {
        called.resolve();
        await release.promise;
        return ok();
      },
      listen: '127.0.0.1:0',
    });
    const agent = cleanup.add(new http.Agent({ keepAlive: true }), (it) => it.destroy());
    const answer = get(proxy.port, { agent, headers: { host: 'a' } });
    await called.promise;
    const done = proxy.close();
    release.resolve();
    expect((await answer).headers.connection).toBe('close');
    await done;
  });

  test('sends GOAWAY in two steps and lets streams end', async () => {
    const { reply, body } = openReply();
    const proxy = await startProxy({ service: async () => reply, listen: '127.0.0.1:0' });
    const connection = session(cleanup, proxy);
    const stream = connection.request({});
    body.write(Buffer.from('some'));
    await once(stream, 'response');
    const lastStreams: number[] = [];
    connection.on('goaway', (_code, lastStream) => lastStreams.push(lastStream));
    const done = proxy.close();
    while (lastStreams.length < 2) await settle();
    body.end();
    expect((await answerOf(stream)).body.toString()).toBe('some');
    await done;
    expect(lastStreams.slice(0, 2)).toEqual([2 ** 31 - 1, 1]);
  });

  test('cuts what has not ended after the grace period, and may be called again', async () => {
    const clock = new FakeClock();
    const proxy = await startProxy({ service: () => new Promise(() => {}), listen: '127.0.0.1:0', clock });
    const socket = connect(proxy.port);
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    const stream = session(cleanup, proxy).request({});
    const answer = answerOf(stream);
    await settle();
    const done = proxy.close({ graceMs: 3_000 });
    void proxy.close({ graceMs: 60_000 });
    const cut = closed(socket);
    await clock.advance(3_000);
    await Promise.all([done, cut, answer]);
    await proxy.close();
    expect(clock.pending).toBe(0);
  });

  test('leaves nothing open', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name !== 'Immediate').length;
    const proxy = await startProxy({ service: async () => ok(), listen: '127.0.0.1:0' });
    await get(proxy.port, { headers: { host: 'a' } });
    const connection = session(cleanup, proxy);
    await answerOf(connection.request({}));
    await proxy.close();
    await cleanup.run();
    for (let turn = 0; turn < 5; turn++) await settle();
    expect(process.getActiveResourcesInfo().filter((name) => name !== 'Immediate').length).toBeLessThanOrEqual(before);
  });
});

describe('startProxy', () => {
  const service = async () => ok();

  test.each([
    [{ service, listen: '127.0.0.1' }, 'options.listen: must be host:port, as 127.0.0.1:15001, got "127.0.0.1"'],
    [
      { service, listen: '127.0.0.1:70000' },
      'options.listen: must be host:port, as 127.0.0.1:15001, got "127.0.0.1:70000", whose port is not from 0 to 65535',
    ],
    [{ service: 1, listen: '127.0.0.1:0' }, 'options.service: must be a service such as mesh.service, got 1'],
    [{ service, listen: '127.0.0.1:0', lisen: 1 }, 'options.lisen: unknown field; did you mean "listen"?'],
    [
      { service, listen: '127.0.0.1:0', limits: { maxHeaders: 1 } },
      'options.limits.maxHeaders: must be a number from 8 to 10000, got 1',
    ],
    [
      { service, listen: '127.0.0.1:0', limits: { maxHeader: 9 } },
      'options.limits.maxHeader: unknown field; did you mean "maxHeaders"?',
    ],
  ])('refuses %o', async (options, message) => {
    await expect(startProxy(options as never)).rejects.toThrow(message);
  });

  test('listens on IPv6 in brackets, and says where', async () => {
    const proxy = await proxyFor(cleanup, service, { listen: '[::1]:0' });
    expect(proxy.url).toBe(`http://[::1]:${proxy.port}`);
  });

  test('rejects when the port is taken', async () => {
    const proxy = await proxyFor(cleanup, service);
    await expect(startProxy({ service, listen: `127.0.0.1:${proxy.port}` })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });

  test('takes its name in Via from the random source', async () => {
    let via: unknown;
    const proxy = await proxyFor(
      cleanup,
      async (call) => {
        via = call.headers['via'];
        return ok();
      },
      { random: seededRandom(1) },
    );
    await get(proxy.port, { headers: { host: 'a' } });
    expect(via).toBe(
      `1.1 inmesh-${seededRandom(1)
        .int(2 ** 32)
        .toString(16)
        .padStart(8, '0')}`,
    );
  });
});
