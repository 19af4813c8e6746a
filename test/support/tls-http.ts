import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TlsServer } from '../../src/core/tls.js';

export interface SecureHttp {
  readonly port: number;
  /** Connections whose client was let in, since the start. */
  readonly accepted: () => number;
  /** Why clients were not. */
  readonly refused: Error[];
  close(): Promise<void>;
}

/** HTTP/1.1 and HTTP/2 under TLS, by what the client asks for. */
export async function secureHttp(tls: TlsServer, handler: RequestListener): Promise<SecureHttp> {
  const servers = { 'http/1.1': createHttp(handler), h2: createHttp2(handler as never) };
  const sockets = new Set<Socket>();
  const refused: Error[] = [];
  let accepted = 0;
  const server = createServer((tcp) => {
    sockets.add(tcp);
    tcp.on('error', () => {});
    tcp.on('close', () => sockets.delete(tcp));
    tls.secure(tcp, ['h2', 'http/1.1'], {
      secured(socket) {
        accepted++;
        servers[socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1'].emit('connection', socket);
      },
      failed: (error) => void refused.push(error),
      drain() {},
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => accepted,
    refused,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
