import { createServer, type IncomingHttpHeaders } from 'node:http';
import net, { type Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type MeshProxy, startProxy } from '../../src/proxy/index.js';
import { openCarrier } from '../e2e/support/carriers.js';
import { serviceYaml } from '../support/mesh-yaml.js';
import { Cleanup, get, listening, raw } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const POLICY = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: no-admin }
spec: { targetRefs: [{ kind: Service, name: shop }], action: DENY, rules: [{ to: [{ paths: ["/admin"] }] }] }
`;

/** Agrees to be asked for its connection, but for /no, and answers what comes in upper case. */
async function program() {
  const seen: { headers: IncomingHttpHeaders; url: string | undefined }[] = [];
  const tunnels: Socket[] = [];
  const server = createServer((request, response) => {
    seen.push({ headers: request.headers, url: request.url });
    response.end('no tunnel');
  });
  server.on('upgrade', (request, socket: Socket, head: Buffer) => {
    seen.push({ headers: request.headers, url: request.url });
    if (request.url === '/no') return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno');
    tunnels.push(socket);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n',
    );
    const answer = (chunk: Buffer) => socket.write(chunk.toString().toUpperCase());
    if (head.length > 0) answer(head);
    socket.on('data', answer);
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
  });
  const { port } = await listening(cleanup, server);
  return { port, seen, tunnels, server };
}

async function inFront(port: number): Promise<MeshProxy> {
  const yaml = serviceYaml('shop', `endpoints: ["127.0.0.1:1"]`) + POLICY;
  const { mesh } = cleanup.add(await openCarrier('embedded', yaml), (it) => it.close());
  const { servers, meter } = mesh;
  const options = { servers, meter, policies: 'shop', app: `127.0.0.1:${port}`, listen: '127.0.0.1:0' };
  const proxy = cleanup.add(await startProxy(options), (it) => it.close({ graceMs: 0 }));
  // On a machine that is busy, policies may be known later than requests wait for them.
  await vi.waitFor(async () => expect((await get(proxy.port, { path: '/admin' })).status).toBe(403), 10_000);
  return proxy;
}

const asking = (path: string, protocol = 'websocket'): string =>
  `GET ${path} HTTP/1.1\r\nhost: web:80\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\nsec-websocket-key: k\r\nx-forwarded-client-cert: forged\r\n\r\n`;

/** A client's side of the connection, and what came until `text` was in it. */
async function tunnelTo(port: number, first: string) {
  const socket = cleanup.add(net.connect(port, '127.0.0.1'), (it) => it.destroy());
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  const until = (wanted: string): Promise<string> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (text.includes(wanted)) resolve(text);
      };
      socket.on('data', look);
      look();
    });
  socket.write(first);
  return { socket, until };
}

describe('a WebSocket', () => {
  test('goes to the program behind the proxy, both ways, and whoever hangs up ends it for the other', async () => {
    const { port, seen, tunnels } = await program();
    const proxy = await inFront(port);
    for (const first of ['client', 'program'] as const) {
      const { socket, until } = await tunnelTo(proxy.port, `${asking('/chat?x=1')}early `);
      const text = await until('EARLY ');
      expect(text).toMatch(/^HTTP\/1\.1 101 .*sec-websocket-accept: x\r\n.*\r\n\r\nEARLY $/s);
      socket.write('hello');
      await until('HELLO');
      const [behind] = tunnels.splice(0) as [Socket];
      const [mine, other] = first === 'client' ? [socket, behind] : [behind, socket];
      const ended = new Promise((resolve) => other.once('close', resolve));
      mine.destroy();
      await ended;
    }
    expect(seen[0]).toMatchObject({ url: '/chat?x=1', headers: { host: 'web:80', 'sec-websocket-key': 'k' } });
    expect(seen[0]?.headers).not.toHaveProperty('x-forwarded-client-cert');
    expect(seen[0]?.headers.via).toMatch(/^1\.1 inmesh-/);
  });

  test('that the program does not want has its answer, and what was sent behind the request is no request', async () => {
    const { port, seen } = await program();
    const proxy = await inFront(port);
    const text = await raw(proxy.port, `${asking('/no')}GET /admin HTTP/1.1\r\nhost: shop\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 403 .*connection: close\r\n\r\nno$/s);
    expect(seen.map(({ url }) => url)).toEqual(['/no']);
  });

  test('that a policy refuses never comes to the program', async () => {
    const { port, seen } = await program();
    const proxy = await inFront(port);
    expect(await raw(proxy.port, asking('/admin'))).toMatch(/^HTTP\/1\.1 403 .*RBAC: access denied/s);
    expect(await raw(proxy.port, asking('/').replace('GET', 'POST'))).toMatch(/^HTTP\/1\.1 400 /);
    const withBody = asking('/').replace('\r\n\r\n', '\r\ncontent-length: 2\r\n\r\nab');
    expect(await raw(proxy.port, withBody)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(proxy.port, asking('/', 'h2c'))).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(proxy.port, asking('/', 'other'))).toMatch(/^HTTP\/1\.1 501 /);
    expect(seen).toEqual([]);
  });

  test('for a program that does not listen is refused', async () => {
    const { port, server } = await program();
    await new Promise((resolve) => server.close(resolve));
    const proxy = await inFront(port);
    expect(await raw(proxy.port, asking('/'))).toMatch(/^HTTP\/1\.1 503 .*CONNECT_FAILED/s);
  });
});
