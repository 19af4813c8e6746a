import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HeaderFields } from '../core/headers.js';
import { type Refusal, refusalReply } from './refusal.js';

/** A whole HTTP/1.1 response on a bare socket, and the end of the connection: where there is no ServerResponse, or none that may be used. */
export function endWith(socket: Duplex, status: number, headers: HeaderFields, body: string | Uint8Array): void {
  socket.on('error', () => socket.destroy());
  const fields: HeaderFields = { ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(body)) };
  const lines = Object.keys(fields).flatMap((name) =>
    [fields[name] as string | string[]].flat().map((value) => `${name}: ${value}\r\n`),
  );
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`);
  socket.end(body, () => socket.destroy());
}

/** A refusal by a gate of a request to use the socket for something else. */
export function refuseOn(socket: Duplex, refusal: Refusal): void {
  if (refusal.reset === true) {
    socket.destroy();
    return;
  }
  const { status, headers, body } = refusalReply(refusal);
  endWith(socket, status, headers, body);
}
