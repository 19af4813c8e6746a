import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { CancelledError } from '../../../src/core/errors.js';
import { DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import type { Random } from '../../../src/core/random.js';
import type { Reply } from '../../../src/core/reply.js';
import { aCall } from '../../support/calls.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { anEndpoint } from '../../support/endpoints.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  endOf,
  failureOf,
  httpServer,
  type OpenTransport,
  type RunningHttp,
  tcpServer,
  textOf,
  transportTo,
  until,
} from '../../support/http1-fixture.js';
import { tlsFor } from '../../support/tls.js';

const opened: OpenTransport[] = [];
const servers: RunningHttp[] = [];

function track<T extends OpenTransport | RunningHttp>(part: T): T {
  if ('transport' in part) opened.push(part);
  else servers.push(part);
  return part;
}

afterEach(async () => {
  const counts: unknown[] = [];
  for (const { transport, limits } of opened.splice(0)) {
    await transport.close(true);
    counts.push(limits.open, limits.waiting, transport.connections);
  }
  for (const server of servers.splice(0)) await server.close();
  expect(counts.every((count) => count === 0)).toBe(true);
});

/** A server that answers when it is told to. */
async function held(): Promise<{ server: RunningHttp; waiting: { url: string; response: ServerResponse }[] }> {
  const waiting: { url: string; response: ServerResponse }[] = [];
  const server = track(await httpServer((request, response) => waiting.push({ url: request.url ?? '', response })));
  return { server, waiting };
}

const settled = (calls: Promise<Reply>[]): Promise<('served' | string)[]> =>
  Promise.all(
    calls.map((call) =>
      call.then(
        () => 'served',
        (error: Error) => error.message,
      ),
    ),
  );

test('twenty calls in one turn against 3 connections and a line of 5: eight are accepted, twelve refused at once', async () => {
  const { server, waiting } = await held();
  const { transport, limits } = track(transportTo(server.port, { limits: new CountingLimits(3, 5) }));
  let refused = 0;
  const calls = Array.from({ length: 20 }, () => transport.call(aCall()));
  for (const call of calls) call.catch(() => refused++);
  await Promise.resolve();
  expect([limits.open, limits.waiting]).toEqual([3, 5]);
  await until(() => waiting.length === 3);
  expect(refused).toBe(12);
  for (let answered = 0; answered < 8; answered++) {
    await until(() => waiting.length > 0);
    waiting.shift()?.response.end('ok');
  }
  const outcomes = await settled(calls);
  expect(outcomes.filter((outcome) => outcome === 'served')).toHaveLength(8);
  expect(server.accepted()).toBe(3);
  expect(limits.waiting).toBe(0);
});

test('an endpoint whose address no URL can have, as an IPv6 address with a zone, is called like any other', async () => {
  const { server, waiting } = await held();
  const endpoint = anEndpoint(`127.0.0.1:${server.port}`, { key: `[::1%lo]:${server.port}` });
  const { transport } = track(transportTo(server.port, { endpoint }));
  const call = transport.call(aCall());
  await until(() => waiting.length === 1);
  waiting[0]?.response.end('ok');
  expect(await textOf((await call).body)).toBe('ok');
});

test('a connection that cannot be used fails its call, and nothing escapes to the process', async () => {
  const { server } = await held();
  const random: Random = {
    next: () => {
      throw new RangeError('no more chance');
    },
    int: () => 0,
  };
  const connections = { ...DEFAULT_CONNECTIONS, maxLifetimeMs: 60_000 };
  const { transport, limits } = track(transportTo(server.port, { random, connections }));
  expect(await failureOf(transport.call(aCall()))).toMatchObject({ code: 'PROTOCOL_ERROR', reached: 'no' });
  await until(() => server.sockets.size === 0);
  expect([limits.open, transport.connections]).toEqual([0, 0]);
});

