import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.js';
import type { FilterChain } from '../../core/model/server.js';
import type { Random } from '../../core/random.js';
import { ChainRoutes } from './chain-routes.js';
import { chainChooser, type Peer } from './choose-chain.js';
import type { ServerPolicies } from '../policies.js';
import type { ServerConfig } from '../../core/server-config.js';
import type { Acceptor } from './face.js';
import { parseIp } from '../../core/ip.js';

/**
 * One version of the listener with the connections that came in under it. Connections keep the chain that they began with: when the
 * listener changes, a new generation takes what comes in, and this one is drained.
 */
export class Generation {
  /** Resolves when it is drained and the last connection is gone. */
  readonly gone: Promise<void>;
  readonly #chains = new Map<FilterChain, ChainRoutes>();
  readonly #choose: (peer: Peer) => FilterChain | undefined;
  readonly #connections = new Set<Socket>();
  #finish: () => void = () => {};
  #draining = false;
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
    },
  ) {
    const { listener } = config;
    env.policies.update(listener);
    for (const chain of [...listener.filterChains, listener.defaultFilterChain]) {
      if (chain === undefined) continue;
      this.#chains.set(chain, new ChainRoutes(chain, env, (...of) => env.policies.gates(...of)));
    }
    this.#choose = chainChooser(listener);
    this.gone = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.update(config);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Configuration that applies and yet fails requests. */
  get problems(): readonly string[] {
    return [...this.#chains.values()].flatMap((routes) => routes.problems);
  }

  /** Takes over routes; those of the listener itself stay. */
  update({ routes }: ServerConfig): void {
    for (const chain of this.#chains.values()) chain.update(routes);
  }

  /** False when no chain takes the connection. */
  accept(socket: Socket): boolean {
    const peer = peerOf(socket);
    const chain = peer === undefined ? undefined : this.#choose(peer);
    const routes = chain === undefined ? undefined : this.#chains.get(chain);
    if (routes === undefined) return false;
    this.#connections.add(socket);
    socket.once('close', () => {
      this.#connections.delete(socket);
      this.#finishWhenGone();
    });
    this.acceptor.accept({ socket, routes, trustedHops: this.env.trustedHops });
    return true;
  }

  /**
   * Tells clients to go; whoever is still there after `graceMs` milliseconds is cut off. Called again, it can only make it sooner.
   * "older connections on that Listener to be gracefully shut down ... with a default grace period of 10 minutes" - gRFC A36
   */
  drain(idle: 'keep' | 'close', graceMs: number): void {
    this.#draining = true;
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
    for (const socket of this.#connections) socket.destroy();
  }

  #finishWhenGone(): void {
    if (!this.#draining || this.#connections.size > 0) return;
    this.#cancelCut?.();
    this.#cancelCut = undefined;
    this.#finish();
  }
}

/** Undefined when the client is gone already. */
function peerOf({ localAddress, remoteAddress, remotePort }: Socket): Peer | undefined {
  const destination = localAddress === undefined ? undefined : parseIp(localAddress);
  const source = remoteAddress === undefined ? undefined : parseIp(remoteAddress);
  if (destination === undefined || source === undefined || remotePort === undefined) return undefined;
  return { destination, source, sourcePort: remotePort };
}
