import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigUnavailableError } from '../../../src/core/errors.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import { chain, freeAddress, listener, route, type Served, serve, table, until } from './support.js';

/** A node:http server, as Express and others bring one, under configuration from xDS; real sockets on loopback. */
describe('a node:http server', () => {
  let server: Server;
  let address: Address;
  let served: Served;
  const agents: Agent[] = [];
  const sockets: Socket[] = [];

  const start = async (): Promise<void> => {
    address = await freeAddress();
    served = serve(server, address);
  };
  /** One connection, used again and again. */
  const agent = (): Agent => {
    const made = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(made);
    return made;
  };

  beforeEach(async () => {
    server = createServer((incoming, response) => {
      response.end(`${incoming.method} ${incoming.url}`);
    });
    await start();
  });

  afterEach(async () => {
    for (const one of agents.splice(0)) one.destroy();
    for (const one of sockets.splice(0)) one.destroy();
    await served.close();
    expect(served.clock.pending).toBe(0);
    expect(served.config.watchers.size).toBe(0);
  });

  interface Answer {
    readonly status: number;
    readonly body: string;
    readonly connection: string | undefined;
  }

  function get(
    path: string,
    options: { agent?: Agent; headers?: Record<string, string>; method?: string } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { ...address, path, agent: options.agent ?? agent(), ...options },
        (response: IncomingMessage) => {
          let body = '';
          response.on('data', (chunk) => {
            body += chunk;
          });
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body, connection: response.headers.connection }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  /** What a connection says to `text` until it ends. */
  async function raw(text: string): Promise<string> {
    const socket = connect(address.port, address.host);
    sockets.push(socket);
    socket.write(text);
    let answer = '';
    for await (const part of socket) answer += part;
    return answer;
  }

  it('serves once its listener is there, and nothing listens before', async () => {
    await expect(get('/a')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    served.config.changed(listener(address));
    await served.serving.ready();
    expect(await get('/a')).toMatchObject({ status: 200, body: 'GET /a' });
    expect(served.modes).toEqual(['SERVING']);
  });

  it('requests go by the virtual host of their Host, then by the first route that matches; Envoy answers 404 for none', async () => {
    const routes = [
      route(
        '/users',
        { kind: 'non_forwarding' },
        {
          headers: [
            {
              name: 'x-team',
              match: { kind: 'exact', value: 'a,b', ignoreCase: false },
              invert: false,
              treatMissingAsEmpty: false,
            },
          ],
        },
      ),
      route('/open'),
    ];
    served.config.changed(
      listener(address, {
        defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table(routes, ['shop.example']) } }),
      }),
    );
    await served.serving.ready();
    const headers = { host: 'shop.example' };
    expect(await get('/open?x=1', { headers })).toMatchObject({ status: 200, body: 'GET /open?x=1' });
    expect(await get('/closed', { headers })).toMatchObject({
      status: 404,
      body: 'no route of this server matches the request\n',
    });
    expect(await get('/open')).toMatchObject({ status: 404 });
    expect(await get('/users', { headers: { ...headers, 'X-Team': 'a,b' } })).toMatchObject({ status: 200 });
    expect(await get('/users', { headers })).toMatchObject({ status: 404 });
  });

  it('the host of an absolute request target counts, not the Host field (RFC 9112 section 3.2.2)', async () => {
    const routes = { kind: 'inline', config: table([route('/in')], ['shop.example']) } as const;
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { routes }) }));
    await served.serving.ready();
    const head = 'Host: other.example\r\nConnection: close\r\n\r\n';
    expect(await raw(`GET http://shop.example/in HTTP/1.1\r\n${head}`)).toMatch(/^HTTP\/1.1 200 /);
    expect(
      await raw(`GET http://other.example/in HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n`),
    ).toMatch(/^HTTP\/1.1 404 /);
  });

  it('a request with several Host fields is 400, whatever they say: each reader might believe another one (RFC 9112 section 3.2)', async () => {
    const routes = { kind: 'inline', config: table([route('/in')], ['shop.example']) } as const;
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { routes }) }));
    await served.serving.ready();
    for (const target of ['/in', 'http://shop.example/in'])
      for (const other of ['other.example', 'shop.example'])
        expect(
          await raw(`GET ${target} HTTP/1.1\r\nHost: shop.example\r\nhost: ${other}\r\nConnection: close\r\n\r\n`),
        ).toMatch(/^HTTP\/1.1 400 [\s\S]*several Host fields/);
    const upgrade = 'Connection: upgrade\r\nUpgrade: websocket\r\n\r\n';
    server.on('upgrade', (_, socket) => socket.end('upgraded'));
    expect(await raw(`GET /in HTTP/1.1\r\nHost: shop.example\r\nHost: shop.example\r\n${upgrade}`)).toMatch(
      /^HTTP\/1.1 400 /,
    );
  });

  it('a route with another action, and a chain whose routes cannot be had, are 503; the server still serves (A36)', async () => {
    const routes = [route('/direct', { kind: 'direct', status: 200, body: new Uint8Array() }), route('/')];
    served.config.changed(
      listener(address, { defaultFilterChain: chain('c', {}, { routes: { kind: 'rds', name: 'r' } }) }),
      { r: table(routes) },
    );
    await served.serving.ready();
    const one = agent();
    expect(await get('/direct', { agent: one })).toMatchObject({ status: 503 });
    expect(served.log).toEqual([expect.stringContaining('route "route /direct" of virtual host "host" in "routes"')]);

    const same = listener(address, { defaultFilterChain: chain('d', {}, { routes: { kind: 'rds', name: 'r' } }) });
    served.config.changed(same, { r: new ConfigUnavailableError('gone') });
    expect(await get('/')).toMatchObject({
      status: 503,
      body: 'the route configuration of this server cannot be used\n',
    });
    expect(served.modes).toEqual(['SERVING']);
    served.config.changed(same, { r: table([route('/')]) });
    expect(await get('/')).toMatchObject({ status: 200 });
    expect(served.log.at(-1)).toBe('warn: xDS server: configuration no longer fails requests');
  });

  it('an update over RDS applies to the next request of a connection, which stays', async () => {
    const to = listener(address, { defaultFilterChain: chain('c', {}, { routes: { kind: 'rds', name: 'r' } }) });
    served.config.changed(to, { r: table([route('/a')]) });
    await served.serving.ready();
    const one = agent();
    expect(await get('/b', { agent: one })).toMatchObject({ status: 404, connection: 'keep-alive' });
    served.config.changed(to, { r: table([route('/b')]) });
    expect(await get('/b', { agent: one })).toMatchObject({ status: 200, connection: 'keep-alive' });
    expect(served.serving.connections).toBe(1);
  });

  it('a changed listener: the old connection is served as before, once, and told to go; new ones get the new routes at once', async () => {
    served.config.changed(
      listener(address, {
        defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table([route('/old')]) } }),
      }),
    );
    await served.serving.ready();
    const old = agent();
    expect(await get('/old', { agent: old })).toMatchObject({ status: 200, connection: 'keep-alive' });
    served.config.changed(
      listener(address, {
        defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table([route('/new')]) } }),
      }),
    );
    expect(await get('/new')).toMatchObject({ status: 200, connection: 'keep-alive' });
    expect(await get('/old', { agent: old })).toMatchObject({ status: 200, connection: 'close' });
    expect(await get('/old', { agent: old })).toMatchObject({ status: 404 });
    expect(served.modes).toEqual(['SERVING']);
  });

  it('a response under way while the listener changes is finished, and is the last of its connection', async () => {
    server.removeAllListeners('request');
    const finish: (() => void)[] = [];
    server.on('request', (_, response) => finish.push(() => response.end('done')));
    served.config.changed(listener(address));
    await served.serving.ready();
    const answer = get('/slow');
    await until(() => finish.length === 1);
    served.config.changed(listener(address, { defaultFilterChain: chain('changed') }));
    finish[0]?.();
    expect(await answer).toMatchObject({ status: 200, body: 'done', connection: 'close' });
    await until(() => served.serving.connections === 0);
  });

  it('who has not gone when the drain grace time is over is cut off', async () => {
    server.removeAllListeners('request');
    let asked = 0;
    server.on('request', () => {
      asked++;
    });
    served.config.changed(listener(address));
    await served.serving.ready();
    const hanging = get('/for/ever').catch((error: NodeJS.ErrnoException) => error.code);
    await until(() => asked === 1);
    served.config.changed(listener(address, { defaultFilterChain: chain('changed') }));
    await served.clock.advance(599_999);
    expect(served.serving.connections).toBe(1);
    await served.clock.advance(1);
    expect(await hanging).toBe('ECONNRESET');
    await until(() => served.serving.connections === 0);
  });

  it('without its listener the port is closed, idle connections end, and what was started is finished', async () => {
    server.removeAllListeners('request');
    const finish: (() => void)[] = [];
    server.on('request', (incoming, response) => {
      if (incoming.url === '/slow') finish.push(() => response.end('done'));
      else response.end();
    });
    served.config.changed(listener(address));
    await served.serving.ready();
    await get('/quick', { agent: agent() });
    const slow = get('/slow', { agent: agent() });
    await until(() => finish.length === 1);
    served.config.failed('listener is gone');
    expect(served.modes).toEqual(['SERVING', 'NOT_SERVING: listener is gone']);
    await until(() => served.serving.connections === 1);
    await expect(get('/new')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    finish[0]?.();
    expect(await slow).toMatchObject({ status: 200, body: 'done', connection: 'close' });
    await until(() => served.serving.connections === 0);

    served.config.changed(listener(address));
    await served.serving.ready();
    expect(await get('/quick')).toMatchObject({ status: 200 });
    expect(served.modes).toEqual(['SERVING', 'NOT_SERVING: listener is gone', 'SERVING']);
  });

  it('a connection that no chain takes is closed without a byte', async () => {
    served.config.changed(
      listener(address, {
        defaultFilterChain: undefined,
        filterChains: [chain('elsewhere', { sourceType: 'external' })],
      }),
    );
    await served.serving.ready();
    expect(await raw('GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe('');
    served.config.changed(
      listener(address, {
        defaultFilterChain: undefined,
        filterChains: [chain('here', { sourceType: 'same_ip_or_loopback' })],
      }),
    );
    expect(await get('/')).toMatchObject({ status: 200 });
  });

  it('max_stream_duration: 504 when nothing was answered, 408 when the request is not complete, cut off when the answer has begun', async () => {
    server.removeAllListeners('request');
    let asked = 0;
    const late: (() => void)[] = [];
    server.on('request', (incoming, response) => {
      asked++;
      if (incoming.url === '/begun') response.write('some');
      // The application does not know that it is too late.
      late.push(() => {
        response.writeHead(200);
        response.end('late');
      });
    });
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { maxStreamDurationMs: 1_000 }) }));
    await served.serving.ready();
    const silent = get('/silent');
    const begun = get('/begun').catch((error: NodeJS.ErrnoException) => error.code);
    const upload = raw('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123');
    await until(() => asked === 3);
    await served.clock.advance(1_004);
    expect(await silent).toMatchObject({ status: 504, connection: 'close' });
    expect(await upload).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/);
    expect(await begun).toBe('ECONNRESET');
    for (const answer of late) {
      try {
        answer();
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_HTTP_HEADERS_SENT' });
      }
    }
    expect(served.deadlines.slots).toBe(0);
  });

  it('a request in time stops its limit', async () => {
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { maxStreamDurationMs: 1_000 }) }));
    await served.serving.ready();
    const one = agent();
    expect(await get('/', { agent: one })).toMatchObject({ status: 200 });
    await served.clock.advance(2_000);
    expect(await get('/', { agent: one })).toMatchObject({ status: 200 });
    expect(served.serving.connections).toBe(1);
  });

  it('upgrades go by the routes too', async () => {
    server.on('upgrade', (_, socket) =>
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello'),
    );
    served.config.changed(
      listener(address, {
        defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table([route('/ws')]) } }),
      }),
    );
    await served.serving.ready();
    const ask = (path: string) =>
      raw(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n`);
    expect(await ask('/ws')).toMatch(/101 Switching Protocols[\s\S]*hello$/);
    expect(await ask('/other')).toMatch(/^HTTP\/1.1 404 Not Found\r\n/);
  });

  it('`Expect: 100-continue` is refused before the body is asked for', async () => {
    let asked = 0;
    server.on('checkContinue', (incoming, response) => {
      asked++;
      response.writeContinue();
      server.emit('request', incoming, response);
    });
    served.config.changed(
      listener(address, {
        defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table([route('/in')]) } }),
      }),
    );
    await served.serving.ready();
    const ask = (path: string) =>
      raw(
        `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi`,
      );
    expect(await ask('/out')).toMatch(/^HTTP\/1.1 404 /);
    expect(asked).toBe(0);
    expect(await ask('/in')).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /);
    expect(asked).toBe(1);
  });

  it("the server's own headersTimeout still cuts off a slow request", async () => {
    await served.close();
    server = createServer({ connectionsCheckingInterval: 20, headersTimeout: 40, requestTimeout: 40 }, () => {});
    await start();
    served.config.changed(listener(address));
    await served.serving.ready();
    expect(await raw('GET / HTTP/1.1\r\nHost: ')).toMatch(/^HTTP\/1.1 408 Request Timeout/);
  });

  it('what the server listens on by itself has no routes', async () => {
    const own = await freeAddress();
    await new Promise<void>((resolve) => server.listen(own.port, own.host, resolve));
    served.config.changed(
      listener(address, { defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table([]) } }) }),
    );
    await served.serving.ready();
    expect(await get('/')).toMatchObject({ status: 404 });
    const there = await fetch(`http://${own.host}:${own.port}/`, { headers: { connection: 'close' } });
    expect(there.status).toBe(200);
    await there.text();
    await new Promise((resolve) => server.close(resolve));
  });

  it('server.close() ends the serving, and serving.close() gives the server back', async () => {
    const emit = Object.hasOwn(server, 'emit');
    expect(emit).toBe(true);
    served.config.changed(listener(address));
    await served.serving.ready();
    await get('/');
    let closed = 0;
    server.on('close', () => closed++);
    server.close();
    await until(() => served.config.watchers.size === 0);
    for (const one of agents.splice(0)) one.destroy();
    await served.serving.close();
    expect(Object.hasOwn(server, 'emit')).toBe(false);
    expect(closed).toBe(1);
    expect(server.listenerCount('close')).toBe(1);
    await expect(get('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
