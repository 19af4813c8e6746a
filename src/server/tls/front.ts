import type { Socket } from 'node:net';
import type { Meter } from '../../core/meter.js';
import type { ServerListener } from '../../core/model/server.js';
import { NoServerConfigError } from '../../core/server-config.js';
import type { TlsServer } from '../../core/tls.js';
import type { ServerParts } from '../parts.js';
import { Handshakes } from './handshakes.js';
import { MESH_TLS } from './mesh-tls.js';

/** What is asked of connections: mutual TLS; that or plain text; nothing. */
export type SecureMode = 'strict' | 'permissive' | 'disabled';

export interface FrontOptions {
  /** Undefined: what the configuration says for the service. */
  readonly mode: SecureMode | undefined;
  readonly service: string | undefined;
  /** What the server speaks under TLS, in order of preference. */
  readonly alpn: readonly string[];
}

/** Takes a connection that may have requests now; `raw` is the one below it, or itself. Returns how to end its requests, for one under TLS whose certificates are replaced. */
export type TakeConnection = (socket: Socket, raw: Socket) => () => void;

/** What stands before a server that the configuration does not serve itself: connections come out of it as its mode asks, or not at all. */
export class SecureFront {
  mode: SecureMode | undefined;
  readonly #handshakes: Handshakes;
  #tls: TlsServer;
  /** Connections that came before the mode was known, with how to go on with each. */
  readonly #waiting = new Set<() => void>();
  #stop: () => void = () => {};

  constructor(
    private readonly options: FrontOptions,
    parts: Pick<ServerParts, 'clock' | 'logger' | 'tls' | 'watch'>,
    meter: Meter,
    private readonly take: TakeConnection,
  ) {
    const { mode, service } = options;
    this.#handshakes = new Handshakes({ clock: parts.clock, logger: parts.logger, meter });
    this.#tls = parts.tls.server(MESH_TLS);
    this.mode = mode;
    if (mode !== undefined || service === undefined) return;
    this.#stop = parts.watch(
      { service },
      {
        changed: ({ listener }) => this.#become(listener, parts),
        failed: (error) => {
          if (error instanceof NoServerConfigError) this.#know('disabled');
        },
        ambient() {},
      },
    );
  }

  /** Finds out what the connection speaks, and whether it may. `asItIs`: takes one of which nothing is asked. */
  accept(socket: Socket, asItIs: () => void): void {
    // Who is still waiting when the time is over is cut off.
    this.#handshakes.look(socket, (transport) => {
      const go = (): void => this.#decide(socket, transport === 'tls', asItIs);
      if (this.mode !== undefined) return go();
      this.#waiting.add(go);
      socket.once('close', () => this.#waiting.delete(go));
    });
  }

  /** Ends a connection that has not come out yet, or the plain one that has. */
  cut(socket: Socket): void {
    this.#handshakes.cut(socket);
  }

  /** No more is heard of the configuration; who waits for it is cut off in time. */
  close(): void {
    this.#stop();
    this.#waiting.clear();
  }

  #become({ filterChains, defaultFilterChain }: ServerListener, parts: Pick<ServerParts, 'tls'>): void {
    const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
    const tls = chains.find((chain) => chain.tls !== undefined)?.tls;
    if (tls !== undefined) this.#tls = parts.tls.server(tls);
    this.#know(
      tls === undefined ? 'disabled' : chains.every((chain) => chain.tls !== undefined) ? 'strict' : 'permissive',
    );
  }

  #know(mode: SecureMode): void {
    this.mode = mode;
    for (const go of [...this.#waiting]) go();
    this.#waiting.clear();
  }

  #decide(socket: Socket, tls: boolean, asItIs: () => void): void {
    if (socket.destroyed) return;
    if (this.mode === 'disabled') {
      this.#handshakes.ready(socket);
      asItIs();
    } else if (tls) {
      let drain: (() => void) | undefined;
      this.#handshakes.secure(socket, this.#tls, this.options.alpn, {
        secured: (secure) => {
          drain = this.take(secure, socket);
        },
        drain: () => drain?.(),
      });
    } else if (this.mode === 'permissive') {
      this.#handshakes.ready(socket);
      this.take(socket, socket);
    } else this.#handshakes.refuse(socket, 'plaintext');
  }
}
