import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { MeshError } from '../../../src/index.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { answering, type RunningHttp, tcpServer } from '../../support/http1-fixture.js';
import { collectingLogger, Opened, WAIT } from './support.js';

/*
 * Servers that break their promises, through fetch and through the proxy: what the caller is told, how often the server is asked, and
 * that nothing is left behind.
 */

const opened = new Opened();
const servers: RunningHttp[] = [];
let meshes: Mesh[] = [];

beforeEach(() => {
  meshes = [];
});
afterEach(async () => {
  for (const mesh of meshes) {
    await vi.waitFor(async () => {
      for (const cluster of (await mesh.configDump()).clusters) {
        expect(cluster).toMatchObject({ requests: 0, pending: 0 });
        for (const endpoint of cluster.endpoints) expect(endpoint.inflight).toBe(0);
      }
    }, WAIT);
    await mesh.close();
  }
  for (const server of servers.splice(0)) {
    await vi.waitFor(() => expect(server.sockets.size).toBe(0), WAIT);
    await server.close();
  }
  await opened.close();
});

function openMesh(...endpoints: readonly RunningHttp[]): Mesh {
  const reviews = endpoints.map(({ port }) => `127.0.0.1:${port}`);
  const mesh = meshClient({ services: { reviews }, logger: collectingLogger(), accessLog: () => {} });
  meshes.push(mesh);
  return mesh;
}

/** A server that answers each request with `answer`, and counts. */
async function serving(answer: (socket: Socket, head: string) => void): Promise<RunningHttp & { asked: number }> {
  const counted = Object.assign(
    await answering((socket, head) => {
      counted.asked++;
      answer(socket, head);
    }),
    { asked: 0 },
  );
  servers.push(counted);
  return counted;
}

const sound = (): ReturnType<typeof serving> =>
  serving((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));

interface Told {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  readonly cause: MeshError;
}
const failure = (promise: Promise<unknown>): Promise<Told> =>
  promise.then(
    () => expect.unreachable('must fail'),
    (error: unknown) => error as Told,
  );

/** What the client of a proxy sees. */
interface ThroughProxy {
  readonly status: number | undefined;
  readonly flag: unknown;
  readonly body: string;
  readonly error: Error | undefined;
}

async function throughProxy(mesh: Mesh, method: string, headers: Record<string, string> = {}): Promise<ThroughProxy> {
  const proxy = opened.add(await startProxy({ service: mesh.service, listen: '127.0.0.1:0' }), (each) => each.close());
  return new Promise((resolve) => {
    const request = httpRequest({
      port: proxy.port,
      host: '127.0.0.1',
      method,
      headers: { host: 'reviews', ...headers },
    });
    let failed: Error | undefined;
    request.on('error', (error) => resolve({ status: undefined, flag: undefined, body: '', error }));
    request.on('response', (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('error', (error) => {
        failed = error;
      });
      response.on('close', () =>
        resolve({ status: response.statusCode, flag: response.headers['mesh-error'], body, error: failed }),
      );
    });
    request.end();
  });
}

interface Misdeed {
  readonly name: string;
  readonly answer: (socket: Socket) => void;
  readonly code: string;
  readonly origin: string;
  readonly reached: string;
  readonly flag: string;
  readonly status: number;
}

const lost = { code: 'CONNECTION_LOST', origin: 'network', flag: 'UC', status: 503 } as const;
const nonsense = { code: 'PROTOCOL_ERROR', origin: 'workload', reached: 'yes', flag: 'UPE', status: 502 } as const;

