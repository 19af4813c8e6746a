import type { Socket } from 'node:net';
import { type Backoff, spreadJitter } from '../../core/backoff.js';
import { type Clock, keepAlive } from '../../core/clock.js';
import { ConfigUnavailableError, MeshClosedError, type MeshError } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { type Address, addressKey } from '../../core/model/endpoint.js';
import type { Random } from '../../core/random.js';
import type { TlsFactory } from '../../core/tls.js';
import type { LimitEnv } from '../../resilience/ratelimit/env.js';
import type { Meter } from '../../core/meter.js';
import type { CallerOf } from '../caller.js';
import type { Outbound } from '../../core/outbound.js';
import { ServerPolicies } from '../policies.js';
import type { ServerConfig, WatchServer } from '../../core/server-config.js';
import { Handshakes } from '../tls/handshakes.js';
import type { Face } from './face.js';
import { Generation } from './generation.js';
import { Port } from './port.js';

/** gRFC A36: SERVING accepts connections; NOT_SERVING has no configuration, or no port, and accepts none. */
export type ServingMode = 'SERVING' | 'NOT_SERVING';

/** Told when the mode changes, and when the reason of NOT_SERVING does; `error` says why it is NOT_SERVING. */
export type OnServingMode = (mode: ServingMode, error: MeshError | undefined) => void;

export interface ServingOptions {
  readonly address: Address;
  readonly watch: WatchServer;
  readonly face: Face;
  /** "the callback must be provided error information" - gRFC A36. Default: both are logged. */
  readonly onServingMode: OnServingMode | undefined;
  /** How long requests of old connections may go on after the listener changed, in milliseconds: gRFC A36's "drain grace time". */
  readonly drainGraceMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly limits: LimitEnv | undefined;
  /** Who makes a request. */
  readonly caller: CallerOf | undefined;
  /** Proxies that are believed about the client's address. */
  readonly trustedHops: number;
  readonly outbound?: Outbound | undefined;
  /** For chains that have TLS. */
  readonly tls: TlsFactory;
}

/** Between attempts to open a port that cannot be: "must be retried automatically (e.g., retry every minute)" - gRFC A36. */
const REOPEN: Backoff = { baseMs: 1_000, maxMs: 60_000 };

/** A server under configuration from xDS, at one address (gRFC A36). */
export class Serving {
  readonly #port: Port;
  readonly #policies: ServerPolicies;
  readonly #handshakes: Handshakes;
  /** Resolves when `close` was called and all connections are gone. */
  readonly #closed: Promise<void>;
  #finish: () => void = () => {};
  #closing = false;
  #stopWatching: () => void = () => {};
  #mode: ServingMode = 'NOT_SERVING';
  #error: MeshError | undefined;
  /** The listener in use, and who serves it; undefined: there is no configuration. */
  #config: ServerConfig | undefined;
  #current: Generation | undefined;
  /** Those whose connections are on their way out. */
  readonly #draining = new Set<Generation>();
  /** Attempts to open the port that failed since it was open last. */
  #failures = 0;
  #cancelReopen: (() => void) | undefined;
  #problems: readonly string[] = [];
  readonly #waiting = new Set<{ resolve: () => void; reject: (error: MeshError) => void }>();

