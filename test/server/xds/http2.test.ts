import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Address } from '../../../src/core/model/endpoint.js';
import { chain, freeAddress, listener, route, type Served, serve, table, until } from './support.js';

/** A node:http2 server without TLS, under configuration from xDS. */
describe('a node:http2 server', () => {
  let server: Http2Server;
  let address: Address;
  let served: Served;
  const sessions: ClientHttp2Session[] = [];
  const sockets: Socket[] = [];

  beforeEach(async () => {
    server = createServer();
    server.on('request', (incoming, response) => response.end(`${incoming.method} ${incoming.url}`));
    address = await freeAddress();
    served = serve(server, address);
  });

  afterEach(async () => {
    for (const session of sessions.splice(0)) session.destroy();
    for (const socket of sockets.splice(0)) socket.destroy();
    await served.close();
    expect(served.clock.pending).toBe(0);
    expect(Object.hasOwn(server, 'emit')).toBe(false);
  });

  async function client(): Promise<ClientHttp2Session> {
    const session = connect(`http://${address.host}:${address.port}`);
    sessions.push(session);
    await new Promise((resolve, reject) => {
      session.once('connect', resolve);
      session.once('error', reject);
    });
    session.on('error', () => {});
    return session;
  }

  interface Answer {
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
    readonly code: number;
  }

  function get(session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    const stream = session.request({ ':path': path, ...headers });
    return new Promise((resolve) => {
      let received: IncomingHttpHeaders = {};
      let body = '';
      stream.on('response', (fields) => {
        received = fields;
      });
      stream.on('data', (part) => {
        body += part;
      });
      stream.on('error', () => {});
      stream.on('close', () => resolve({ headers: received, body, code: stream.rstCode }));
    });
  }

  const inline = (...routes: readonly ReturnType<typeof route>[]) => ({
    defaultFilterChain: chain('c', {}, { routes: { kind: 'inline', config: table(routes) } }),
  });

  it('streams go by their routes; 404 for none', async () => {
    served.config.changed(listener(address, inline(route('/a'))));
    await served.serving.ready();
    const session = await client();
    expect(await get(session, '/a')).toMatchObject({ headers: { ':status': 200 }, body: 'GET /a' });
    expect(await get(session, '/b')).toMatchObject({ headers: { ':status': 404 }, code: constants.NGHTTP2_NO_ERROR });
  });

  it('headers and :authority are matched, pseudo-headers among them', async () => {
    const header = {
      name: ':authority',
      match: { kind: 'exact', value: 'shop', ignoreCase: false },
      invert: false,
      treatMissingAsEmpty: false,
    } as const;
    const other = { ...header, name: 'x-team', match: { kind: 'present', present: true } } as const;
    served.config.changed(
      listener(address, inline(route('/', { kind: 'non_forwarding' }, { headers: [header, other] }))),
    );
    await served.serving.ready();
    const session = await client();
    expect(await get(session, '/', { ':authority': 'shop', 'x-team': 'a' })).toMatchObject({
      headers: { ':status': 200 },
    });
    expect(await get(session, '/', { ':authority': 'shop' })).toMatchObject({ headers: { ':status': 404 } });
  });

  it('a gRPC call is refused as gRPC does: UNAVAILABLE in trailers', async () => {
    served.config.changed(listener(address, inline(route('/a'))));
    await served.serving.ready();
    const answer = await get(await client(), '/b', { ':method': 'POST', 'content-type': 'application/grpc+proto' });
    expect(answer.headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' });
  });

  it('a refused upload is not waited for', async () => {
    served.config.changed(listener(address, inline()));
    await served.serving.ready();
    const session = await client();
    const upload = session.request({ ':method': 'POST', ':path': '/' }, { endStream: false });
    upload.on('error', () => {});
    upload.resume();
    await new Promise((resolve) => upload.once('close', resolve));
    expect(upload.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  });

  it('a changed listener: the old session is told to go, its streams finish, a new one gets the new routes', async () => {
    const waiting: ServerHttp2Stream[] = [];
    server.removeAllListeners('request');
    server.on('stream', (stream) => waiting.push(stream));
    served.config.changed(listener(address, inline(route('/old'))));
    await served.serving.ready();
    const session = await client();
    const goaways: number[] = [];
    session.on('goaway', (_code, lastStream) => goaways.push(lastStream));
    const answer = get(session, '/old');
    await until(() => waiting.length === 1);
    served.config.changed(listener(address, inline(route('/new'))));
    await until(() => goaways.length === 2);
    // "an initial GOAWAY frame with the last stream identifier set to 2^31-1", then the true one - RFC 9113 section 6.8
    expect(goaways).toEqual([2 ** 31 - 1, 1]);
    waiting[0]?.respond({ ':status': 200 });
    waiting[0]?.end('done');
    expect(await answer).toMatchObject({ body: 'done' });
    await until(() => session.destroyed && served.serving.connections === 0);
    expect(await get(await client(), '/old')).toMatchObject({ headers: { ':status': 404 } });
  });

  it('idle sessions end when the listener is gone', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const session = await client();
    await get(session, '/');
    served.config.failed('gone');
    await until(() => session.destroyed && served.serving.connections === 0);
    expect(served.modes.at(-1)).toBe('NOT_SERVING: gone');
  });

  it('max_stream_duration resets the stream, and the application hears of it as of a client that went away', async () => {
    const waiting: ServerHttp2Stream[] = [];
    server.removeAllListeners('request');
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      waiting.push(stream);
    });
    served.config.changed(listener(address, { defaultFilterChain: chain('c', {}, { maxStreamDurationMs: 1_000 }) }));
    await served.serving.ready();
    const answer = get(await client(), '/');
    await until(() => waiting.length === 1);
    await served.clock.advance(1_004);
    expect(await answer).toMatchObject({ code: constants.NGHTTP2_CANCEL });
    expect(waiting[0]?.closed).toBe(true);
  });

  it('a stream that is reset in the same packet as it is opened harms nothing, served or refused', async () => {
    served.config.changed(listener(address, inline(route('/a'))));
    await served.serving.ready();
    const socket = connectTcp(address.port, address.host);
    sockets.push(socket);
    socket.on('error', () => {});
    socket.resume();
    const frame = (type: number, flags: number, stream: number, payload: readonly number[]): Buffer =>
      Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload]);
    // HPACK: POST, http, :path as a literal, no :authority.
    const headers = (path: string): number[] => [0x83, 0x86, 0x04, path.length, ...Buffer.from(path)];
    const frames = [frame(4, 0, 0, [])];
    for (const [i, path] of ['/a', '/b', '/a', '/b'].entries()) {
      const id = 2 * i + 1;
      // HEADERS with END_HEADERS, then RST_STREAM with CANCEL.
      frames.push(frame(1, 4, id, headers(path)), frame(3, 0, id, [0, 0, 0, 8]));
    }
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ...frames]));
    await until(() => served.serving.connections === 1);
    expect(await get(await client(), '/a')).toMatchObject({ headers: { ':status': 200 } });
  });

  it('a stream that the application ends on its session is not refused again', async () => {
    server.on('session', (session) =>
      session.prependListener('stream', (stream) => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)),
    );
    served.config.changed(listener(address, inline(route('/a'))));
    await served.serving.ready();
    expect(await get(await client(), '/b')).toMatchObject({ code: constants.NGHTTP2_ENHANCE_YOUR_CALM });
  });

  it('bytes that are no HTTP/2 end their connection only', async () => {
    served.config.changed(listener(address));
    await served.serving.ready();
    const socket = connectTcp(address.port, address.host);
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(10));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(await get(await client(), '/')).toMatchObject({ headers: { ':status': 200 } });
  });
});
