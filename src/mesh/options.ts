import { servicesToDocuments } from '../controlplane/compile/shorthand.js';
import type { Clock } from '../core/clock.js';
import { DecodeError, knownKeys, number, record, shown, string } from '../core/decode.js';
import type { Resolver } from '../core/dns.js';
import type { Locality } from '../core/model/endpoint.js';
import type { Logger } from '../core/log.js';
import type { Random } from '../core/random.js';
import type { AccessLogTarget } from '../observability/log/access-log.js';
import type { FallbackFunction } from '../core/fallback.js';
import { checkFederation, type FederatesWith } from './federation.js';
import { checkIdentity, type IdentityOption } from './identity-option.js';
import { REDIS_URL_VARIABLE, type RedisOption, redisTargets } from '../resilience/ratelimit/redis/options.js';

/** Options of `meshClient`. At most one of `services`, `config` and `xds`; without any, what the environment says (INMESH_CONFIG, INMESH_XDS). */
export interface MeshOptions {
  /** This workload's own name, for logs, metrics and the control plane. Default: INMESH_SERVICE, else the program's file name. */
  readonly service?: string;
  /** A first try in one line: endpoints (`host:port`) by service name. */
  readonly services?: Readonly<Record<string, readonly string[]>>;
  /** YAML file or folder, or several: compiled in the process, watched, reloaded when it changes. */
  readonly config?: string | readonly string[];
  /**
   * Control plane: `host:port`, over plaintext; or, for TLS, several servers and more, a gRPC bootstrap as an object, the same as in the file that
   * GRPC_XDS_BOOTSTRAP names (docs/xds.md).
   */
  readonly xds?: string | Readonly<Record<string, unknown>>;
  /** What happens with hosts that the configuration does not know. Default: what MeshConfig says, else `passthrough`. */
  readonly unknownHosts?: 'passthrough' | 'deny';
  /** JSON access log: true for standard output, a file's path, or a function that takes each line. Default: off. */
  readonly accessLog?: AccessLogTarget;
  /** Spans and trace headers: `own` writes W3C headers and OpenTelemetry spans when an SDK is there. Default `own`. */
  readonly tracing?: 'own' | 'off';
  /**
   * What a call without a trace gets when no OpenTelemetry SDK is there: a new one marked as recorded, one marked as not recorded, or none.
   * Default `sampled`.
   */
  readonly newTraces?: 'sampled' | 'unsampled' | 'off';
  /** Where the mesh tells of its own troubles. Default: warnings and errors as JSON lines on standard error. */
  readonly logger?: Logger;
  /** Where this process runs, for balancing that prefers its own zone. Default: INMESH_LOCALITY (`region/zone/sub-zone`), else what the bootstrap's node says. */
  readonly locality?: { readonly region?: string; readonly zone?: string; readonly subZone?: string };
  /**
   * This service as others call it, whose endpoints are this process and its peers: zone-aware balancing weighs zones by how many of them are in each
   * (Envoy `local_cluster_name`). Default: `service`, when it is said. While it is not known, each zone counts as having as many callers as another.
   */
  readonly localCluster?: string;
  /** Labels of this workload, for routes that ask for the caller's (Istio `sourceLabels`). Default: none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Which of how many instances of this service this process is, from 0 on, for deterministic aperture. Default: not known, and subsets are random. */
  readonly peer?: { readonly index: number; readonly count: number };
  /**
   * How much of its time a request being served keeps from the calls made for it, in milliseconds, 0 to 60_000. Default: 5 % of what it had when it came,
   * 1 ms at least and 5 ms at most.
   */
  readonly reserveMs?: number;
  /** What answers for a service that cannot, by the name that a TrafficPolicy's `fallback` gives it. */
  readonly fallbacks?: Readonly<Record<string, FallbackFunction>>;
  /**
   * The Redis servers that rules of limits name: a URL, several (the first nodes of a cluster), options, or a client of ioredis, which stays the application's
   * to close. Where `default` is missing, INMESH_REDIS_URL is. Needs the package ioredis.
   */
  readonly redis?: Readonly<Record<string, RedisOption>>;
  /**
   * Where the certificate of this workload comes from, for mutual TLS: `{ files }`, `{ ca }`, `{ sds }`, `{ workloadApi }`, `{ directory }` (an authority in a
   * folder) or `{ source }`. Default: INMESH_CA, the bootstrap's certificate provider `default`, SPIFFE_ENDPOINT_SOCKET, an authority in `.inmesh/ca` beside an
   * embedded configuration, or that of the control plane with INMESH_JOIN_TOKEN; the first that is there, when mutual TLS is configured.
   */
  readonly identity?: IdentityOption;
  /** Other trust domains whose workloads are believed as well, each for its own names. Default: none. */
  readonly federatesWith?: readonly FederatesWith[];
  /** For tests. Defaults are the system's. */
  readonly clock?: Clock;
  readonly random?: Random;
  readonly resolve?: Resolver;
}

/** More than any service has; what is beyond is a mistake. */
const MAX_PEERS = 1_000_000;

/** Nobody who keeps more than a minute means it. */
const MAX_RESERVE_MS = 60_000;

