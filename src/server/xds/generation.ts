import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.js';
import type { FilterChain } from '../../core/model/server.js';
import type { Random } from '../../core/random.js';
import type { TlsFactory, TlsServer } from '../../core/tls.js';
import { ChainRoutes } from './chain-routes.js';
import { chainChooser, type Peer, peerOn } from './choose-chain.js';
import type { ServerPolicies } from '../policies.js';
import type { ServerConfig } from '../../core/server-config.js';
import type { TransportProtocol } from '../tls/first-byte.js';
import type { Handshakes } from '../tls/handshakes.js';
import type { Acceptor, Connection, DrainConnection } from './face.js';

/**
 * One version of the listener with the connections that came in under it. Connections keep the chain that they began with: when the
 * listener changes, a new generation takes what comes in, and this one is drained.
 */
export class Generation {
  /** Resolves when it is drained and the last connection is gone. */
  readonly gone: Promise<void>;
  readonly #chains = new Map<FilterChain, ChainRoutes>();
  readonly #choose: (peer: Peer) => FilterChain | undefined;
  /** Each with how to cut it off. */
  readonly #connections = new Map<Socket, () => void>();
  #finish: () => void = () => {};
  /** How, once it has begun. */
  #draining: 'keep' | 'close' | undefined;
  /** Whether any chain goes by what connections speak. */
  readonly #looks: boolean;
  readonly #tls = new Map<FilterChain, TlsServer>();
  /** Monotonic milliseconds at which who is still there is cut off. */
  #cutAt = Number.POSITIVE_INFINITY;
  #cancelCut: (() => void) | undefined;

  constructor(
    config: ServerConfig,
    private readonly acceptor: Acceptor,
    private readonly env: {
      readonly clock: Clock;
      readonly random: Random;
      readonly policies: ServerPolicies;
      readonly trustedHops: number;
      readonly tls: TlsFactory;
      readonly handshakes: Handshakes;
    },
  ) {
    const { listener } = config;
    env.policies.update(listener);
    for (const chain of [...listener.filterChains, listener.defaultFilterChain]) {
      if (chain === undefined) continue;
      if (chain.tls !== undefined) this.#tls.set(chain, env.tls.server(chain.tls));
      this.#chains.set(chain, new ChainRoutes(chain, env, env.policies));
    }
    this.#choose = chainChooser(listener);
    this.#looks = listener.filterChains.some(({ match }) => match.tls === true);
    this.gone = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.update(config);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Whether any chain has TLS. */
  get secures(): boolean {
    return this.#tls.size > 0;
  }

  /** Configuration that applies and yet fails requests. */
  get problems(): readonly string[] {
    return [...this.#chains.values()].flatMap((routes) => routes.problems);
  }

  /** Takes over routes; those of the listener itself stay. */
  update({ routes }: ServerConfig): void {
    for (const chain of this.#chains.values()) chain.update(routes);
  }

  /** Takes a connection over, or tells that no chain does. What it speaks is found out first, where chains ask. */
  accept(socket: Socket, refused: (transport: TransportProtocol) => void): void {
    if (!this.#looks) {
      if (!this.#take(socket, 'raw_buffer')) refused('raw_buffer');
      return;
    }
    this.#track(socket);
    this.env.handshakes.look(socket, (transport) => {
      if (!this.#take(socket, transport)) refused(transport);
    });
  }

  #take(socket: Socket, transport: TransportProtocol): boolean {
    const peer = peerOn(socket, transport);
    const chain = peer === undefined ? undefined : this.#choose(peer);
    const routes = chain === undefined ? undefined : this.#chains.get(chain);
    if (chain === undefined || routes === undefined) return false;
    this.#track(socket);
    const { trustedHops, handshakes } = this.env;
    const tls = this.#tls.get(chain);
    if (tls === undefined) {
      handshakes.ready(socket);
      this.#hand({ socket, routes, trustedHops });
      return true;
    }
    let drain: DrainConnection | undefined;
    handshakes.secure(socket, tls, this.acceptor.alpn, {
      secured: (secure) => {
        this.#connections.set(socket, () => secure.destroy());
        drain = this.#hand({ socket: secure, routes, trustedHops });
      },
      drain: () => drain?.('keep'),
    });
    return true;
  }

  /** One that was in its handshake when the others were told to go is told now. */
  #hand(connection: Connection): DrainConnection {
    const drain = this.acceptor.accept(connection);
    if (this.#draining !== undefined) drain(this.#draining);
    return drain;
  }

  #track(socket: Socket): void {
    if (this.#connections.has(socket)) return;
    this.#connections.set(socket, () => this.env.handshakes.cut(socket));
    socket.once('close', () => {
      this.#connections.delete(socket);
      this.#finishWhenGone();
    });
  }

  /**
   * Tells clients to go; whoever is still there after `graceMs` milliseconds is cut off. Called again, it can only make it sooner.
   * "older connections on that Listener to be gracefully shut down ... with a default grace period of 10 minutes" - gRFC A36
   */
  drain(idle: 'keep' | 'close', graceMs: number): void {
    this.#draining = idle;
    this.acceptor.drain(idle);
    this.#cutAfter(graceMs);
    this.#finishWhenGone();
  }

  #cutAfter(graceMs: number): void {
    const { clock } = this.env;
    const at = clock.now() + graceMs;
    if (at >= this.#cutAt) return;
    this.#cutAt = at;
    this.#cancelCut?.();
    this.#cancelCut = undefined;
    if (graceMs <= 0) this.#cut();
    else this.#cancelCut = clock.after(graceMs, () => this.#cut(), { background: true });
  }

  #cut(): void {
    for (const cut of [...this.#connections.values()]) cut();
  }

  #finishWhenGone(): void {
    if (this.#draining === undefined || this.#connections.size > 0) return;
    this.#cancelCut?.();
    this.#cancelCut = undefined;
    this.#finish();
  }
}