test('a call whose header cannot be written fails alone, when it is its turn in the line', async () => {
  const { server, waiting } = await held();
  const { transport } = track(transportTo(server.port, { limits: new CountingLimits(1, 10) }));
  const first = transport.call(aCall());
  const broken = aCall();
  Object.defineProperty(broken.headers, 'x-broken', {
    enumerable: true,
    get: () => {
      throw new RangeError('no such value');
    },
  });
  const second = transport.call(broken);
  const third = transport.call(aCall());
  await until(() => waiting.length === 1);
  waiting.shift()?.response.end();
  await first;
  expect(await failureOf(second)).toMatchObject({ code: 'PROTOCOL_ERROR', reached: 'no' });
  await until(() => waiting.length === 1);
  waiting.shift()?.response.end();
  expect((await third).status).toBe(200);
});

test('the line is served in the order in which calls joined it', async () => {
  const { server, waiting } = await held();
  const { transport } = track(transportTo(server.port, { limits: new CountingLimits(1, 10) }));
  const calls = [0, 1, 2, 3].map((n) => transport.call(aCall({ path: `/${n}` })));
  const order: string[] = [];
  for (let i = 0; i < 4; i++) {
    await until(() => waiting.length > 0);
    const next = waiting.shift();
    order.push(next?.url ?? '');
    next?.response.end();
  }
  await Promise.all(calls);
  expect(order).toEqual(['/0', '/1', '/2', '/3']);
  expect(server.accepted()).toBe(1);
});

test('who is cancelled in the line gives up its place and nothing else', async () => {
  const { server, waiting } = await held();
  const { transport, limits } = track(transportTo(server.port, { limits: new CountingLimits(1, 10) }));
  const first = transport.call(aCall({ path: '/first' }));
  const second = aCall({ path: '/second' });
  const pending = transport.call(second);
  const third = transport.call(aCall({ path: '/third' }));
  expect(limits.waiting).toBe(2);
  second.cancel(new CancelledError());
  expect(await failureOf(pending)).toMatchObject({ code: 'CANCELLED' });
  expect(limits.waiting).toBe(1);
  await until(() => waiting.length === 1);
  waiting.shift()?.response.end();
  await until(() => waiting.length === 1);
  expect(waiting[0]?.url).toBe('/third');
  waiting.shift()?.response.end();
  await Promise.all([first, third]);
});

test('the connection of a call cancelled while it was made serves who waits', async () => {
  const { server, waiting } = await held();
  const { transport } = track(transportTo(server.port, { limits: new CountingLimits(1, 10) }));
  const first = aCall();
  const lost = transport.call(first);
  const second = transport.call(aCall({ path: '/second' }));
  first.cancel(new CancelledError());
  await failureOf(lost);
  await until(() => waiting.length === 1);
  expect(waiting[0]?.url).toBe('/second');
  waiting[0]?.response.end();
  await second;
  expect(server.accepted()).toBe(1);
});

test('when the only connection fails to open, the whole line fails: another endpoint may serve it', async () => {
  const gone = await tcpServer(() => {});
  await gone.close();
  const { transport, limits } = track(transportTo(gone.port, { limits: new CountingLimits(1, 10) }));
  const calls = [1, 2, 3].map(() => transport.call(aCall()));
  const errors = await Promise.all(calls.map((call) => failureOf(call)));
  for (const error of errors) expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
  expect([limits.open, limits.waiting]).toEqual([0, 0]);
});

test('a connection lost while calls wait is replaced for them', async () => {
  let first = true;
  const server = track(
    await httpServer((request, response) => {
      if (first) request.socket.destroy();
      else response.end('ok');
      first = false;
    }),
  );
  const { transport } = track(transportTo(server.port, { limits: new CountingLimits(1, 10) }));
  const lost = transport.call(aCall());
  const served = transport.call(aCall());
  expect(await failureOf(lost)).toMatchObject({ code: 'CONNECTION_LOST' });
  expect((await served).status).toBe(200);
  expect(server.accepted()).toBe(2);
});

