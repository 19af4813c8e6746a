import type { IncomingMessage, ServerResponse } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { meshHandler } from '../../../src/server/http.js';
import type { Mood } from '../../support/ext-authz-server.js';
import { listening } from '../../support/inbound-servers.js';
import { Http2Sessions, rawHttp1, rawHttp2 } from '../../support/raw-requests.js';
import { type Opened, SERVED } from '../support/served.js';
import { meshAsking } from './support.js';

const opened: Opened = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const meshWith = (protocol: string, mood: Mood, spec = '') => meshAsking(opened, protocol, mood, spec);

describe.each(['grpc', 'http'])('a service over %s', (protocol) => {
  describe.each(SERVED)('$name', ({ grpc: isGrpc, start }) => {
    test('lets requests in that it allows, and nobody whom it denies', async () => {
      let mood: ReturnType<Mood> = 'allow';
      const { mesh, service } = await meshWith(protocol, () => mood);
      const server = await start(mesh, 'reviews', opened);
      expect((await server.ask()).status).toBe(isGrpc ? 0 : 200);
      expect(service.asked).toHaveLength(1);
      mood = 'deny';
      // 418 is UNKNOWN in gRPC (grpc/doc/http-grpc-status-mapping.md).
      expect((await server.ask()).status).toBe(isGrpc ? 2 : 418);
      mood = 'broken';
      expect((await server.ask()).status).toBe(isGrpc ? 7 : 403);
    });
  });

  describe('that refuses everybody, where requests pass while it does not answer', () => {
    const SAYS: readonly Readonly<Record<string, string>>[] = [
      { 'grpc-timeout': '1u' },
      { 'x-envoy-expected-rq-timeout-ms': '1' },
      { 'x-envoy-expected-rq-timeout-ms': '0' },
      { 'inmesh-timeout-ms': '1' },
      { 'inmesh-timeout-ms': '0' },
    ];
    test.each(SAYS)('is asked whatever the client says of its patience: %o', async (headers) => {
      const { mesh, service } = await meshWith(protocol, () => 'deny', 'onFailure: allow');
      let handled = 0;
      const { port, close } = await listening(
        meshHandler(
          (_: IncomingMessage, response: ServerResponse) => {
            handled++;
            response.end();
          },
          { mesh, service: 'reviews' },
        ),
      );
      opened.push(close);
      const reply = await fetch(`http://127.0.0.1:${port}/`, { headers });
      expect([reply.status, service.asked.length, handled]).toEqual([418, 1, 0]);
    });

    const PARTS = 'onFailure: allow, includeRequestBody: { maxBytes: 10, allowPartial: true }';
    const WHOLE = 'onFailure: allow, includeRequestBody: { maxBytes: 10 }';
    test.each(SERVED)('is asked with bodies, too: $name', async ({ grpc: isGrpc, start }) => {
      let handled = 0;
      const { mesh, service } = await meshWith(protocol, () => 'deny', PARTS);
      const server = await start(mesh, 'reviews', opened, () => void handled++);
      expect([(await server.ask()).status, service.asked.length, handled]).toEqual([isGrpc ? 2 : 418, 1, 0]);
    });

    test.each(SERVED)('lets none through whose body it is shown whole: $name', async (face) => {
      let handled = 0;
      const { mesh } = await meshWith(protocol, () => 'deny', WHOLE);
      const server = await face.start(mesh, 'reviews', opened, () => void handled++);
      await server.ask();
      expect(handled).toBe(0);
    });

    test.each([PARTS, WHOLE])('over HTTP/2, too (%s)', async (spec) => {
      const { mesh } = await meshWith(protocol, () => 'deny', spec);
      let handled = 0;
      const handler = (_: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void => {
        handled++;
        response.end();
      };
      const server = http2.createServer(meshHandler(handler, { mesh, service: 'reviews' }));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const sessions = new Http2Sessions((server.address() as AddressInfo).port);
      opened.push(() => server.close());
      opened.push(() => sessions.close());
      const status = await rawHttp2(sessions.get(), { why: '', target: '/' });
      expect([status, handled]).toEqual([418, 0]);
    });
  });

  test('is asked about no path that can be read in two ways: such requests are refused', async () => {
    const { mesh, service } = await meshWith(protocol, () => 'allow');
    let handled = 0;
    const { port, close } = await listening(
      meshHandler(
        (_: IncomingMessage, response: ServerResponse) => {
          handled++;
          response.end();
        },
        { mesh, service: 'reviews' },
      ),
    );
    opened.push(close);
    const targets = ['/../healthz', '/..//healthz', '/%2e%2e/healthz', '/a%2f..%2fb', '/../healthz?/secret'];
    const statuses = [];
    for (const target of targets) statuses.push(await rawHttp1(port, { why: '', target }));
    expect([statuses, service.asked.length, handled]).toEqual([targets.map(() => 400), 0, 0]);
  });

  test('is shown the request, and what it says reaches application and client', async () => {
    const { mesh, service } = await meshWith(protocol, () => 'allow');
    const { port, close } = await listening(
      meshHandler(
        (request: IncomingMessage, response: ServerResponse) => {
          const { 'x-user': user, 'x-secret': secret, 'x-list': list, host } = request.headers;
          response.end(JSON.stringify({ user, secret, list, host: host !== 'evil' }));
        },
        { mesh, service: 'reviews' },
      ),
    );
    opened.push(close);
    const reply = await fetch(`http://127.0.0.1:${port}/a/b?c=d`, {
      method: 'PUT',
      headers: { 'x-user': 'root', 'x-secret': 's', 'x-list': 'a', 'x-tenant': 't', authorization: 'Basic x' },
    });
    expect(await reply.json()).toEqual(
      protocol === 'grpc'
        ? { user: 'ada', list: 'a, b', host: true }
        : { user: 'ada', secret: 's', list: 'a', host: true },
    );
    expect(reply.headers.get('x-checked')).toBe('yes');
    const [asked] = service.asked;
    expect(asked).toMatchObject({ method: 'PUT', path: '/a/b?c=d' });
    expect(asked?.headers).toMatchObject({ authorization: 'Basic x', 'x-tenant': 't' });
    expect(asked?.headers['x-secret']).toBe(protocol === 'grpc' ? 's' : undefined);
  });

  test('gives the refusal its status, headers and body', async () => {
    const { mesh } = await meshWith(protocol, () => 'deny');
    const { port, close } = await listening(
      meshHandler((_: IncomingMessage, response: ServerResponse) => void response.end('served'), {
        mesh,
        service: 'reviews',
      }),
    );
    opened.push(close);
    const reply = await fetch(`http://127.0.0.1:${port}/`);
    expect([reply.status, reply.headers.get('x-why'), await reply.text()]).toEqual([418, 'teapot', 'no tea']);
  });

  test('is shown the body, which the application has whole', async () => {
    const { mesh, service } = await meshWith(protocol, () => 'allow', 'includeRequestBody: { maxBytes: 10 }');
    const { port, close } = await listening(
      meshHandler(
        async (request: IncomingMessage, response: ServerResponse) => {
          const chunks: Buffer[] = [];
          for await (const chunk of request) chunks.push(chunk as Buffer);
          response.end(Buffer.concat(chunks));
        },
        { mesh, service: 'reviews' },
      ),
    );
    opened.push(close);
    const send = async (body: string): Promise<readonly unknown[]> => {
      const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body });
      return [reply.status, await reply.text()];
    };
    expect(await send('0123456789')).toEqual([200, '0123456789']);
    expect(service.asked.at(-1)?.body).toBe('0123456789');
    expect((await send('0123456789X'))[0]).toBe(413);
    expect(service.asked).toHaveLength(1);
    const get = await fetch(`http://127.0.0.1:${port}/`);
    expect([get.status, await get.text()]).toEqual([200, '']);
  });
});
