import { createServer, type IncomingMessage, request, type RequestListener, type Server } from 'node:http';
import { connect, createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import type { HeaderMutation } from '../../../src/core/model/route.js';
import type { ServableServer } from '../../../src/server/xds/index.js';
import { chain, freeAddress, listener, route, type Served, serve, table } from './support.js';

/** Header changes of routes, as an application and its callers see them; real servers, real sockets. */
const mutation = (fields: Partial<HeaderMutation>): HeaderMutation => ({ remove: [], set: [], ...fields });
const set = (
  name: string,
  value: string,
  action: HeaderMutation['set'][number]['action'] = 'append',
): HeaderMutation['set'][number] => ({ name, value, action });

let served: Served;
let url: string;
const closers: (() => void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await served.close();
});

async function under(
  server: ServableServer,
  changes: { requestHeaders?: HeaderMutation; responseHeaders?: HeaderMutation },
): Promise<void> {
  const address = await freeAddress();
  url = `http://127.0.0.1:${address.port}`;
  served = serve(server, address);
  const config = table([{ ...route('/'), ...changes }]);
  served.config.changed(
    listener(address, { defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config } }) }),
  );
  await served.serving.ready();
}

interface Answer {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function http1(headers: readonly string[] = []): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { agent: false, headers: ['Host', 'a', ...headers] as never },
      (response: IncomingMessage) => {
        let body = '';
        response.on('data', (part) => {
          body += part;
        });
        response.on('end', () => resolve({ headers: response.headers, body }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function http2(headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const session = connect(url);
  closers.push(() => session.destroy());
  const stream = session.request({ ':path': '/', ...headers });
  return new Promise((resolve, reject) => {
    let received: Answer['headers'] = {};
    let body = '';
    stream.on('response', (fields) => {
      received = fields;
    });
    stream.on('data', (part) => {
      body += part;
    });
    stream.on('error', reject);
    stream.on('end', () => resolve({ headers: received, body }));
  });
}

const REQUEST = mutation({
  remove: ['x-secret', 'content-length', 'connection'],
  set: [
    set('x-added', 'a'),
    set('x-more', 'b'),
    set('x-over', 'new', 'overwrite'),
    set('x-absent', 'kept out', 'addIfAbsent'),
    set('x-none', 'kept out', 'overwriteIfExists'),
    set('cookie', 'c=3'),
  ],
});
/** What the application has of the request, by name and as it came. */
const seen = {
  named: { 'x-added': 'a', 'x-more': 'a, b', 'x-over': 'new', 'x-absent': 'there', cookie: 'a=1; c=3', 'x-kept': '1' },
  raw: ['a', 'a', 'b', 'new', 'there', 'a=1', 'c=3', '1'].sort(),
};
const INTERESTING = /^(x-|cookie$)/i;
const describeRequest = (headers: object, raw: readonly string[]): string =>
  JSON.stringify({
    named: Object.fromEntries(Object.entries(headers).filter(([name]) => INTERESTING.test(name))),
    raw: raw.filter((_, i) => i % 2 === 1 && INTERESTING.test(raw[i - 1] as string)).sort(),
  });

describe('a request', () => {
  it('of HTTP/1.1 is changed in every form that node:http has', async () => {
    const server = createServer((incoming, response) => {
      const { headersDistinct: one } = incoming;
      expect([one['x-more'], one['x-secret'], one['x-over']]).toEqual([['a', 'b'], undefined, ['new']]);
      response.end(describeRequest(incoming.headers, incoming.rawHeaders));
    });
    await under(server, { requestHeaders: REQUEST });
    const answer = await http1(
      ['X-Secret', 's', 'X-More', 'a', 'X-Over', 'old', 'X-Absent', 'there', 'Cookie', 'a=1', 'X-Kept', '1'].flat(),
    );
    expect(JSON.parse(answer.body)).toEqual(seen);
  });

  it('of HTTP/2 is, for node:http’s interface and on the stream', async () => {
    const server = createHttp2Server((incoming, response) => {
      response.end(describeRequest(incoming.headers, incoming.rawHeaders));
    });
    const fromStream: string[] = [];
    server.on('stream', (_: unknown, headers: object, __: unknown, raw: string[]) =>
      fromStream.push(describeRequest(headers, raw)),
    );
    await under(server, { requestHeaders: REQUEST });
    const answer = await http2({
      'x-secret': 's',
      'x-more': 'a',
      'x-over': 'old',
      'x-absent': 'there',
      cookie: 'a=1',
      'x-kept': '1',
    });
    expect(JSON.parse(answer.body)).toEqual(seen);
    expect(fromStream.map((text) => JSON.parse(text))).toEqual([seen]);
  });
});

const RESPONSE = mutation({
  remove: ['x-powered-by', 'content-length', 'transfer-encoding', 'connection'],
  set: [
    set('x-mesh', '1'),
    set('content-type', 'text/html'),
    set('set-cookie', 'b=2'),
    set('cache-control', 'no-store', 'overwrite'),
    set('connection', 'upgrade'),
  ],
});
const changed = {
  'x-mesh': '1',
  'content-type': 'text/plain, text/html',
  'set-cookie': ['a=1', 'b=2'],
  'cache-control': 'no-store',
};
const own = { 'content-type': 'text/plain', 'set-cookie': 'a=1', 'Cache-Control': 'public', 'X-Powered-By': 'x' };

describe('a response', () => {
  const ways: Record<string, RequestListener> = {
    'an object given to writeHead': (_, response) => response.writeHead(200, { ...own }).end('ok'),
    'an object after a reason': (_, response) => response.writeHead(200, 'Fine', { ...own }).end('ok'),
    'a list given to writeHead': (_, response) => response.writeHead(200, Object.entries(own).flat()).end('ok'),
    'pairs given to writeHead': (_, response) =>
      response.writeHead(200, Object.entries(own) as unknown as string[]).end('ok'),
    'setHeader alone': (_, response) => {
      for (const [name, value] of Object.entries(own)) response.setHeader(name, value);
      response.write('o');
      response.end('k');
    },
    'setHeader, and flushHeaders': (_, response) => {
      for (const [name, value] of Object.entries(own)) response.setHeader(name, value);
      response.flushHeaders();
      response.end('ok');
    },
  };

  it.each(Object.entries(ways))('of HTTP/1.1 is changed once, whatever makes its head: %s', async (_, listen) => {
    await under(createServer(listen) satisfies Server, { responseHeaders: RESPONSE });
    const { headers, body } = await http1();
    expect(headers).toMatchObject(changed);
    expect(headers['x-powered-by']).toBeUndefined();
    expect(headers['connection']).toBe('close');
    expect(body).toBe('ok');
  });

  it('a second head is still the mistake that it is', async () => {
    const problems: unknown[] = [];
    const server = createServer((_, response) => {
      response.writeHead(200, { ...own });
      try {
        response.writeHead(200);
      } catch (error) {
        problems.push((error as { code: string }).code);
      }
      response.end('ok');
    });
    await under(server, { responseHeaders: RESPONSE });
    expect((await http1()).headers).toMatchObject(changed);
    expect(problems).toEqual(['ERR_HTTP_HEADERS_SENT']);
  });

  const streams: Record<string, (server: Http2Server) => void> = {
    'node:http’s interface': (server) =>
      server.on('request', (_, response) => response.writeHead(200, { ...own }).end('ok')),
    respond: (server) =>
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.respond({ ':status': 200, ...own });
        stream.end('ok');
      }),
    respondWithFile: (server) =>
      server.on('stream', (stream: ServerHttp2Stream) =>
        stream.respondWithFile(import.meta.filename, { ':status': 200, ...own }, { length: 2 }),
      ),
  };

  it.each(Object.entries(streams))('of HTTP/2 is, by %s', async (_, listen) => {
    const server = createHttp2Server();
    listen(server);
    await under(server, { responseHeaders: RESPONSE });
    const { headers, body } = await http2();
    expect(headers).toMatchObject(changed);
    expect(headers['x-powered-by']).toBeUndefined();
    expect(body).toHaveLength(2);
  });
});
