import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ProxyOptions, startProxy } from '../../src/proxy/index.js';
import { runCommand } from '../support/cli.js';
import { serviceYaml } from '../support/mesh-yaml.js';
import { CARRIERS, openCarrier } from '../e2e/support/carriers.js';
import { answerOf, Cleanup, get, listening, session } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const says =
  (name: string) =>
  async (request: IncomingMessage | http2.Http2ServerRequest, response: ServerResponse | http2.Http2ServerResponse) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const host = request.headers[':authority'] ?? request.headers.host;
    (response as ServerResponse).end(`${name} ${request.httpVersion} ${host} ${request.url} ${body}`);
  };

const program = (name: string) => listening(cleanup, createServer(says(name)));

/** A mesh where `shop` is behind a proxy, and `web` somebody else; nobody may leave it, and no host is unknown. */
async function meshOf(carrier: (typeof CARRIERS)[number], web: number) {
  const yaml =
    serviceYaml('shop', `endpoints: ["127.0.0.1:1"]`) +
    serviceYaml('web', `endpoints: ["127.0.0.1:${web}"]`) +
    '---\napiVersion: inmesh.dev/v1alpha1\nkind: MeshConfig\nmetadata: { name: mesh }\nspec: { unknownHosts: deny, egress: { default: deny, deny: [{ cidrs: [127.0.0.0/8] }] } }\n';
  return cleanup.add(await openCarrier(carrier, yaml), (it) => it.close()).mesh;
}

async function proxyOf(mesh: Awaited<ReturnType<typeof meshOf>>, options: Omit<ProxyOptions, 'listen'>) {
  const { servers, meter } = mesh;
  const given: ProxyOptions = { servers, meter, policies: 'shop', listen: '127.0.0.1:0', ...options };
  const proxy = cleanup.add(await startProxy(given), (it) => it.close({ graceMs: 0 }));
  // On a machine that is busy, policies may be known later than requests wait for them.
  await vi.waitFor(
    async () => expect((await get(proxy.port, { headers: { host: 'shop' } })).text).not.toContain('are not known'),
    10_000,
  );
  return proxy;
}

describe.each(CARRIERS)('%s, a proxy in front of a program', (carrier) => {
  test.each(['shop', 'web', 'web.default.svc.cluster.local:80', 'example.com', '127.0.0.1:9', 'nobody'])(
    'sends what names %s to the program, over HTTP/1.1 and HTTP/2, with its host as it came',
    async (host) => {
      const [shop, web] = [await program('shop'), await program('web')];
      const proxy = await proxyOf(await meshOf(carrier, web.port), { app: `127.0.0.1:${shop.port}` });
      const posted = await get(proxy.port, { path: '/a?b=c', method: 'POST', headers: { host } }, 'hello');
      expect([posted.status, posted.text]).toEqual([200, `shop 1.1 ${host} /a?b=c hello`]);
      const absolute = await get(proxy.port, { path: `http://${host}/x`, headers: { host } });
      expect(absolute.text).toBe(`shop 1.1 ${host} /x `);
      const asked = session(cleanup, proxy).request({ ':path': '/d', ':authority': host, ':scheme': 'https' });
      expect(String((await answerOf(asked)).body)).toBe(`shop 1.1 ${host} /d `);
    },
  );
});