/** Before the head: the caller gets an error, or another attempt where that is safe. */
const beforeTheHead: readonly Misdeed[] = [
  { name: 'closes without an answer', answer: (socket) => socket.end(), ...lost, reached: 'maybe' },
  { name: 'resets without an answer', answer: (socket) => socket.resetAndDestroy(), ...lost, reached: 'maybe' },
  {
    name: 'closes within the head',
    answer: (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-'),
    ...lost,
    reached: 'yes',
  },
  { name: 'speaks another protocol', answer: (socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n'), ...nonsense },
  {
    name: 'answers with noise',
    answer: (socket) => socket.end(Buffer.from([0, 255, 1, 254, 13, 10, 13, 10])),
    ...nonsense,
  },
  { name: 'answers in TLS', answer: (socket) => socket.end(Buffer.from('15030100020228', 'hex')), ...nonsense },
  {
    name: 'answers in HTTP/2',
    answer: (socket) => socket.end(Buffer.from('000000040000000000', 'hex')),
    ...nonsense,
  },
  {
    name: 'sends a head without end',
    answer: (socket) => socket.write(`HTTP/1.1 200 OK\r\n${`x: ${'y'.repeat(1_000)}\r\n`.repeat(200)}`),
    ...nonsense,
  },
  {
    name: 'gives two lengths',
    answer: (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk'),
    ...nonsense,
  },
  {
    name: 'gives a length and chunks',
    answer: (socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    ...nonsense,
  },
];

describe.each(beforeTheHead)('a server that $name', ({ answer, code, origin, reached, flag, status }) => {
  test('fetch: a GET is tried once more, a POST is not, and both end with an error that says why', async () => {
    const bad = await serving(answer);
    const mesh = openMesh(bad);
    const get = await failure(mesh.fetch('http://reviews/'));
    expect(get).toMatchObject({ name: 'TypeError', code, cause: { code, origin, reached, flag } });
    expect(get.cause.message).toContain(`127.0.0.1:${bad.port}`);
    expect(bad.asked).toBe(2);
    const post = await failure(mesh.fetch('http://reviews/', { method: 'POST', body: 'x' }));
    expect(post).toMatchObject({ code, cause: { origin, reached } });
    expect(bad.asked).toBe(3);
  });

  test('fetch: beside a sound one it costs no GET, and no POST is sent twice', async () => {
    const [bad, good] = [await serving(answer), await sound()];
    const mesh = openMesh(bad, good);
    for (let i = 0; i < 10; i++) expect(await (await mesh.fetch('http://reviews/')).text()).toBe('ok');
    const before = bad.asked + good.asked;
    const posts = Array.from({ length: 10 }, () => mesh.fetch('http://reviews/', { method: 'POST', body: 'x' }));
    const settled = await Promise.allSettled(posts.map(async (each) => (await each).text()));
    expect(settled.filter((each) => each.status === 'rejected').every((each) => each.reason.code === code)).toBe(true);
    expect(bad.asked + good.asked - before).toBe(10);
  });

  test('proxy: the client is told by status and flag', async () => {
    const mesh = openMesh(await serving(answer));
    const told = await throughProxy(mesh, 'POST');
    expect(told).toMatchObject({ status, flag, error: undefined });
    expect(JSON.parse(told.body)).toMatchObject({ code, origin });
  });
});

const withinTheBody: readonly { name: string; answer: (socket: Socket) => void; code: string; reached: string }[] = [
  {
    name: 'closes before the announced length',
    answer: (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'),
    code: 'CONNECTION_LOST',
    reached: 'yes',
  },
  {
    name: 'closes between chunks',
    answer: (socket) => socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'),
    code: 'CONNECTION_LOST',
    reached: 'yes',
  },
  {
    name: 'resets within a chunk',
    answer: (socket) =>
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf', () =>
        setImmediate(() => socket.resetAndDestroy()),
      ),
    code: 'CONNECTION_LOST',
    reached: 'yes',
  },
  {
    name: 'breaks the chunks',
    answer: (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\nno'),
    code: 'PROTOCOL_ERROR',
    reached: 'yes',
  },
  {
    name: 'sends noise in place of what it compressed',
    answer: (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 14\r\n\r\n'),
          Buffer.from('1f8b0800000000000003ffffffff', 'hex'),
        ]),
      ),
    code: 'PROTOCOL_ERROR',
    reached: 'yes',
  },
];

describe.each(withinTheBody)('a server that $name', ({ name, answer, code, reached }) => {
  test('fetch: the head is a reply, reading its body fails, and nobody asks again', async () => {
    const bad = await serving(answer);
    const mesh = openMesh(bad);
    const told = await failure(mesh.fetch('http://reviews/').then((response) => response.text()));
    expect(told).toMatchObject({ name: 'TypeError', message: 'terminated', code, cause: { code, reached } });
    expect(bad.asked).toBe(1);
    const { rows } = mesh.stats();
    if (!name.includes('compressed')) expect(rows).toMatchObject([{ requests: 1, failures: 1, retries: 0 }]);
  });

  test.skipIf(name.includes('compressed'))(
    'proxy: the client sees a reply that is cut, never one that seems whole',
    async () => {
      const told = await throughProxy(openMesh(await serving(answer)), 'GET');
      expect(told.error).toMatchObject({ code: 'ECONNRESET' });
      if (told.status !== undefined) expect(told).toMatchObject({ status: 200, body: 'half' });
    },
  );
});

describe('a server that takes its time', () => {
  const trickle =
    (text: string) =>
    (socket: Socket): void => {
      let i = 0;
      const timer = setInterval(() => (i < text.length ? socket.write(text[i++] as string) : clearInterval(timer)), 10);
      socket.on('close', () => clearInterval(timer));
    };
  const LIMIT = { mesh: { timeoutMs: 120 } };
  const late = { code: 'DEADLINE_EXCEEDED', cause: { origin: 'mesh', reached: 'maybe', flag: 'UT' } };

  test.each([
    ['never answers', () => {}],
    ['trickles its head', trickle(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(500)}\r\ncontent-length: 0\r\n\r\n`)],
    ['says 102 for ever', trickle('HTTP/1.1 102 Processing\r\n\r\n'.repeat(50))],
  ])('%s: the deadline holds, the connection goes, and nobody asks again', async (_, answer) => {
    const bad = await serving(answer);
    const mesh = openMesh(bad);
    expect(await failure(mesh.fetch('http://reviews/', LIMIT))).toMatchObject(late);
    expect(bad.asked).toBe(1);
    await vi.waitFor(() => expect(bad.sockets.size).toBe(0), WAIT);
    const told = await throughProxy(mesh, 'GET', { 'x-envoy-upstream-rq-timeout-ms': '120' });
    expect(told).toMatchObject({ status: 504, flag: 'UT' });
  });

  test('within the body: the deadline cuts it', async () => {
    const bad = await serving(trickle(`HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n${'x'.repeat(500)}`));
    const mesh = openMesh(bad);
    const response = await mesh.fetch('http://reviews/', { mesh: { timeoutMs: 900 } });
    expect(await failure(response.text())).toMatchObject({ message: 'terminated', code: 'DEADLINE_EXCEEDED' });
    await vi.waitFor(() => expect(bad.sockets.size).toBe(0), WAIT);
  });

  test('stops reading: an upload ends with its deadline, and does not fill the memory', async () => {
    const bad = await tcpServer((socket) => socket.pause());
    servers.push(bad);
    const mesh = openMesh(bad);
    let pulled = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 65_536;
        controller.enqueue(new Uint8Array(65_536));
      },
      cancel() {
        cancelled = true;
      },
    });
    const init = { method: 'POST', body, duplex: 'half', ...LIMIT } as const;
    expect(await failure(mesh.fetch('http://reviews/', init))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await vi.waitFor(() => expect(cancelled).toBe(true), WAIT);
    // Both kernels' socket buffers together, and what is under way in between.
    expect(pulled).toBeLessThan(32 * 1_048_576);
    for (const socket of bad.sockets) socket.resume();
  });

  test('its half-open connection is not used for the next call', async () => {
    let first = true;
    const bad = await serving((socket) => {
      if (first) first = false;
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
    const mesh = openMesh(bad);
    await failure(mesh.fetch('http://reviews/', LIMIT));
    expect(await (await mesh.fetch('http://reviews/')).text()).toBe('ok');
    expect(bad.accepted()).toBe(2);
  });

  test('an answer after the reply has ended ends the connection, and the next call is not given it', async () => {
    const bad = await serving((socket) =>
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'),
    );
    const mesh = openMesh(bad);
    for (let i = 0; i < 5; i++) {
      const text = await mesh.fetch('http://reviews/').then(
        (response) => response.text(),
        () => 'failed',
      );
      expect(text).not.toBe('evil');
    }
  });
});

test('calls under way when the mesh is closed end with MESH_CLOSED, and so do those that come after', async () => {
  const bad = await serving(() => {});
  const mesh = openMesh(bad);
  const calls = Array.from({ length: 5 }, () => failure(mesh.fetch('http://reviews/')));
  await vi.waitFor(() => expect(bad.asked).toBe(5), WAIT);
  await mesh.close();
  for (const told of await Promise.all(calls)) expect(told.code).toBe('MESH_CLOSED');
  expect((await failure(mesh.fetch('http://reviews/'))).code).toBe('MESH_CLOSED');
});
