import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { IdentitySource, IdentityState, PeerIdentity } from '../../src/core/identity.js';
import type { DownstreamTls, UpstreamTls } from '../../src/core/model/tls.js';
import type { TlsClient, TlsServer } from '../../src/core/tls.js';
import type { TlsFactoryOptions } from '../../src/identity/tls/factory.js';
import type { MeshTls } from '../../src/identity/tls/factory.js';
import { type MemoryIdentity, memoryIdentity } from '../../src/identity/sources/memory.js';
import type { Issued, TestCa } from './pki.js';
import { testTls } from './tls.js';

export const MUTUAL: UpstreamTls = {
  sni: undefined,
  identity: 'default',
  roots: { kind: 'provider', instance: 'default' },
  sans: [],
};

export const STRICT: DownstreamTls = {
  identity: 'default',
  roots: { kind: 'provider', instance: 'default' },
  requireClientCertificate: true,
};

export const exactly = (id: string): UpstreamTls => ({
  ...MUTUAL,
  sans: [{ type: 'URI', match: { kind: 'exact', value: id, ignoreCase: false } }],
});

/** What a workload with that certificate knows. */
export const stateOf = (identity: Issued | undefined, ca: TestCa, crls: readonly string[] = []): IdentityState => ({
  identity,
  trust: ca.trust(),
  crls,
});

export interface Workload {
  readonly source: MemoryIdentity;
  readonly tls: MeshTls;
}

export function workload(state: IdentityState | undefined, options: Partial<TlsFactoryOptions> = {}): Workload {
  const source = memoryIdentity(state);
  const sources: Record<string, IdentitySource> = { default: source };
  return { source, tls: testTls({ providers: { get: (instance) => sources[instance] }, ...options }) };
}

/** How one side of a handshake ended. */
export interface Ended {
  readonly socket?: TLSSocket;
  readonly peer?: PeerIdentity | undefined;
  readonly error?: Error & { reason?: string };
  drained: boolean;
}

function ended(secure: (outcome: Parameters<TlsClient['secure']>[2]) => unknown): Promise<Ended> {
  return new Promise((resolve) => {
    let end: Ended = { drained: false };
    const settle = (how: Ended): void => {
      end = how;
      resolve(end);
    };
    secure({
      secured: (socket, peer) => settle({ socket, peer, drained: false }),
      failed: (error) => settle({ error, drained: false }),
      drain: () => {
        end.drained = true;
      },
    });
  });
}

/** A TLS server on a port, and what became of its connections, in order. What comes in is sent back. */
export class TlsEcho {
  readonly #ended: Promise<Ended>[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((tcp) => {
    this.#sockets.add(tcp);
    tcp.on('error', () => {});
    const end = ended((outcome) => this.tls.secure(tcp, this.alpn, outcome));
    this.#ended.push(end);
    void end.then(({ socket }) => socket?.pipe(socket));
  });

  constructor(
    private readonly tls: TlsServer,
    private readonly alpn: readonly string[],
  ) {}

  static async start(tls: TlsServer, alpn: readonly string[] = []): Promise<TlsEcho> {
    const echo = new TlsEcho(tls, alpn);
    echo.#server.listen(0, '127.0.0.1');
    await once(echo.#server, 'listening');
    return echo;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The last connection's. */
  get last(): Promise<Ended> {
    return this.#ended.at(-1) as Promise<Ended>;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Connects and puts TLS on it. */
export async function dialTls(port: number, tls: TlsClient, alpn: readonly string[] = []): Promise<Ended> {
  const tcp = connect({ host: '127.0.0.1', port });
  tcp.on('error', () => {});
  await once(tcp, 'connect');
  return ended((outcome) => tls.secure(tcp, alpn, outcome));
}

/** Whether what is sent comes back: the server took the connection as well. */
export const echoes = (socket: TLSSocket): Promise<boolean> =>
  new Promise((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
    socket.write('x');
  });