describe('a proxy in front of a program', () => {
  test('carries gRPC to it, under whatever authority it is called', async () => {
    const server = cleanup.add(new grpc.Server(), (it) => it.forceShutdown());
    const bytes = (value: Buffer): Buffer => value;
    const path = '/test/Get';
    const kinds = { requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes };
    const definition = { path, ...kinds, responseSerialize: bytes, responseDeserialize: bytes };
    server.addService(
      { get: definition },
      {
        get: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) =>
          done(null, Buffer.from(`${call.getHost()} ${call.request}`)),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    const proxy = await proxyOf(await meshOf('embedded', 1), { app: `127.0.0.1:${port}` });
    const client = cleanup.add(
      new grpc.Client(`127.0.0.1:${proxy.port}`, grpc.credentials.createInsecure(), {
        'grpc.default_authority': 'web',
      }),
      (it) => it.close(),
    );
    const answer = new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, bytes, String, Buffer.from('hello'), (error, text) =>
        error === null ? resolve(text) : reject(error),
      ),
    );
    expect(await answer).toBe('web hello');
  });

  test('speaks HTTP/2 to a program that speaks nothing else', async () => {
    const { port } = await listening(cleanup, http2.createServer(says('shop')));
    const app = { address: `localhost:${port}`, protocol: 'http2' as const };
    const proxy = await proxyOf(await meshOf('embedded', 1), { app });
    expect((await get(proxy.port, { headers: { host: 'web' } })).text).toBe('shop 2.0 web / ');
  });

  test('takes a request that has been here before: the program may ask others that ask it again', async () => {
    let again = true;
    const proxied = { port: 0 };
    const server = createServer(async ({ headers, url }, response) => {
      if (!again || url !== '/again') return void response.end(`via ${String(headers.via).split(',').length}`);
      again = false;
      response.end((await get(proxied.port, { headers: { host: 'shop', via: String(headers.via) } })).text);
    });
    const { port } = await listening(cleanup, server);
    const proxy = await proxyOf(await meshOf('embedded', 1), { app: `127.0.0.1:${port}` });
    proxied.port = proxy.port;
    expect((await get(proxy.port, { path: '/again', headers: { host: 'shop' } })).text).toBe('via 2');
  });

  test('says that the program does not listen, and serves once it does', async () => {
    const { server, port } = await program('shop');
    await new Promise((resolve) => server.close(resolve));
    const proxy = await proxyOf(await meshOf('embedded', 1), { app: `127.0.0.1:${port}` });
    const refused = await get(proxy.port, { headers: { host: 'shop' } });
    expect([refused.status, JSON.parse(refused.text)]).toMatchObject([
      503,
      { code: 'CONNECT_FAILED', origin: 'network' },
    ]);
  });

  test.each([
    [{ app: '127.0.0.1:15001', listen: '0.0.0.0:15001' }, 'is this proxy itself'],
    [{ app: 'localhost:15001', listen: '127.0.0.1:15001' }, 'is this proxy itself'],
    [{ app: '127.0.0.1:0' }, 'must have a port'],
    [{ app: 'nonsense' }, 'must be host:port'],
    [{ app: '127.0.0.1:1', gateway: true }, 'goes without options.gateway'],
    [{ app: '127.0.0.1:1', service: async () => Promise.reject(new Error()) }, 'goes without options.service'],
    [{ app: { address: '127.0.0.1:1', protocol: 'h3' as 'http1' } }, 'must be http1 or http2'],
    [{}, 'must be a service'],
  ] as const)('is refused with what is wrong: %j', async (options, message) => {
    await expect(proxyOf(await meshOf('embedded', 1), options)).rejects.toThrow(message);
  });
});

describe('a proxy that holds requests to the policies of a Service, and has no program', () => {
  const opened = async (options: Partial<ProxyOptions> = {}) => {
    const [shop, web] = [await program('shop'), await program('web')];
    const yaml =
      serviceYaml('shop', `endpoints: ["127.0.0.1:${shop.port}"]`) +
      serviceYaml('web', `endpoints: ["127.0.0.1:${web.port}"]`);
    const { mesh } = cleanup.add(await openCarrier('embedded', yaml), (it) => it.close());
    return proxyOf(mesh, { service: mesh.service, ...options });
  };

  test('passes on what is for that one, by any of its names', async () => {
    const proxy = await opened();
    for (const host of ['shop', 'shop:80', 'shop.default', 'shop.default.svc', 'shop.default.svc.cluster.local'])
      expect((await get(proxy.port, { headers: { host } })).text).toBe(`shop 1.1 ${host} / `);
  });

  test('refuses what is for another host, and names what would let it go', async () => {
    const proxy = await opened();
    for (const host of ['web', 'shop.other', 'shop.example.com', `127.0.0.1:${proxy.port}`]) {
      const { status, text } = await get(proxy.port, { headers: { host } });
      expect([status, JSON.parse(text).code]).toEqual([421, 'MISDIRECTED']);
      expect(text).toMatch(/--app.*--gateway/);
    }
    const asked = session(cleanup, proxy).request({ ':path': '/', ':authority': 'web' });
    expect((await answerOf(asked)).headers[':status']).toBe(421);
    const grpcAsked = session(cleanup, proxy).request({
      ...{ ':path': '/a/b', ':authority': 'web', ':method': 'POST' },
      'content-type': 'application/grpc',
    });
    expect((await answerOf(grpcAsked)).headers['grpc-status']).toBe('12');
  });

  test('is a gateway to all hosts where that is said', async () => {
    const proxy = await opened({ gateway: true });
    expect((await get(proxy.port, { headers: { host: 'web' } })).text).toBe('web 1.1 web / ');
  });
});

describe('inmesh proxy --app', () => {
  test.each([
    [['--app', '127.0.0.1:1'], "needs '--policies <service>'"],
    [['--app', '127.0.0.1:1', '--policies', 'shop', '--gateway'], "cannot be used with option '--gateway'"],
    [['--app', 'nonsense', '--policies', 'shop'], 'It must be host:port'],
  ])('%j is a wrong use of it, and says why', async (args, message) => {
    const { code, err } = await runCommand(['proxy', ...args]);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});
