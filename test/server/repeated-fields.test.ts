import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { meshHandler } from '../../src/server/http.js';
import { viewOf } from '../../src/server/view.js';

/* Of some fields Node hands an application the first value only, when they are repeated. Limits and routes are to look at what it looks at. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Sends a request with these fields as they stand, and resolves with the first line of the reply. */
async function serving(listener: Parameters<typeof createServer>[1], options: Parameters<typeof createServer>[0] = {}) {
  const server = createServer(options as object, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  return (...fields: string[]): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      let text = '';
      const lines = ['GET / HTTP/1.1', 'Host: a', 'Connection: close', ...fields, '', ''];
      const socket = connect(port, '127.0.0.1', () => socket.write(lines.join('\r\n')));
      socket.on('data', (bytes) => {
        text += bytes;
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text.split('\r\n')[0]));
    });
}

test('a second Authorization, which the application never sees, is no way to count as somebody else', async () => {
  const limits = { requests: 1, perMs: 600_000, key: [{ header: 'authorization' }] };
  const ask = await serving(meshHandler((_, response) => response.end('ok'), { limits }));
  const good = 'Authorization: Bearer good';
  expect(await ask(good)).toBe('HTTP/1.1 200 OK');
  for (const other of ['x1', 'x2']) {
    expect(await ask(good, `Authorization: ${other}`)).toBe('HTTP/1.1 429 Too Many Requests');
  }
  expect(await ask('Authorization: x3', good)).toBe('HTTP/1.1 200 OK');
});

test('of each field policies see the values that the application sees', async () => {
  const seen: unknown[] = [];
  const names = ['authorization', 'user-agent', 'referer', 'x-many', 'cookie', 'accept'];
  const ask = async (joined: boolean): Promise<void> => {
    const send = await serving(
      (request, response) => {
        const { headers } = viewOf(request);
        seen.push(names.map((name) => headers[name]));
        response.end();
      },
      { joinDuplicateHeaders: joined },
    );
    await send(...names.flatMap((name) => [`${name}: a`, `${name}: b`]));
  };
  await ask(false);
  expect(seen.pop()).toEqual([['a'], ['a'], ['a'], ['a', 'b'], ['a', 'b'], ['a', 'b']]);
  await ask(true);
  expect(seen.pop()).toEqual(names.map(() => ['a', 'b']));
});
