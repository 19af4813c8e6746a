import type { Duplex } from 'node:stream';
import type { Server } from '@grpc/grpc-js';
import type { MeshSettings } from './compile/compile.js';
import { type Clock, systemClock } from '../core/clock.js';
import { type Logger, silentLogger } from '../core/log.js';
import { noMeter } from '../core/meter.js';
import { systemRandom } from '../core/random.js';
import type { ResourceSet } from '../core/resources.js';
import type { AdminServer } from './admin/admin-server.js';
import type { JoinTokens } from './ca/attestation/join-token.js';
import type { CertificateAuthority } from './ca/authority.js';
import type { CaServer, CaServerOptions } from './ca/server.js';
import type { ConfigWatch } from './files/watch.js';
import { type ControlPlaneOptions, controlPlaneSettings, tlsOf } from './options.js';
import type { RateLimitServer } from './ratelimit/index.js';
import type { RateLimitsStatus } from './ratelimit/rate-limits.js';
import { AdsServer } from './server/ads-server.js';
import { Debounce, parseDebounce } from './server/debounce.js';
import { LastGood, type RefusedConfiguration, type ServedConfiguration } from './server/last-good.js';
import { parseLimits } from './server/limits.js';
import { isLoopback, type ListenAddress, parseListenAddress } from './server/listen-address.js';
import { TlsPort } from './server/tls-port.js';
import type { Snapshot } from './snapshot/snapshot.js';

export interface ControlPlaneStatus {
  /** A good configuration has been loaded. */
  readonly ready: boolean;
  readonly configuration: ServedConfiguration | undefined;
  /** What is wrong with the newest edit; undefined when nothing is. */
  readonly refused: RefusedConfiguration | undefined;
  /** Streams that are open. */
  readonly clients: number;
  /** Of the rate limit service; undefined when there is none. */
  readonly rateLimits: RateLimitsStatus | undefined;
}

/** The certificate authority of a control plane. */
export interface ControlPlaneCa {
  readonly port: number;
  readonly authority: CertificateAuthority;
  readonly tokens: JoinTokens;
}

export interface ControlPlane {
  readonly port: number;
  /** Undefined: there is none. */
  readonly ca: ControlPlaneCa | undefined;
  readonly adminPort: number | undefined;
  /**
   * Serves another configuration. Throws InconsistentSetError, and goes on with the one before, when its resources do not fit
   * together. Only without `config`.
   */
  update(set: ResourceSet): void;
  status(): ControlPlaneStatus;
  /** Ends streams and connections, within 5 s at most, and leaves no timer or file handle. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts a control plane. Resolves when it listens and has read the configuration once, good or bad: with a bad one it is not ready,
 * says so in `status()` and on the admin pages, and waits for the files to be mended. Rejects when it cannot listen.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { listen, admin } = controlPlaneSettings(options);
  const { loadCodec } = await import('../xds/wire/index.js');
  const codec = await loadCodec();
  const ca = options.ca === undefined ? undefined : await openCa(options.ca, options, codec);
  const running = new RunningControlPlane(options, codec, ca);
  try {
    await running.start(listen, admin);
  } catch (error) {
    await running.close();
    throw error;
  }
  return running;
}

type Codec = ConstructorParameters<typeof AdsServer>[0]['codec'];

interface OpenCa {
  readonly server: CaServer;
  readonly listen: ListenAddress;
}

async function openCa(ca: true | CaServerOptions, options: ControlPlaneOptions, codec: Codec): Promise<OpenCa> {
  const { CaServer, DEFAULT_CA_LISTEN, parseCaOptions } = await import('./ca/server.js');
  const given = parseCaOptions(ca, 'options.ca');
  const listen = parseListenAddress(given.listen ?? DEFAULT_CA_LISTEN, 'options.ca.listen');
  const { clock = systemClock, logger = silentLogger, meter = noMeter } = options;
  return { listen, server: await CaServer.open(given, listen, { clock, random: systemRandom, logger, meter, codec }) };
}

class RunningControlPlane implements ControlPlane {
  port = 0;
  ca: ControlPlaneCa | undefined;
  adminPort: number | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ads: AdsServer;
  readonly #lastGood: LastGood;
  readonly #debounce: Debounce;
  #newest: Snapshot | undefined;
  #admin: AdminServer | undefined;
  #watch: ConfigWatch | undefined;
  #rateLimits: RateLimitServer | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    private readonly options: ControlPlaneOptions,
    codec: Codec,
    private readonly opened: OpenCa | undefined,
  ) {
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    const { meter = noMeter, config = 'resources' } = options;
    const tls = tlsOf(options);
    const limits = parseLimits(options.limits, 'options.limits');
    const debounce = parseDebounce(options.debounce, 'options.debounce');
    const common = { clock: this.#clock, logger: this.#logger };
    const addServices = (server: Server): void => {
      const limits = this.#rateLimits;
      if (limits !== undefined) server.addService(limits.definition, limits.implementation);
    };
    const port = opened === undefined || tls === 'off' ? undefined : securePort(opened.server, tls, common);
    this.#ads = new AdsServer({
      ...{ ...common, codec, identifier: 'inmesh', limits, addServices, port },
      checkNodes: options.xdsIdentityCheck,
    });
    this.#lastGood = new LastGood({
      ...common,
      meter,
      source: typeof config === 'string' ? config : config.join(', '),
      encode: (type, resource) => codec.encodeResource(type, resource),
      onChange: (snapshot) => this.#changed(snapshot),
    });
    this.#debounce = new Debounce(this.#clock, debounce, () => this.#publish());
  }

  async start(listen: ListenAddress, admin: ListenAddress | undefined): Promise<void> {
    if (this.options.resources !== undefined) this.#lastGood.accept(this.options.resources);
    if (this.options.rateLimits !== undefined) await this.#startRateLimits(this.options.rateLimits);
    if (this.opened !== undefined) {
      const { server, listen: address } = this.opened;
      this.ca = { port: await server.listen(address), authority: server.authority, tokens: server.tokens };
    }
    this.port = await this.#ads.listen(listen);
    if (admin !== undefined) await this.#startAdmin(admin);
    if (this.options.config !== undefined) await this.#watchFiles(this.options.config);
    const clear = this.options.tls === 'strict' ? [admin] : [listen, admin];
    const open = clear.filter((address) => address !== undefined && !isLoopback(address.host));
    if (open.length > 0) this.#logger.warn('reachable from other machines, and nobody is asked who he is', { open });
    this.#logger.info('control plane listens', { port: this.port, adminPort: this.adminPort });
  }

  update(set: ResourceSet): void {
    if (this.options.config !== undefined)
      throw new Error('the configuration is read from files: change those, or start with resources');
    if (this.#closing !== undefined) throw new Error('the control plane was closed: start another one');
    this.#lastGood.accept(set);
  }

  status(): ControlPlaneStatus {
    const { served: configuration, refused } = this.#lastGood;
    const rateLimits = this.#rateLimits?.status();
    const { config, resources } = this.options;
    const configured = (config ?? resources) === undefined || configuration !== undefined;
    const ready = configured && rateLimits?.ready !== false;
    return { ready, configuration, refused, clients: this.#ads.sessions.size, rateLimits };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The first configuration goes out at once: nobody is served yet, and nothing came before it. */
  #changed(snapshot: Snapshot): void {
    this.#newest = snapshot;
    if (this.#ads.snapshot === undefined) this.#publish();
    else this.#debounce.trigger();
  }