  constructor(private readonly options: ServingOptions) {
    const { address, face, clock } = options;
    this.#policies = new ServerPolicies(options);
    this.#handshakes = new Handshakes(options);
    this.#closed = new Promise((resolve) => {
      this.#finish = resolve;
    });
    // Without a port nothing else would keep a server alive that waits for its configuration.
    void keepAlive(clock, this.#closed);
    this.#port = new Port({
      address,
      allowHalfOpen: face.allowHalfOpen,
      maxConnections: () => face.maxConnections,
      onConnection: (socket) => this.#accept(socket),
      onFailed: (error) => this.#portFailed(error),
    });
    face.onClosed((force) => this.close({ graceMs: force ? 0 : options.drainGraceMs }));
  }

  /** Begins to watch the configuration. */
  start(): void {
    const stop = this.options.watch(this.options.address, {
      changed: (config) => this.#changed(config),
      failed: (error) => this.#failed(error),
      ambient: ({ message }) =>
        this.options.logger.warn('xDS server: the last configuration stands', this.#fields({ message })),
    });
    if (this.#closing) stop();
    else this.#stopWatching = stop;
  }

  get mode(): ServingMode {
    return this.#mode;
  }

  /** Why it is NOT_SERVING; undefined while nothing was heard yet. */
  get error(): MeshError | undefined {
    return this.#error;
  }

  /** Connections that are open, those being drained among them. */
  get connections(): number {
    let connections = this.#current?.connections ?? 0;
    for (const { connections: more } of this.#draining) connections += more;
    return connections;
  }

  /** Resolves when it is SERVING; rejects with MESH_CLOSED when it is closed before. Trouble is not the end: it may pass (gRFC A36). */
  ready(): Promise<void> {
    if (this.#closing) return Promise.reject(closedError());
    if (this.#mode === 'SERVING') return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }));
  }

  /**
   * Closes the port and tells clients to go; resolves when all have gone. Who is still there after `graceMs` milliseconds is cut off; default
   * `drainGraceMs`. Called again, it can only make it sooner.
   */
  close({ graceMs = this.options.drainGraceMs }: { readonly graceMs?: number } = {}): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#stopWatching();
      this.#shut();
      this.#mode = 'NOT_SERVING';
      this.#error = closedError();
      for (const { reject } of this.#waiting) reject(closedError());
      this.#waiting.clear();
      void Promise.all([...this.#draining].map(({ gone }) => gone)).then(() => {
        this.options.face.close();
        this.#policies.close();
        this.#finish();
      });
    }
    for (const generation of [...this.#draining]) generation.drain('close', graceMs);
    return this.#closed;
  }

  #accept(socket: Socket): void {
    const generation = this.#current;
    if (generation === undefined) {
      socket.destroy();
      return;
    }
    generation.accept(socket, (transport) => {
      // There is a chain for TLS, and none for plain text: who speaks that is to know that it is not wanted.
      if (transport === 'raw_buffer' && generation.secures) return this.#handshakes.refuse(socket, 'plaintext');
      const { remoteAddress: from } = socket;
      this.options.logger.debug('xDS server: no filter chain takes the connection', this.#fields({ from, transport }));
      this.#handshakes.cut(socket);
    });
  }

  #changed(config: ServerConfig): void {
    if (this.#closing) return;
    const { clock, random, face, drainGraceMs } = this.options;
    const old = this.#current;
    // "it does not apply to an updated RouteConfiguration provided by reference via `rds` field" - gRFC A36
    if (old !== undefined && this.#config?.listener === config.listener) old.update(config);
    else {
      this.#current = new Generation(config, face.open(), {
        clock,
        random,
        policies: this.#policies,
        trustedHops: this.options.trustedHops,
        tls: this.options.tls,
        handshakes: this.#handshakes,
      });
      // "the listening port must not be closed as part of the process" - gRFC A36
      if (old !== undefined) this.#drain(old, 'keep', drainGraceMs);
    }
    this.#config = config;
    this.#logProblems();
    if (!this.#port.wanted && this.#cancelReopen === undefined) this.#open();
  }

  /** "the server would need to enter "not serving" mode ... existing connections to be closed, but already-started RPCs should not fail" - A36. */
  #failed(error: MeshError): void {
    if (this.#closing) return;
    this.#shut();
    this.#become('NOT_SERVING', error);
  }

  #shut(): void {
    this.#cancelReopen?.();
    this.#cancelReopen = undefined;
    this.#failures = 0;
    this.#port.close();
    const old = this.#current;
    this.#current = undefined;
    this.#config = undefined;
    this.#problems = [];
    for (const generation of [...this.#draining]) generation.drain('close', this.options.drainGraceMs);
    if (old !== undefined) this.#drain(old, 'close', this.options.drainGraceMs);
  }

  #drain(generation: Generation, idle: 'keep' | 'close', graceMs: number): void {
    this.#draining.add(generation);
    void generation.gone.then(() => this.#draining.delete(generation));
    generation.drain(idle, graceMs);
  }

  #open(): void {
    this.#port.open(() => {
      this.#failures = 0;
      this.#become('SERVING', undefined);
    });
  }

  #portFailed(cause: Error): void {
    const { address, clock, random } = this.options;
    const waitMs = spreadJitter(REOPEN, ++this.#failures, random);
    this.#cancelReopen = clock.after(waitMs, () => {
      this.#cancelReopen = undefined;
      this.#open();
    });
    const message = `cannot listen on ${addressKey(address)}: ${cause.message}; it is tried again by itself`;
    this.#become('NOT_SERVING', new ConfigUnavailableError(message, { cause }));
  }

  #become(mode: ServingMode, error: MeshError | undefined): void {
    if (mode === this.#mode && error?.message === this.#error?.message) return;
    const { onServingMode, logger } = this.options;
    const hadError = this.#error !== undefined;
    this.#mode = mode;
    this.#error = error;
    if (mode === 'SERVING') {
      for (const { resolve } of this.#waiting) resolve();
      this.#waiting.clear();
    }
    // "If the application does not register the callback, XdsServer should log any errors and each serving resumption" - gRFC A36
    if (onServingMode === undefined) {
      if (error !== undefined) logger.error('xDS server: not serving', this.#fields({ message: error.message }));
      else if (hadError) logger.warn('xDS server: serving again', this.#fields({}));
      return;
    }
    try {
      onServingMode(mode, error);
    } catch (thrown) {
      logger.error('onServingMode failed', this.#fields({ message: String(thrown) }));
    }
  }

  /** "log a warning each time it receives updates for configuration in this state ... a single warning once there are no longer any" - A36. */
  #logProblems(): void {
    const { logger } = this.options;
    const before = this.#problems.length;
    this.#problems = this.#current?.problems ?? [];
    const [problem] = this.#problems;
    if (problem !== undefined) {
      const others = this.#problems.length - 1;
      logger.warn('xDS server: configuration fails requests', this.#fields({ problem, others }));
    }
    if (before > 0 && this.#problems.length === 0) {
      logger.warn('xDS server: configuration no longer fails requests', this.#fields({}));
    }
  }

  #fields(more: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return { address: addressKey(this.options.address), ...more };
  }
}

const closedError = (): MeshClosedError => new MeshClosedError('the xDS server was closed: serve again to open it');