test('a reply that announces the end of the connection is believed', async () => {
  const server = track(
    await httpServer((_request, response) => {
      response.writeHead(200, { connection: 'close' });
      response.end('bye');
    }),
  );
  const { transport, limits } = track(transportTo(server.port));
  for (let i = 1; i <= 3; i++) {
    expect(await textOf((await transport.call(aCall())).body)).toBe('bye');
    await until(() => limits.open === 0);
    expect(server.accepted()).toBe(i);
  }
});

test('an idle connection is closed after its time', async () => {
  const server = track(await httpServer((_request, response) => response.end('ok')));
  const { transport, limits } = track(transportTo(server.port, { idleTimeoutMs: 20 }));
  await textOf((await transport.call(aCall())).body);
  expect(transport.connections).toBe(1);
  await new Promise<void>((resolve) => {
    for (const socket of server.sockets) socket.once('close', () => resolve());
  });
  await until(() => limits.open === 0);
});

test('the next address is tried when the first is refused', async () => {
  const server = track(await httpServer((_request, response) => response.end('ok')));
  const gone = await tcpServer(() => {});
  await gone.close();
  const endpoint = anEndpoint(`127.0.0.1:${gone.port}`, {
    addresses: [
      { host: '127.0.0.1', port: gone.port },
      { host: '127.0.0.1', port: server.port },
    ],
  });
  const { transport } = track(transportTo(gone.port, { endpoint }));
  expect(await textOf((await transport.call(aCall())).body)).toBe('ok');
});

test('when no address answers, the error names each', async () => {
  const gone = await tcpServer(() => {});
  await gone.close();
  const endpoint = anEndpoint(`127.0.0.1:${gone.port}`, {
    addresses: [
      { host: '127.0.0.1', port: gone.port },
      { host: '::1', port: gone.port },
    ],
  });
  const { transport } = track(transportTo(gone.port, { endpoint }));
  const error = await failureOf(transport.call(aCall()));
  expect(error.message).toContain(`127.0.0.1:${gone.port}: `);
  expect(error.message).toContain(`[::1]:${gone.port}: `);
});

test('a connection that takes longer than it may fails, TLS included, and leaves no timer', async () => {
  const clock = new FakeClock();
  const server = track(await tcpServer((socket) => socket.resume()));
  const { transport, limits } = track(
    transportTo(server.port, { clock, connectTimeoutMs: 700, tls: tlsFor('reviews') }),
  );
  const pending = failureOf(transport.call(aCall()));
  await until(() => server.sockets.size === 1);
  await clock.advance(699);
  expect(limits.open).toBe(1);
  await clock.advance(1);
  const error = await pending;
  expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
  expect(error.message).toContain('700 ms');
  expect(clock.pending).toBe(0);
  await until(() => server.sockets.size === 0);
});

/** A key and a certificate for `reviews` that vouches for itself, in a folder of their own. */
function selfSigned(): { folder: string; key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-tls-'));
  const key = join(folder, 'key.pem');
  const cert = join(folder, 'cert.pem');
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const name = ['-subj', '/CN=reviews', '-addext', 'subjectAltName=DNS:reviews'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, '-days', '1', ...name], {
    stdio: 'ignore',
  });
  return { folder, key, cert };
}

test('a server certificate that nobody vouches for is refused', async () => {
  const { folder, key, cert } = selfSigned();
  const secure = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) });
  rmSync(folder, { recursive: true });
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = secure.address() as AddressInfo;
    const { transport } = track(transportTo(port, { tls: tlsFor('reviews') }));
    const error = await failureOf(transport.call(aCall()));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
    expect(error.message).toContain('TLS with "reviews"');
  } finally {
    await new Promise((resolve) => secure.close(resolve));
  }
});

