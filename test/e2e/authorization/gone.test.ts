import http2 from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { meshHandler } from '../../../src/server/http.js';
import { FRAMEWORKS } from '../../support/inbound-servers.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { openCarrier } from '../support/carriers.js';

/* Clients that send a request and are gone before anybody looks where it came from: nobody can tell that they may, so no handler runs. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const DENIED_NETWORK = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: deny-net }
spec: { targetRefs: [{ kind: Service, name: reviews }], action: DENY, rules: [{ from: [{ ipBlocks: ["127.0.0.0/8"] }] }] }
`;

async function reviews() {
  const { mesh, close } = await openCarrier('embedded', serviceYaml('reviews') + DENIED_NETWORK);
  closing.push(close);
  return { mesh, service: 'reviews' };
}

/** Sends that much and resets the connection. */
async function shoot(port: number, bytes: Uint8Array | string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  socket.write(bytes);
  socket.resetAndDestroy();
}

const REQUEST = 'POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0\r\n\r\n';

describe.each(Object.entries(FRAMEWORKS))('%s', (_, start) => {
  test('a request whose connection was reset does not get past a network that is denied', async () => {
    let handled = 0;
    const server = await start(() => void handled++, await reviews());
    for (let i = 0; i < 5; i++) await shoot(server.port, REQUEST);
    // Whoever was before is dealt with when this one is answered.
    const reply = await fetch(`http://127.0.0.1:${server.port}/`);
    closing.push(() => server.close());
    expect([reply.status, handled]).toEqual([403, 0]);
  });
});

test('node:http2: nor does one whose session is gone', async () => {
  let handled = 0;
  const handler = (_: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void => {
    handled++;
    response.end();
  };
  const server = http2.createServer(meshHandler(handler, await reviews()));
  server.on('sessionError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const bytes = await bytesOfRequest();
  for (let i = 0; i < 5; i++) await shoot(port, bytes);
  const session = http2.connect(`http://127.0.0.1:${port}`);
  closing.push(() => session.destroy());
  const stream = session.request({ ':path': '/', ':authority': 'reviews' });
  const status = await new Promise((resolve) => stream.once('response', (head) => resolve(head[':status'])));
  expect([status, handled]).toEqual([403, 0]);
});

test('node:http2: a session that ends while its request waits for policies ends nothing else', async () => {
  const { mesh, service } = await reviews();
  let handled = 0;
  const handler = meshHandler(
    (_: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
      handled++;
      response.end();
    },
    { mesh, service },
  );
  const outcomes: unknown[] = [];
  const server = http2.createServer((request, response) => {
    outcomes.push(handler(request, response));
    session.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => {});
  session.request({ ':path': '/', ':authority': 'reviews' }).on('error', () => {});
  await new Promise<void>((resolve) => session.once('close', () => resolve()));
  await new Promise<void>((resolve) => server.close(() => resolve()));
  expect([await Promise.all(outcomes), handled]).toEqual([[undefined], 0]);
});

/** What a client of HTTP/2 sends for a request. */
async function bytesOfRequest(): Promise<Uint8Array> {
  const taken: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      taken.push(data);
      if (hasHeaders(Buffer.concat(taken))) client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => {});
  const stream = client.request({ ':method': 'POST', ':path': '/', ':authority': 'reviews' });
  stream.on('error', () => {});
  stream.end();
  await new Promise<void>((resolve) => client.once('close', () => resolve()));
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return Buffer.concat(taken);
}

/** Whether a frame of type HEADERS has come, after the preface of 24 bytes (RFC 9113 sections 3.4 and 4.1). */
function hasHeaders(bytes: Buffer): boolean {
  for (let at = 24; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) if (bytes[at + 3] === 1) return true;
  return false;
}
