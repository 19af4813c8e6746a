import http2 from 'node:http2';
import { connect } from 'node:net';
import type { Slip } from '../identity/authz/slips.js';

/** Sends a request over HTTP/1.1 exactly as it is written. Resolves with the status; undefined: the connection was closed without one. */
export function rawHttp1(port: number, slip: Slip): Promise<number | undefined> {
  const { method = 'GET', target, host = 'reviews', headers = [] } = slip;
  const lines = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${host}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  if (!headers.some(([name]) => name.toLowerCase() === 'connection')) lines.push('Connection: close');
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      // One that keeps the connection has answered all the same.
      if (/\r\n\r\n/.test(text)) socket.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
      resolve(status === undefined ? undefined : Number(status));
    });
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  });
}

/** The same over HTTP/2, as far as its frames can carry it. Undefined: it was reset, or cannot be sent. */
export function rawHttp2(
  session: http2.ClientHttp2Session,
  slip: Slip,
  more: http2.OutgoingHttpHeaders = {},
): Promise<number | undefined> {
  const { method = 'GET', target, host = 'reviews', headers = [] } = slip;
  const fields: Record<string, string[]> = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    fields[key] = [...(fields[key] ?? []), value];
  }
  return new Promise((resolve) => {
    try {
      const stream = session.request({ ':method': method, ':path': target, ':authority': host, ...fields, ...more });
      stream.on('response', (head) => {
        const grpc = head['grpc-status'];
        resolve(grpc === undefined ? head[':status'] : Number(grpc));
      });
      stream.on('error', () => resolve(undefined));
      stream.on('close', () => resolve(undefined));
      stream.resume();
      stream.end();
    } catch {
      resolve(undefined);
    }
  });
}

/** One session for many requests; a new one where the server has ended it. */
export class Http2Sessions {
  #session: http2.ClientHttp2Session | undefined;

  constructor(private readonly port: number) {}

  get(): http2.ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = http2.connect(`http://127.0.0.1:${this.port}`);
      this.#session.on('error', () => {});
    }
    return this.#session;
  }

  close(): void {
    this.#session?.destroy();
  }
}
