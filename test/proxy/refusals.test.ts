import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import { localReply } from '../../src/core/reply.js';
import { percentEncoded } from '../../src/core/grpc-status.js';
import { accept } from '../../src/proxy/request.js';
import { Cleanup, get, proxyFor, raw } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const answering = (calls: string[] = []) =>
  proxyFor(cleanup, async (call) => {
    calls.push(call.path);
    return localReply(200, headerFields(), Buffer.from('ok'));
  });

const CHUNKED = 'transfer-encoding: chunked\r\n';
const HOST = 'host: a\r\n';

describe('a request that two parsers could read differently, or that this proxy does not serve', () => {
  test.each([
    [
      'content-length and transfer-encoding',
      400,
      `POST / HTTP/1.1\r\n${HOST}content-length: 5\r\n${CHUNKED}\r\n0\r\n\r\n`,
    ],
    [
      'transfer-encoding and content-length',
      400,
      `POST / HTTP/1.1\r\n${HOST}${CHUNKED}content-length: 5\r\n\r\n0\r\n\r\n`,
    ],
    ['two content-lengths', 400, `POST / HTTP/1.1\r\n${HOST}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
    ['the same content-length twice', 400, `POST / HTTP/1.1\r\n${HOST}content-length: 1\r\ncontent-length: 1\r\n\r\na`],
    ['a signed content-length', 400, `POST / HTTP/1.1\r\n${HOST}content-length: +1\r\n\r\na`],
    ['identity before chunked', 400, `POST / HTTP/1.1\r\n${HOST}transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n`],
    ['chunked twice', 400, `POST / HTTP/1.1\r\n${HOST}${CHUNKED}${CHUNKED}\r\n0\r\n\r\n`],
    ['transfer-encoding in HTTP/1.0', 400, `POST / HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`],
    ['two hosts', 400, `GET / HTTP/1.1\r\n${HOST}host: b\r\n\r\n`],
    ['the same host twice', 400, `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
    ['no host', 400, 'GET / HTTP/1.1\r\n\r\n'],
    ['an empty host', 400, 'GET / HTTP/1.1\r\nhost:\r\n\r\n'],
    ['a host that is a URL', 400, 'GET / HTTP/1.1\r\nhost: http://a/\r\n\r\n'],
    ['a host with user information', 400, 'GET / HTTP/1.1\r\nhost: me@a\r\n\r\n'],
    ['an absolute target for another host', 400, `GET http://b/ HTTP/1.1\r\n${HOST}\r\n`],
    ['an absolute target for another port', 400, `GET http://a:81/ HTTP/1.1\r\n${HOST}\r\n`],
    ['an absolute target with user information', 400, 'GET http://me@a/ HTTP/1.1\r\nhost: me@a\r\n\r\n'],
    ['a target of another scheme', 400, `GET ftp://a/ HTTP/1.1\r\n${HOST}\r\n`],
    ['a fragment', 400, `GET /x#y HTTP/1.1\r\n${HOST}\r\n`],
    ['bytes beyond ASCII in the path', 400, Buffer.from(`GET /\xff HTTP/1.1\r\n${HOST}\r\n`, 'latin1')],
    ['a line break made of a bare CR', 400, `GET / HTTP/1.1\r\n${HOST}x: a\rb: c\r\n\r\n`],
    ['a space before the colon', 400, `GET / HTTP/1.1\r\n${HOST}x : a\r\n\r\n`],
    ['a folded field', 400, `GET / HTTP/1.1\r\n${HOST}x: a\r\n b\r\n\r\n`],
    [
      'Upgrade: h2c',
      400,
      `GET / HTTP/1.1\r\n${HOST}connection: close, upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n`,
    ],
    ['Upgrade: websocket', 501, `GET / HTTP/1.1\r\n${HOST}connection: close, upgrade\r\nupgrade: websocket\r\n\r\n`],
    ['CONNECT', 405, 'CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n'],
    ['TRACE', 405, `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
    [
      'gRPC over HTTP/1.1',
      505,
      `POST /s/m HTTP/1.1\r\n${HOST}content-type: application/grpc+proto\r\ncontent-length: 0\r\n\r\n`,
    ],
    ['an expectation that nobody meets', 417, `GET / HTTP/1.1\r\n${HOST}expect: wonders\r\n\r\n`],
    ['too many fields', 431, `GET / HTTP/1.1\r\n${HOST}${'x: y\r\n'.repeat(100)}\r\n`],
    ['too large a header section', 431, `GET / HTTP/1.1\r\n${HOST}x: ${'y'.repeat(61_440)}\r\n\r\n`],
    ['garbage', 400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
  ])('%s is refused with %i and makes no call', async (_what, status, bytes) => {
    const calls: string[] = [];
    const proxy = await answering(calls);
    const [head, body = ''] = (await raw(proxy.port, withClose(bytes))).split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(calls).toEqual([]);
    if (status !== 417) {
      expect(head?.toLowerCase()).toContain('\r\nmesh-error: dpe\r\n');
      expect(JSON.parse(body)).toMatchObject({
        origin: 'workload',
        code: expect.any(String),
        message: expect.any(String),
      });
    }
  });

  test('a request smuggled behind a refused one is not served', async () => {
    const calls: string[] = [];
    const proxy = await answering(calls);
    await raw(
      proxy.port,
      `POST / HTTP/1.1\r\n${HOST}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n${HOST}\r\n`,
    );
    expect(calls).toEqual([]);
  });

  test('a request that comes round again is refused with 508', async () => {
    let calls = 0;
    const proxy = await proxyFor(cleanup, async (call) => {
      calls++;
      const answer = await get(Number(call.authority.split(':')[1]), {
        headers: { ...call.headers, host: call.authority },
      });
      return localReply(answer.status, headerFields(), Buffer.from(answer.text));
    });
    const answer = await get(proxy.port, { headers: { host: `127.0.0.1:${proxy.port}` } });
    expect(answer.status).toBe(508);
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'LOOP_DETECTED', origin: 'mesh' });
    expect(calls).toBe(1);
  });
});

/** Asks for the connection to be closed after the answer, so that a reader sees its end. */
const withClose = (bytes: string | Buffer): string | Buffer =>
  typeof bytes === 'string' && !bytes.includes('connection:')
    ? bytes.replace('\r\n', '\r\nconnection: close\r\n')
    : bytes;

describe('accept', () => {
  const field = fc.tuple(
    fc.constantFrom(
      'Host',
      'host',
      'content-length',
      'transfer-encoding',
      'connection',
      'upgrade',
      'cookie',
      '__proto__',
      'te',
      ':path',
    ),
    fc.oneof(fc.string(), fc.constantFrom('a', 'chunked', '5', 'close', 'h2c', 'application/grpc')),
  );

  test('never throws, and what it lets through has one host, one length, a path, and no field of a connection', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('1.0' as const, '1.1' as const, '2.0' as const),
        fc.oneof(fc.string(), fc.webPath(), fc.webUrl()),
        fc.array(field, { maxLength: 12 }),
        fc.option(fc.string(), { nil: undefined }),
        (version, target, fields, authority) => {
          const head = { version, method: 'GET', target, authority, scheme: undefined, raw: fields.flat() };
          const result = accept(head, 10);
          if ('status' in result) {
            expect(result.status).toBeGreaterThanOrEqual(400);
            return;
          }
          expect(result.path.startsWith('/')).toBe(true);
          expect(result.authority).toMatch(/^[^\s/@#?]+$/);
          expect(result.size === undefined || Number.isSafeInteger(result.size)).toBe(true);
          for (const name of ['host', 'connection', 'transfer-encoding', 'content-length', 'upgrade']) {
            expect(name in result.headers).toBe(false);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('joins the pieces of a cookie, which HTTP/2 may split', () => {
    const head = { version: '2.0', method: 'GET', target: '/', authority: 'a', scheme: 'http' } as const;
    expect(accept({ ...head, raw: ['cookie', 'a=1', 'cookie', 'b=2'] }, 10)).toMatchObject({
      headers: { cookie: 'a=1; b=2' },
    });
  });
});

test('a grpc-message is percent-encoded as UTF-8, and decodes to what it was', () => {
  expect(percentEncoded('50% of "größe"\n')).toBe('50%25 of "gr%C3%B6%C3%9Fe"%0A');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(percentEncoded(text)).toMatch(/^[\x20-\x7e]*$/);
      expect(decodeURIComponent(percentEncoded(text))).toBe(text);
    }),
  );
});
