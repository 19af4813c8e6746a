import http from 'node:http';
import http2 from 'node:http2';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startProxy } from '../../../src/proxy/index.js';
import { settle } from '../../support/fake-clock.js';
import { MEBIBYTE, type PacedMesh, pacedMesh } from './paced-mesh.js';

/* Replies of 1 MiB over real sockets; time goes on a sixteenth of a second at a time, when the test says so. */

const WAIT = { timeout: 10_000, interval: 5 };
const SLICE_MS = 62.5;
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** What has come of a reply so far. */
interface Received {
  size: number;
  whole: boolean;
  error: unknown;
  chunks: Uint8Array[];
}

const received = (): Received => ({ size: 0, whole: false, error: undefined, chunks: [] });
const take = (into: Received, chunk: Uint8Array): void => {
  into.size += chunk.byteLength;
  into.chunks.push(chunk);
};

/** Ways to read the reply of the service. */
const readers: Readonly<Record<string, (paced: PacedMesh) => Promise<Received>>> = {
  fetch: async ({ mesh }) => {
    const got = received();
    const response = await mesh.fetch('http://reviews/');
    const read = async (): Promise<void> => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) take(got, chunk);
      got.whole = true;
    };
    read().catch((error: unknown) => {
      got.error = error;
    });
    return got;
  },
  'the proxy, HTTP/1.1': async ({ mesh }) => {
    const got = received();
    const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const request = http.get({ port: proxy.port, host: '127.0.0.1', headers: { host: 'reviews' }, agent: false });
    request.on('error', (error) => {
      got.error = error;
    });
    request.on('response', (response) => {
      response.on('data', (chunk: Buffer) => take(got, chunk));
      response.on('end', () => {
        got.whole = response.complete;
      });
      response.on('error', (error) => {
        got.error = error;
      });
    });
    return got;
  },
  'the proxy, HTTP/2': async ({ mesh }) => {
    const got = received();
    const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
    session.on('error', () => {});
    opened.push(() => session.destroy());
    const stream = session.request({ ':path': '/', ':authority': 'reviews' });
    stream.on('data', (chunk: Buffer) => take(got, chunk));
    stream.on('end', () => {
      got.whole = stream.rstCode === 0;
    });
    stream.on('error', (error) => {
      got.error = error;
    });
    return got;
  },
};

const ways = (['HTTP/1.1', 'HTTP/2'] as const).flatMap((upstream) =>
  Object.keys(readers).map((reader) => ({ upstream, reader })),
);

describe.each(ways)('a reply of 1 MiB from a service over $upstream, read by $reader', ({ upstream, reader }) => {
  const open = async (policy: string) => {
    const paced = await pacedMesh(upstream, policy);
    opened.push(() => paced.close());
    const got = await (readers[reader] as NonNullable<(typeof readers)[string]>)(paced);
    return { ...paced, got };
  };

  test('comes no faster than it is throttled to, and whole; then no timer is left', async () => {
    const bytesPerSecond = 1_048_576;
    const slice = bytesPerSecond / 16;
    const { got, clock, mesh } = await open(`throttle: { bytesPerSecond: ${bytesPerSecond} }`);
    await vi.waitFor(() => expect(got.size).toBeGreaterThan(0), WAIT);
    const startedAt = clock.now();
    let ticks = 0;
    while (!got.whole && got.error === undefined && ticks < 20_000) {
      await clock.advance(SLICE_MS);
      ticks++;
      for (let turn = 0; turn < 5; turn++) await settle();
      const most = slice + ((clock.now() - startedAt) * bytesPerSecond) / 1_000;
      expect(got.size).toBeLessThanOrEqual(most);
    }
    expect([got.error, got.whole, ticks >= 15]).toEqual([undefined, true, true]);
    expect(Buffer.compare(Buffer.concat(got.chunks), MEBIBYTE)).toBe(0);
    await mesh.close();
    expect(clock.pending).toBe(0);
  });

  test('breaks off where it is truncated, and nobody takes it for whole', async () => {
    const { got, mesh, clock } = await open('truncate: { afterBytes: 100000 }');
    await vi.waitFor(() => expect(got.error).toBeDefined(), WAIT);
    expect([got.whole, got.size <= 100_000]).toEqual([false, true]);
    if (reader === 'fetch') expect(got.size).toBe(100_000);
    await mesh.close();
    expect(clock.pending).toBe(0);
  });

  test('a mesh that closes in the middle of a throttled reply ends it, and leaves no timer', async () => {
    const { got, mesh, clock } = await open('throttle: { bytesPerSecond: 1024 }');
    await vi.waitFor(() => expect(got.size).toBeGreaterThan(0), WAIT);
    await mesh.close();
    await vi.waitFor(() => expect(got.error).toBeDefined(), WAIT);
    expect([got.whole, clock.pending]).toEqual([false, 0]);
  });
});

describe('a connection cut on purpose', () => {
  test('is a reset of the stream to an HTTP/2 client of the proxy, and its other streams go on', async () => {
    const only = 'reset: {}, headers: [{ name: x-user, value: tester }]';
    const paced = await pacedMesh('HTTP/1.1', only);
    opened.push(() => paced.close());
    const proxy = await startProxy({ service: paced.mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
    opened.push(() => session.destroy());
    const ask = (headers: http2.OutgoingHttpHeaders): Promise<unknown> =>
      new Promise((resolve) => {
        const stream = session.request({ ':path': '/', ':authority': 'reviews', ...headers });
        let status: unknown;
        stream.on('response', (head) => {
          status = head[':status'];
        });
        stream.on('error', () => {});
        stream.on('close', () => resolve(status ?? `reset ${stream.rstCode}`));
        stream.resume();
      });
    const answers = await Promise.all([ask({}), ask({ 'x-user': 'tester' }), ask({})]);
    expect(answers).toEqual([200, `reset ${http2.constants.NGHTTP2_INTERNAL_ERROR}`, 200]);
    expect(paced.seen.count).toBe(2);
  });

  test('is a reset of the connection to an HTTP/1.1 client of the proxy', async () => {
    const paced = await pacedMesh('HTTP/1.1', 'reset: {}');
    opened.push(() => paced.close());
    const proxy = await startProxy({ service: paced.mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const error = await new Promise((resolve) => {
      const request = http.get({ port: proxy.port, host: '127.0.0.1', headers: { host: 'reviews' }, agent: false });
      request.on('error', resolve);
      request.on('response', resolve);
    });
    expect((error as { code: string }).code).toBe('ECONNRESET');
    expect(paced.seen.count).toBe(0);
  });
});

test('a mesh that closes ends the calls that are held up, and leaves no timer', async () => {
  const { mesh, clock, seen, close } = await pacedMesh('HTTP/1.1', 'delay: { fixedDelay: 1h }');
  opened.push(close);
  const failing = mesh.fetch('http://reviews/').catch((error: unknown) => error);
  await vi.waitFor(() => expect(mesh.prometheus()).toContain('mesh_fault="delay"'), WAIT);
  await mesh.close();
  expect(await failing).toMatchObject({ code: 'MESH_CLOSED' });
  expect([clock.pending, seen.count]).toEqual([0, 0]);
});