test('a server that a root vouches for is called under its name, and its session is taken up again', () => {
  const { folder, key, cert } = selfSigned();
  // In a process of its own: roots are read when Node starts.
  const program = `
    import { readFileSync } from 'node:fs';
    import { createServer } from 'node:https';
    import { transportTo, textOf } from './test/support/http1-fixture.ts';
    import { aCall } from './test/support/calls.ts';
    import { tlsFor } from './test/support/tls.ts';
    const seen = [];
    const server = createServer({ key: readFileSync(${JSON.stringify(key)}), cert: readFileSync(${JSON.stringify(cert)}) }, (request, response) => {
      seen.push([request.socket.servername, request.headers.host, request.socket.alpnProtocol, request.socket.isSessionReused()].join());
      response.setHeader('connection', 'close');
      response.end('secret');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { transport } = transportTo(server.address().port, { tls: tlsFor('reviews') });
    for (let i = 0; i < 2; i++) console.log(await textOf((await transport.call(aCall({ scheme: 'https' }))).body));
    const wrong = transportTo(server.address().port, { tls: tlsFor('ratings') });
    console.log(await wrong.transport.call(aCall()).catch((error) => error.code));
    await transport.close();
    await wrong.transport.close();
    server.close();
    console.log(seen.join(' '));
  `;
  const output = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { ...process.env, NODE_EXTRA_CA_CERTS: cert },
  });
  rmSync(folder, { recursive: true });
  expect(output.trim().split('\n')).toEqual([
    'secret',
    'secret',
    'CONNECT_FAILED',
    'reviews,reviews,http/1.1,false reviews,reviews,http/1.1,true',
  ]);
});

test('closing waits for calls under way and refuses new ones', async () => {
  const { server, waiting } = await held();
  const { transport, limits } = track(transportTo(server.port));
  const pending = transport.call(aCall());
  await until(() => waiting.length === 1);
  let closed = false;
  const closing = transport.close().then(() => {
    closed = true;
  });
  expect(await failureOf(transport.call(aCall()))).toMatchObject({ code: 'CONNECTION_LOST', reached: 'no' });
  expect(closed).toBe(false);
  waiting[0]?.response.end('last');
  expect(await textOf((await pending).body)).toBe('last');
  await closing;
  expect([limits.open, transport.connections]).toEqual([0, 0]);
  await transport.close();
});

test('closing by force cuts calls under way, and those that wait never reached the server', async () => {
  const { server, waiting } = await held();
  const { transport } = track(transportTo(server.port, { limits: new CountingLimits(1, 10) }));
  const running = failureOf(transport.call(aCall()));
  const queued = failureOf(transport.call(aCall()));
  await until(() => waiting.length === 1);
  await transport.close(true);
  expect(await running).toMatchObject({ code: 'CONNECTION_LOST', reached: 'maybe' });
  expect(await queued).toMatchObject({ code: 'CONNECTION_LOST', reached: 'no' });
  await until(() => server.sockets.size === 0);
});

test('closing ends idle connections at once, and a connection that is still being made', async () => {
  const server = track(await httpServer((_request, response) => response.end('ok')));
  const idle = track(transportTo(server.port));
  await textOf((await idle.transport.call(aCall())).body);
  await idle.transport.close();
  expect(idle.limits.open).toBe(0);
  const clock = new FakeClock();
  const mute = track(await tcpServer((socket) => socket.resume()));
  const opening = track(transportTo(mute.port, { clock, tls: tlsFor('x') }));
  const call = aCall();
  const pending = failureOf(opening.transport.call(call));
  await until(() => mute.sockets.size === 1);
  call.cancel(new CancelledError());
  await pending;
  await opening.transport.close();
  expect([opening.limits.open, clock.pending]).toEqual([0, 0]);
});

test('replies end exactly once each when hundreds of calls share a few connections', async () => {
  const server = track(await httpServer((request, response) => response.end(request.url)));
  const { transport, limits } = track(transportTo(server.port, { limits: new CountingLimits(4, 1000) }));
  let ends = 0;
  const texts = await Promise.all(
    Array.from({ length: 400 }, async (_, n) => {
      const reply = await transport.call(aCall({ path: `/${n}` }));
      reply.onEnd(() => ends++);
      await endOf(reply);
      return textOf(reply.body);
    }),
  );
  expect(texts).toEqual(texts.map((_, n) => `/${n}`));
  expect(ends).toBe(400);
  expect(server.accepted()).toBe(4);
  expect([limits.open, limits.waiting]).toEqual([4, 0]);
});
