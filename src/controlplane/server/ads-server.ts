import type { Duplex } from 'node:stream';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import { addressKey } from '../../core/model/endpoint.js';
import { RESOURCE_TYPES, type ResourceType } from '../../core/resources.js';
import {
  type Codec,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  discoveryMethods,
} from '../../xds/wire/index.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { type AdsServerLimits, DEFAULT_LIMITS } from './limits.js';
import type { ListenAddress } from './listen-address.js';
import { Session } from './session.js';
import type { TlsPort } from './tls-port.js';
import { incremental, stateOfTheWorld, type Wording } from './wire.js';

export interface AdsServerOptions {
  readonly codec: Codec;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly identifier: string;
  readonly limits?: Partial<AdsServerLimits>;
  /** Clients with a certificate must be who their node says (`nodeProblem`). Default true. */
  readonly checkNodes?: boolean | undefined;
  /** Adds what else is served on the same port. */
  readonly addServices?: ((server: Server) => void) | undefined;
  /** The port, in place of one in clear text: given what takes its connections. */
  readonly port?: ((accept: (connection: Duplex) => void) => TlsPort) | undefined;
}

/** One turn of the loop pushes to clients for no longer than this, in milliseconds, and then lets others run. */
const PUSH_SLICE_MS = 10;

/** google.rpc.Code. */
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;

/** A dead peer is noticed after 40 s at most; grpc-js leaves it to TCP otherwise. Requests are small: names only. */
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_concurrent_streams': 100,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
};

/**
 * Serves snapshots to any xDS client, in all four variants of the protocol: state of the world or incremental, on one stream for all types
 * (ADS) or on one for each. Only ADS can order updates of different types: make before break needs it.
 */
export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #limits: AdsServerLimits;
  readonly #sessions = new Set<Session>();
  /** Sessions that have not been given the newest snapshot yet. */
  readonly #behind = new Set<Session>();
  #snapshot: Snapshot | undefined;
  #server: Server | undefined;
  #port: TlsPort | undefined;
  #cancelPush: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /** Streams that are open. */
  get sessions(): ReadonlySet<Session> {
    return this.#sessions;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Resolves with the port; port 0 takes a free one. */
  async listen({ host, port }: ListenAddress): Promise<number> {
    const address = addressKey({ host, port });
    const grpc = await import('@grpc/grpc-js');
    const server = new grpc.Server(CHANNEL_OPTIONS);
    for (const only of [undefined, ...RESOURCE_TYPES]) {
      const { stream, delta } = discoveryMethods(this.#options.codec, only);
      server.addService(
        { stream, delta },
        {
          stream: (call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) =>
            this.#accept(call, stateOfTheWorld, only),
          delta: (call: ServerDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>) =>
            this.#accept(call, incremental, only),
        },
      );
    }
    this.#options.addServices?.(server);
    this.#server = server;
    const { port: portOf } = this.#options;
    if (portOf !== undefined) {
      const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
      this.#port = portOf((connection) => injector.injectConnection(connection));
      return this.#port.listen({ host, port });
    }
    return new Promise((resolve, reject) => {
      server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(new Error(`cannot listen on ${address}: ${error.message}`, { cause: error }));
      });
    });
  }

  /** Gives every client the newest configuration, each in its own time. */
  publish(snapshot: Snapshot): void {
    if (snapshot.version === this.#snapshot?.version) return;
    this.#snapshot = snapshot;
    for (const session of this.#sessions) this.#behind.add(session);
    this.#push();
  }

  /** Ends every stream, lets connections close, and forces those that do not. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #accept<Request, Response>(
    call: ServerDuplexStream<Request, Response>,
    wording: Wording<Request, Response>,
    only: ResourceType | undefined,
  ): void {
    if (this.#closing !== undefined || this.#sessions.size >= this.#limits.maxStreams) {
      const details = this.#closing
        ? 'the control plane is closing'
        : `more than ${this.#limits.maxStreams} streams (maxStreams)`;
      this.#options.logger.warn('stream refused', { peer: call.getPeer(), details });
      call.emit('error', { code: this.#closing ? UNAVAILABLE : RESOURCE_EXHAUSTED, details });
      return;
    }
    const { clock, logger, identifier, checkNodes: checkNode = true } = this.#options;
    const { maxNames, holdMs, warmingMs } = this.#limits;
    const principal = this.#port?.peerAt(call.getPeer())?.spiffeId;
    const options = { clock, logger, identifier, only, maxNames, holdMs, warmingMs, principal, checkNode };
    const onClosed = (): void => {
      this.#sessions.delete(session);
      this.#behind.delete(session);
    };
    const session = new Session(call, wording, { ...options, onClosed });
    this.#sessions.add(session);
    if (this.#snapshot !== undefined) session.target(this.#snapshot);
  }

  #push(): void {
    this.#cancelPush?.();
    this.#cancelPush = undefined;
    if (this.#snapshot === undefined) return;
    const { clock } = this.#options;
    const until = clock.now() + PUSH_SLICE_MS;
    for (const session of this.#behind) {
      this.#behind.delete(session);
      session.target(this.#snapshot);
      if (clock.now() >= until && this.#behind.size > 0) {
        this.#cancelPush = clock.after(0, () => this.#push());
        return;
      }
    }
  }

  async #close(): Promise<void> {
    this.#cancelPush?.();
    for (const session of this.#sessions) session.end();
    const server = this.#server;
    if (server === undefined) return;
    await this.#port?.stop();
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(this.#limits.drainMs, () => server.forceShutdown());
      server.tryShutdown(() => {
        cancel();
        resolve();
      });
    });
    this.#port?.destroy();
  }
}