const MAX_PORT = 65_535;
const PORT_RANGE = `, whose port is not from 1 to ${MAX_PORT}`;

const KEYS = [
  'service',
  'services',
  'config',
  'xds',
  'unknownHosts',
  'accessLog',
  'tracing',
  'newTraces',
  'logger',
  'locality',
  'localCluster',
  'labels',
  'peer',
  'reserveMs',
  'fallbacks',
  'redis',
  'identity',
  'federatesWith',
  'clock',
  'random',
  'resolve',
] as const satisfies readonly (keyof MeshOptions)[];

/** Refuses what cannot be meant, before anything is started. Throws DecodeError. */
export function checkOptions(options: unknown): MeshOptions {
  const o = record(options, 'meshClient(options)');
  knownKeys(o, 'options', KEYS);
  const sources = (['services', 'config', 'xds'] as const).filter((key) => o[key] !== undefined);
  if (sources.length > 1)
    throw new DecodeError('options', `give only one of services, config and xds, got ${sources.join(' and ')}`);
  checkServices(o['services']);
  if (o['service'] !== undefined) string(o['service'], 'options.service');
  checkXds(o['xds']);
  const { config } = o;
  if (
    config !== undefined &&
    typeof config !== 'string' &&
    !(Array.isArray(config) && config.every((path) => typeof path === 'string'))
  ) {
    throw new DecodeError('options.config', `must be a path or an array of paths, got ${shown(config)}`);
  }
  oneOf(o['unknownHosts'], 'options.unknownHosts', ['passthrough', 'deny']);
  oneOf(o['tracing'], 'options.tracing', ['own', 'off']);
  oneOf(o['newTraces'], 'options.newTraces', ['sampled', 'unsampled', 'off']);
  checkLocality(o['locality']);
  if (o['localCluster'] !== undefined) string(o['localCluster'], 'options.localCluster');
  checkLabels(o['labels']);
  checkPeer(o['peer']);
  checkFallbacks(o['fallbacks']);
  // What is wrong with INMESH_REDIS_URL is told here as well, and not when the first call is limited.
  redisTargets(o['redis'], 'options.redis', process.env[REDIS_URL_VARIABLE]);
  checkIdentity(o['identity']);
  checkFederation(o['federatesWith']);
  if (o['reserveMs'] !== undefined) number(o['reserveMs'], 'options.reserveMs', 0, MAX_RESERVE_MS);
  return o as MeshOptions;
}

/** `region/zone/sub-zone`, of which the last ones may be missing. Undefined: nothing is said. */
export function parseLocality(text: string | undefined): Locality | undefined {
  if (text === undefined || text === '') return undefined;
  const [region = '', zone = '', ...rest] = text.split('/');
  return { region, zone, subZone: rest.join('/') };
}

function checkServices(value: unknown): void {
  if (value !== undefined) servicesToDocuments(value as NonNullable<MeshOptions['services']>, 'options.services');
}

function checkLocality(value: unknown): void {
  if (value === undefined) return;
  const locality = record(value, 'options.locality');
  knownKeys(locality, 'options.locality', ['region', 'zone', 'subZone']);
  for (const [key, part] of Object.entries(locality)) if (part !== undefined) string(part, `options.locality.${key}`);
}

function checkLabels(value: unknown): void {
  if (value === undefined) return;
  for (const [key, label] of Object.entries(record(value, 'options.labels'))) string(label, `options.labels.${key}`);
}

function checkFallbacks(value: unknown): void {
  if (value === undefined) return;
  for (const [name, fallback] of Object.entries(record(value, 'options.fallbacks'))) {
    if (typeof fallback !== 'function')
      throw new DecodeError(`options.fallbacks.${name}`, `must be a function, got ${shown(fallback)}`);
  }
}

function checkPeer(value: unknown): void {
  if (value === undefined) return;
  const peer = record(value, 'options.peer');
  knownKeys(peer, 'options.peer', ['index', 'count']);
  const count = number(peer['count'], 'options.peer.count', 1, MAX_PEERS);
  number(peer['index'], 'options.peer.index', 0, count - 1);
  if (!Number.isInteger(peer['index']) || !Number.isInteger(count))
    throw new DecodeError('options.peer', `must be whole numbers, got ${shown(peer)}`);
}

/** Throws DecodeError. */
export function checkXds(xds: unknown, path = 'options.xds'): void {
  if (xds === undefined) return;
  if (typeof xds === 'object' && xds !== null) {
    record(xds, path);
    return;
  }
  const port = typeof xds === 'string' ? /^[^\s/]+:(\d+)$/.exec(xds)?.[1] : undefined;
  const range = port === undefined || (Number(port) >= 1 && Number(port) <= MAX_PORT) ? '' : PORT_RANGE;
  if (port === undefined || range !== '')
    throw new DecodeError(path, `must be host:port or a gRPC bootstrap as an object, got ${shown(xds)}${range}`);
}

function oneOf(value: unknown, path: string, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(value as string)) {
    throw new DecodeError(path, `must be one of ${allowed.join(', ')}, got ${shown(value)}`);
  }
}