  #publish(): void {
    if (this.#newest !== undefined) this.#ads.publish(this.#newest);
  }

  async #startRateLimits(config: string | readonly string[]): Promise<void> {
    const { rateLimitServer } = await import('./ratelimit/index.js');
    const { rateLimitRedis: redis, meter = noMeter } = this.options;
    const common = { clock: this.#clock, logger: this.#logger, meter };
    this.#rateLimits = await rateLimitServer({ config, ...common, ...(redis !== undefined && { redis }) });
  }

  async #startAdmin(listen: ListenAddress): Promise<void> {
    const { AdminServer } = await import('./admin/admin-server.js');
    const source = {
      ready: () => this.status().ready,
      status: () => this.status(),
      snapshot: () => this.#ads.snapshot,
      sessions: () => this.#ads.sessions,
      metrics: this.options.metrics,
    };
    this.#admin = new AdminServer({ listen, source, clock: this.#clock, logger: this.#logger });
    this.adminPort = await this.#admin.listen();
  }

  /** Resolves after the first look at the files. */
  async #watchFiles(paths: string | readonly string[]): Promise<void> {
    const { formatProblem, watchConfig } = await import('./config.js');
    await new Promise<void>((resolve) => {
      this.#watch = watchConfig(paths, {
        clock: this.#clock,
        logger: this.#logger,
        onChange: ({ config, resources, problems, warnings }) => {
          const found = [...problems.map(formatProblem), ...this.#foreignTrustDomain(config)];
          if (found.length > 0) this.#lastGood.refuse(found);
          else this.#acceptFiles(resources, warnings.map(formatProblem));
          resolve();
        },
      });
    });
  }

  /** Whom the authority here certifies would have other names than their callers expect. */
  #foreignTrustDomain({ mtls, trustDomain }: MeshSettings): readonly string[] {
    const own = this.opened?.server.authority.trustDomain;
    if (!mtls || own === undefined || own === trustDomain) return [];
    return [
      `MeshConfig.spec.trustDomain: "${trustDomain}" is not that of the certificate authority here, "${own}": change it, or open an authority for "${trustDomain}" in ` +
        'another directory',
    ];
  }

  /** What the compiler makes fits together; should it ever not, that is one more broken edit. */
  #acceptFiles(resources: ResourceSet, warnings: readonly string[]): void {
    try {
      this.#lastGood.accept(resources, warnings);
    } catch (error) {
      this.#logger.debug('compiled resources were refused', { error: String(error) });
    }
  }

  async #close(): Promise<void> {
    this.#watch?.close();
    this.#debounce.close();
    await Promise.all([this.#ads.close(), this.#admin?.close()]);
    await this.opened?.server.close();
    // After the last request that counts.
    await this.#rateLimits?.close();
    this.#logger.info('control plane closed', { port: this.port });
  }
}

const securePort =
  ({ identity }: CaServer, mode: 'permissive' | 'strict', env: { readonly clock: Clock; readonly logger: Logger }) =>
  (accept: (connection: Duplex) => void): TlsPort =>
    new TlsPort({ ...env, mode, identity, accept, random: systemRandom });
