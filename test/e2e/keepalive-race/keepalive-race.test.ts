import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type Mesh, meshClient } from '../../../src/index.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A service that says nothing of how long it keeps idle connections, as most do not (`Connection: keep-alive` is all). */
async function service(listener: RequestListener, onConnection?: (socket: Socket) => void): Promise<string> {
  const server: Server = createServer((request, response) => {
    response.setHeader('connection', 'keep-alive');
    listener(request, response);
  });
  if (onConnection !== undefined) server.on('connection', onConnection);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
  );
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function meshTo(...endpoints: string[]): Mesh {
  const mesh = meshClient({ services: { reviews: endpoints } });
  closing.push(() => mesh.close());
  return mesh;
}

const retries = (mesh: Mesh): string[] =>
  mesh
    .prometheus()
    .split('\n')
    .filter((line) => /^mesh_client_retries/.test(line) && !line.endsWith(' 0'));

describe('a service that closes idle connections as they are used again', () => {
  test('fails no idempotent call, though it does so with every connection, and no retry is made', async () => {
    const served = new Map<Socket, number>();
    let crossed = 0;
    const endpoint = await service((request, response) => {
      const count = (served.get(request.socket) ?? 0) + 1;
      served.set(request.socket, count);
      // Every other request meets a connection that is ended under it, without a byte of an answer.
      if (count === 2) {
        crossed++;
        request.socket.destroy();
      } else response.end('ok');
    });
    const mesh = meshTo(endpoint);
    for (let i = 0; i < 100; i++) {
      const reply = await mesh.fetch('http://reviews/', {
        method: i % 3 === 0 ? 'PUT' : 'GET',
        ...(i % 3 === 0 && { body: 'x' }),
      });
      expect([reply.status, await reply.text()]).toEqual([200, 'ok']);
    }
    expect(crossed).toBeGreaterThanOrEqual(49);
    expect(served.size).toBe(crossed + 1);
    expect(retries(mesh)).toEqual([]);
  });

  test('fails no idempotent call of many at once', async () => {
    const served = new Map<Socket, number>();
    const endpoint = await service((request, response) => {
      const count = (served.get(request.socket) ?? 0) + 1;
      served.set(request.socket, count);
      if (count % 2 === 0) request.socket.resetAndDestroy();
      else response.end('ok');
    });
    const mesh = meshTo(endpoint);
    for (let round = 0; round < 10; round++) {
      const replies = await Promise.all(Array.from({ length: 20 }, () => mesh.fetch('http://reviews/')));
      expect(await Promise.all(replies.map((reply) => reply.text()))).toEqual(Array.from({ length: 20 }, () => 'ok'));
    }
    expect(retries(mesh)).toEqual([]);
  });

  test('fails no idempotent call when the end of the connection is on its way while the request is', async () => {
    const endpoint = await service((request, response) => {
      const { socket } = request;
      // As a server does whose idle time is over at once: the answer, and the end right behind it.
      response.end('ok', () => setImmediate(() => socket.end()));
    });
    const mesh = meshTo(endpoint);
    for (let i = 0; i < 200; i++) {
      const reply = await mesh.fetch('http://reviews/');
      expect(await reply.text()).toBe('ok');
      // Turns of the loop, fewer and more: the next request goes out before, while and after the end comes in.
      for (let turn = 0; turn < i % 7; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(retries(mesh)).toEqual([]);
  });

  test('has a POST fail, with an error that says that it may have been done', async () => {
    const served = new Map<Socket, number>();
    const bodies: string[] = [];
    const endpoint = await service((request, response) => {
      const count = (served.get(request.socket) ?? 0) + 1;
      served.set(request.socket, count);
      request.setEncoding('utf8').on('data', (text: string) => bodies.push(text));
      request.on('end', () => {
        if (count === 2) request.socket.destroy();
        else response.end('ok');
      });
    });
    const mesh = meshTo(endpoint);
    const post = (): Promise<Response> => mesh.fetch('http://reviews/', { method: 'POST', body: 'order' });
    expect(await (await post()).text()).toBe('ok');
    await expect(post()).rejects.toMatchObject({ cause: { code: 'CONNECTION_LOST', reached: 'maybe' } });
    expect(bodies).toEqual(['order', 'order']);
    const idempotent = { method: 'POST', body: 'order', mesh: { idempotent: true } };
    await (await mesh.fetch('http://reviews/', idempotent)).text();
    expect((await mesh.fetch('http://reviews/', idempotent)).status).toBe(200);
  });
});
