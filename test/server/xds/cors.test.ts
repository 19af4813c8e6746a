import { createServer, request } from 'node:http';
import { connect, createServer as createHttp2Server } from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import type { CorsPolicy, HeaderMutation } from '../../../src/core/model/route.js';
import type { ServableServer } from '../../../src/server/xds/index.js';
import { chain, freeAddress, listener, route, type Served, serve, table } from './support.js';

/** CORS as a browser meets it; real servers, real sockets. */
const ORIGIN = 'https://shop.example';
const CORS: CorsPolicy = {
  allowOrigin: [{ kind: 'exact', value: ORIGIN, ignoreCase: false }],
  allowMethods: 'GET, PUT',
  allowHeaders: 'x-a',
  exposeHeaders: 'x-total',
  maxAge: '600',
  allowCredentials: true,
  allowPrivateNetwork: false,
  forwardNotMatchingPreflights: true,
  enabled: 1,
  shadow: 0,
};

let served: Served;
let port: number;
const closers: (() => void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await served.close();
});

async function under(server: ServableServer, responseHeaders?: HeaderMutation): Promise<void> {
  const address = await freeAddress();
  ({ port } = address);
  served = serve(server, address);
  const config = table([{ ...route('/'), cors: CORS, responseHeaders }]);
  served.config.changed(
    listener(address, { defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config } }) }),
  );
  await served.serving.ready();
}

type Answer = Readonly<Record<string, unknown>>;

const http1 = (method: string, headers: Record<string, string>): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, method, headers, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve({ ':status': response.statusCode, ...response.headers }));
    });
    asked.on('error', reject);
    asked.end();
  });

function http2(method: string, headers: Record<string, string>): Promise<Answer> {
  const session = connect(`http://127.0.0.1:${port}`);
  closers.push(() => session.destroy());
  const stream = session.request({ ':path': '/', ':method': method, ...headers });
  return new Promise((resolve, reject) => {
    let received: Answer = {};
    stream.on('response', (fields) => {
      received = { ...fields };
    });
    stream.on('error', reject);
    stream.on('end', () => resolve(received));
    stream.resume();
  });
}

const PREFLIGHT = { origin: ORIGIN, 'access-control-request-method': 'PUT' };
let handled: string[] = [];
const servers: [string, () => ServableServer, typeof http1][] = [
  [
    'HTTP/1.1',
    () =>
      createServer((incoming, response) => {
        handled.push(incoming.method as string);
        response.setHeader('access-control-allow-origin', 'https://app.example');
        response.end('ok');
      }),
    http1,
  ],
  [
    'HTTP/2',
    () =>
      createHttp2Server((incoming, response) => {
        handled.push(incoming.method);
        response.setHeader('access-control-allow-origin', 'https://app.example');
        response.end('ok');
      }),
    http2,
  ],
];

describe.each(servers)('a browser over %s', (_, make, ask) => {
  it('has its preflight answered; the application does not hear of it', async () => {
    handled = [];
    await under(make());
    expect(await ask('OPTIONS', PREFLIGHT)).toMatchObject({
      ':status': 200,
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'x-a',
      'access-control-max-age': '600',
      'access-control-allow-credentials': 'true',
    });
    expect(handled).toEqual([]);
  });

  it('is told in the reply what it may do, whatever application and route say', async () => {
    handled = [];
    const contrary = {
      name: 'access-control-allow-origin',
      value: 'https://route.example',
      action: 'overwrite',
    } as const;
    await under(make(), { remove: [], set: [contrary] });
    expect(await ask('GET', { origin: ORIGIN })).toMatchObject({
      ':status': 200,
      'access-control-allow-origin': ORIGIN,
      'access-control-expose-headers': 'x-total',
      'access-control-allow-credentials': 'true',
    });
    expect(handled).toEqual(['GET']);
  });

  it('from another origin is left to the application, preflight or not', async () => {
    handled = [];
    await under(make());
    for (const method of ['OPTIONS', 'GET']) {
      const answer = await ask(method, { ...PREFLIGHT, origin: 'https://evil.example' });
      expect(answer['access-control-allow-origin']).toBe('https://app.example');
    }
    expect(handled).toEqual(['OPTIONS', 'GET']);
  });
});

it('formats of a response see all of its fields, and who asked', async () => {
  handled = [];
  const server = createServer((_incoming, response) => response.writeHead(201, { 'X-Up': 'u' }).end());
  await under(server, {
    remove: [],
    set: [
      {
        name: 'x-all',
        value: '%RESP(x-up)% %RESPONSE_CODE% %REQ(x-in)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %PROTOCOL%',
        action: 'append',
      },
    ],
  });
  expect(await http1('GET', { 'x-in': 'i' })).toMatchObject({ 'x-all': 'u 201 i 127.0.0.1 HTTP/1.1' });
});
