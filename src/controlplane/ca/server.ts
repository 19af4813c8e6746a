import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { Metadata, Server } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.js';
import { DecodeError, knownKeys, record, shown, string } from '../../core/decode.js';
import type { IdentitySource } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import { type Meter, noMeter } from '../../core/meter.js';
import type { Random } from '../../core/random.js';
import type { Codec } from '../../xds/wire/index.js';
import type { ListenAddress } from '../server/listen-address.js';
import { TlsPort } from '../server/tls-port.js';
import type { Attestor } from './attestation/attestor.js';
import { checkKeysAddress } from './attestation/cluster-keys.js';
import { JoinTokens } from './attestation/join-token.js';
import { kubernetesAttestor, type KubernetesOptions } from './attestation/kubernetes.js';
import { mtlsAttestor } from './attestation/mtls.js';
import { CertificateAuthority } from './authority.js';
import { authorityIdentity } from './authority-identity.js';
import { CaMetrics } from './metrics.js';
import type { Signer } from './signer.js';
import { Certifier } from './service/certify.js';
import { DEFAULT_QUEUE, SigningQueue, type SigningQueueOptions } from './service/queue.js';
import { certificateDefinition, certificateImplementation } from './service/service.js';
import type { AuthorityOptions } from './settings.js';

export interface CaServerOptions extends Omit<AuthorityOptions, 'directory' | 'clock' | 'logger'> {
  /** Default `.inmesh/ca`. */
  readonly directory?: string;
  /** Where it is served, over TLS: `host:port`, port 0 takes a free one. Default `127.0.0.1:18001`. */
  readonly listen?: string;
  /** DNS names and addresses in the control plane's own certificate, besides `localhost`, this host's name and where it listens. */
  readonly names?: readonly string[];
  /** Service accounts of a Kubernetes cluster may have certificates. Default: none. */
  readonly kubernetes?: KubernetesOptions;
  /**
   * Ways of attestation of the application's own; asked before Kubernetes, and after those whose evidence nobody else can know: join tokens, and certificates of this
   * authority.
   */
  readonly attestors?: readonly Attestor[];
  /** Of requests that wait for their certificate. */
  readonly queue?: Partial<SigningQueueOptions>;
}

export const DEFAULT_CA_DIRECTORY = '.inmesh/ca';
export const DEFAULT_CA_LISTEN = '127.0.0.1:18001';

interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter?: Meter;
  /** With it, whom to believe and who was revoked are served on the same port (SDS). */
  readonly codec?: Codec;
}

/** Streams end within that time when it closes, in milliseconds. */
const DRAIN_MS = 5_000;
const GRPC_OPTIONS = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_concurrent_streams': 1_000,
  'grpc.max_receive_message_length': 1024 * 1024,
};

/** The control plane's own name. */
export const controlPlaneId = (trustDomain: string): string => `spiffe://${trustDomain}/ns/inmesh/sa/control-plane`;

const CA_OPTIONS = ['listen', 'names', 'kubernetes', 'attestors', 'queue'] as const;

