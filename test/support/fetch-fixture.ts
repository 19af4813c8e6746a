import type { IncomingMessage, ServerResponse } from 'node:http';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { createFetch, type MeshFetch } from '../../src/client/fetch/fetch.js';
import type { Service } from '../../src/core/service.js';
import type { Transport } from '../../src/core/transport.js';
import { httpServer, type RunningHttp, transportTo } from './http1-fixture.js';

/** A fetch whose service is one transport per authority: the face and the wire with nothing between. */
export function wiredFetch(): { fetch: MeshFetch; service: Service; close(): Promise<void> } {
  const transports = new Map<string, Transport>();
  const service: Service = (call) => {
    let transport = transports.get(call.authority);
    if (transport === undefined) {
      transport = transportTo(Number(call.authority.split(':')[1])).transport;
      transports.set(call.authority, transport);
    }
    return transport.call(call);
  };
  return {
    fetch: createFetch(service),
    service,
    close: async () => {
      await Promise.all([...transports.values()].map((transport) => transport.close(true)));
    },
  };
}

/** Request headers that a test compares: what the application said, not what each client says of itself. */
const SEEN = /^(content-|authorization|cookie|range|accept$|x-|transfer-encoding|host$|proxy-)/;

/** A server with a page for every habit of HTTP that fetch has to cope with. */
export const playground = (): Promise<RunningHttp> => httpServer(play);

function play(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://playground');
  const page = pages[url.pathname.split('/')[1] ?? ''];
  if (page === undefined) {
    response.writeHead(404);
    response.end('no such page');
  } else page(request, response, url);
}

type Page = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

const compressed =
  (coding: string, compress: (text: string) => Buffer): Page =>
  (_request, response) => {
    response.writeHead(200, { 'content-encoding': coding, 'content-type': 'text/plain' });
    response.end(compress('compressed '.repeat(200)));
  };

const pages: Record<string, Page> = {
  hello: (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'x-one': '1' });
    response.end('hello');
  },
  json: (_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end('{"a":[1,2,{"b":"\u00e4"}]}');
  },
  bytes: (_request, response) => response.end(Buffer.from([0, 255, 128, 10, 13])),
  bom: (_request, response) => response.end(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d])),
  invalid: (_request, response) => response.end(Buffer.from([0x61, 0xff, 0xe2, 0x82, 0x62])),
  latin: (_request, response) => {
    response.setHeader('x-latin', Buffer.from('caf\u00e9', 'latin1').toString('latin1'));
    response.end();
  },
  cookies: (_request, response) => {
    response.setHeader('set-cookie', ['a=1; Path=/', 'b=2']);
    response.setHeader('x-many', ['1', '2']);
    response.end();
  },
  status: (_request, response, url) => {
    response.statusCode = Number(url.pathname.split('/')[2]);
    response.end([204, 205, 304].includes(response.statusCode) ? undefined : 'body');
  },
  form: (_request, response) => {
    response.setHeader('content-type', 'application/x-www-form-urlencoded;charset=UTF-8');
    response.end('a=1&b=two+words');
  },
  large: (_request, response) => response.end(Buffer.alloc(3_000_000, 'abc')),
  chunks: (_request, response) => {
    for (const part of ['one ', 'two ', 'three']) response.write(part);
    response.end();
  },
  echo: (request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => SEEN.test(name)));
      const type = String(headers['content-type'] ?? '');
      const boundary = /boundary=(.+)$/.exec(type)?.[1];
      let body = Buffer.concat(chunks).toString('latin1');
      if (boundary !== undefined) {
        headers['content-type'] = type.replace(boundary, 'BOUNDARY');
        // Case of part headers is free; lengths follow the boundary's.
        body = body.replaceAll(boundary, 'BOUNDARY').replace(/^Content-[A-Za-z]+/gm, (name) => name.toLowerCase());
        delete headers['content-length'];
      }
      headers.host = 'HOST';
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method: request.method, url: request.url, headers, body }));
    });
  },
  /** `/redirect/<status>?to=<url>` */
  redirect: (request, response, url) => {
    request.resume();
    request.on('error', () => {});
    const to = url.searchParams.get('to');
    response.writeHead(Number(url.pathname.split('/')[2]), to === null ? {} : { location: to });
    response.end('moved');
  },
  /** `/hops/<n>`: redirects n times. */
  hops: (_request, response, url) => {
    const left = Number(url.pathname.split('/')[2]);
    if (left === 0) response.end('arrived');
    else response.writeHead(302, { location: `/hops/${left - 1}` }).end();
  },
  gzip: compressed('gzip', (text) => gzipSync(text)),
  xgzip: compressed('x-gzip', (text) => gzipSync(text)),
  deflate: compressed('deflate', (text) => deflateSync(text)),
  rawdeflate: compressed('deflate', (text) => deflateRawSync(text)),
  br: compressed('br', (text) => brotliCompressSync(text)),
  twice: compressed('gzip, br', (text) => brotliCompressSync(gzipSync(text))),
  unknown: compressed('rot13', (text) => Buffer.from(text)),
  cut: compressed('gzip', (text) => gzipSync(text).subarray(0, 30)),
  notgzip: compressed('gzip', (text) => Buffer.from(text)),
  emptygzip: (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(),
  hang: (request) => {
    request.resume();
    request.on('error', () => {});
  },
  half: (_request, response) => {
    response.write('half');
  },
  reset: (request) => request.socket.resetAndDestroy(),
  broken: (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half', () => response.socket?.resetAndDestroy());
  },
};