/** An authority with its port: Istio's certificate service over TLS of the authority's own. */
export class CaServer {
  readonly tokens: JoinTokens;
  readonly #queue: SigningQueue;
  readonly #certifier: Certifier;
  readonly #metrics: CaMetrics;
  readonly #signer: Signer | undefined;
  #server: Server | undefined;
  #port: TlsPort | undefined;
  #stopSecrets: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    readonly authority: CertificateAuthority,
    /** The control plane's own certificate, and whom to believe. */
    readonly identity: IdentitySource,
    options: CaServerOptions,
    private readonly env: Env,
  ) {
    const { clock, logger } = env;
    this.#signer = options.signer;
    this.tokens = new JoinTokens(authority, clock);
    this.#queue = new SigningQueue(clock, { ...DEFAULT_QUEUE, ...options.queue });
    const domain = (): string => authority.trustDomain;
    const attestors = [
      this.tokens.attestor(),
      mtlsAttestor(
        domain,
        (serial) => authority.isRevoked(serial),
        () => clock.wallTime(),
      ),
      ...(options.attestors ?? []),
      ...(options.kubernetes === undefined ? [] : [kubernetesAttestor(options.kubernetes, domain, { clock, logger })]),
    ];
    this.#metrics = new CaMetrics(env.meter ?? noMeter, authority, this.#queue, clock);
    const metrics = this.#metrics;
    this.#certifier = new Certifier({ authority, attestors, queue: this.#queue, metrics, clock, logger });
  }

  /** Opens the authority. `listen` serves it. */
  static async open(options: CaServerOptions, listen: ListenAddress, env: Env): Promise<CaServer> {
    const { directory = DEFAULT_CA_DIRECTORY } = options;
    const rest = Object.fromEntries(
      Object.entries(options).filter(([key]) => !(CA_OPTIONS as readonly string[]).includes(key)),
    );
    const { clock, logger, random } = env;
    const authority = await CertificateAuthority.open({ ...(rest as CaServerOptions), directory, clock, logger });
    const names = ['localhost', '127.0.0.1', '::1', hostname(), listen.host, ...(options.names ?? [])].filter(
      (name) => !['0.0.0.0', '::'].includes(name),
    );
    const unique = [...new Set(names.map((name) => name.toLowerCase()))];
    const identity = authorityIdentity(authority, {
      spiffeId: controlPlaneId(authority.trustDomain),
      dns: unique.filter((name) => isIP(name) === 0),
      ips: unique.filter((name) => isIP(name) !== 0),
      by: 'control plane',
      withRoot: true,
      clock,
      random,
      logger,
    });
    return new CaServer(authority, identity, options, env);
  }

  async listen(address: ListenAddress): Promise<number> {
    const grpc = await import('@grpc/grpc-js');
    const { logger, clock, random, codec } = this.env;
    const server = new grpc.Server(GRPC_OPTIONS);
    const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
    const accept = (connection: Parameters<typeof injector.injectConnection>[0]): void =>
      injector.injectConnection(connection);
    const endedFrom = (): number => this.authority.endedFrom;
    const port = new TlsPort({ mode: 'joining', identity: this.identity, accept, clock, random, logger, endedFrom });
    const metadata = (entries: Readonly<Record<string, string>>): Metadata => {
      const made = new grpc.Metadata();
      for (const [name, value] of Object.entries(entries)) made.set(name, value);
      return made;
    };
    const implementation = certificateImplementation(this.#certifier, logger, (peer) => port.peerAt(peer), metadata);
    server.addService(certificateDefinition, implementation);
    if (codec !== undefined) {
      const { addSecretDiscovery } = await import('../sds/service.js');
      this.#stopSecrets = addSecretDiscovery(server, { codec, source: this.identity, keys: false, logger });
    }
    this.#server = server;
    this.#port = port;
    return port.listen(address);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      const server = this.#server;
      await this.#port?.stop();
      // A signer that does not answer is not waited for longer than streams are.
      const cancelSigner = this.env.clock.after(DRAIN_MS, () => void this.#signer?.close());
      await this.#queue.close();
      cancelSigner();
      this.#stopSecrets?.();
      if (server !== undefined)
        await new Promise<void>((resolve) => {
          const cancel = this.env.clock.after(DRAIN_MS, () => server.forceShutdown());
          server.tryShutdown(() => {
            cancel();
            resolve();
          });
        });
      this.#port?.destroy();
      this.#metrics.close();
      await this.identity.close();
      await this.authority.close();
    })();
    return this.#closing;
  }
}

/** What `ca` of the control plane may be. Throws a DecodeError that names the place. */
export function parseCaOptions(value: unknown, path: string): CaServerOptions {
  if (value === true) return {};
  const options = record(value, path);
  if (options.queue !== undefined)
    knownKeys(record(options.queue, `${path}.queue`), `${path}.queue`, Object.keys(DEFAULT_QUEUE));
  if (
    options.names !== undefined &&
    !(Array.isArray(options.names) && options.names.every((name) => typeof name === 'string'))
  )
    throw new DecodeError(`${path}.names`, `must be a list of names, got ${shown(options.names)}`);
  if (options.kubernetes !== undefined) {
    const place = `${path}.kubernetes`;
    const kubernetes = record(options.kubernetes, place);
    knownKeys(kubernetes, place, ['issuer', 'audiences', 'jwks', 'caFile', 'tokenFile']);
    for (const key of ['issuer', 'jwks'])
      if (typeof kubernetes[key] !== 'string')
        throw new DecodeError(`${place}.${key}`, `must be a string, got ${shown(kubernetes[key])}`);
    for (const key of ['caFile', 'tokenFile'])
      if (kubernetes[key] !== undefined) string(kubernetes[key], `${place}.${key}`);
    checkKeysAddress(kubernetes.jwks as string, `${place}.jwks`);
  }
  return options as CaServerOptions;
}
