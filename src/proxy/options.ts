import { type Clock, systemClock } from '../core/clock.js';
import { DecodeError, knownKeys, number, record, shown, string } from '../core/decode.js';
import { type Logger, silentLogger } from '../core/log.js';
import { type Random, systemRandom } from '../core/random.js';
import { type Meter, noMeter } from '../core/meter.js';
import type { Service } from '../core/service.js';
import type { TlsServer } from '../core/tls.js';
import type { ServerParts } from '../server/parts.js';
import { MESH_TLS } from '../server/tls/mesh-tls.js';
import { hops } from '../server/remote-address.js';
import type { ShedOptions } from '../server/shedding/options.js';
import { ProxyPolicies } from './policies.js';
import { ProxyShedding } from './shedding.js';

export interface ProxyOptions {
  /** Where every request goes: `mesh.service`. */
  readonly service: Service;
  /** `host:port` to listen on, IPv6 in brackets; port 0 takes a free one. */
  readonly listen: string;
  /** Default: silent. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly limits?: Partial<ProxyLimits>;
  /**
   * Whether clients are believed how important their requests are (`inmesh-priority`). Default false, as anybody may write that: the field is taken out, as
   * Envoy does with its own for what comes from outside. True where all clients are services of the mesh.
   */
  readonly trustPriority?: boolean;
  /**
   * How many proxies in front of this one are believed about the client's address (`x-forwarded-for`), 0 to 16: Envoy's `xff_num_trusted_hops`. Default 0: the
   * client is who is at the other end of the connection.
   */
  readonly trustedHops?: number;
  /**
   * How much of the time that a client waits is kept from what is called for it, in milliseconds, 0 to 60_000, so that the reason of a failure reaches a client that
   * still waits. Default: 5 % of it, 1 ms at least and 5 ms at most, as services keep it. 0 is what Envoy does without `grpc_timeout_offset`.
   */
  readonly reserveMs?: number;
  /** Whether requests are refused that could not be answered in time, as the middleware of servers does it. Default: none is. */
  readonly shed?: boolean | ShedOptions;
  /**
   * Mutual TLS towards clients, under the mesh's identity: `strict` takes nothing else, `permissive` plain text, too. Needs `servers`. Default: plain text only.
   */
  readonly mtls?: 'strict' | 'permissive';
  /** What the mesh has for servers: `mesh.servers`. */
  readonly servers?: ServerParts | Pick<ServerParts, 'tls'>;
  /**
   * The service that this proxy is, or stands in front of, by a name that others call it by: what the configuration says for its servers (policies with `side: server`,
   * AuthenticationPolicy, AuthorizationPolicy, ExternalAuthorizationPolicy, mTLS) then holds for every request. Needs `servers` and `meter`. Default: none.
   */
  readonly policies?: string;
  /** Where requests that were shed are counted: `mesh.meter`. Default: nowhere. */
  readonly meter?: Meter;
}

/** What one client, or all of them, may cost. */
export interface ProxyLimits {
  /** Connections open at once; more are closed as they come. Default 10_000. */
  readonly maxConnections: number;
  /** HTTP/2 streams open at once on one connection (Envoy `max_concurrent_streams`, its edge example). Default 100. */
  readonly maxConcurrentStreams: number;
  /** Bytes of a request's header fields (Envoy `max_request_headers_kb`). Default 61_440. */
  readonly maxHeaderBytes: number;
  /** Number of a request's header fields (Envoy `max_headers_count`). Default 100. */
  readonly maxHeaders: number;
  /** Milliseconds for a request's header section, from its first byte. Default 60_000, as Node has it. */
  readonly headersTimeoutMs: number;
  /** A connection on which nothing moves is closed after this many milliseconds (Envoy `stream_idle_timeout`). Default 300_000. */
  readonly idleTimeoutMs: number;
  /** Bytes of a request body that are read and thrown away after an early answer, before the connection is cut. Default 1_048_576. */
  readonly maxDiscardBytes: number;
}

const DEFAULT_LIMITS: ProxyLimits = {
  maxConnections: 10_000,
  maxConcurrentStreams: 100,
  maxHeaderBytes: 61_440,
  maxHeaders: 100,
  headersTimeoutMs: 60_000,
  idleTimeoutMs: 300_000,
  maxDiscardBytes: 1_048_576,
};

/** What each limit may be: from, to. */
const BOUNDS: Readonly<Record<keyof ProxyLimits, readonly [number, number]>> = {
  maxConnections: [1, 1_000_000],
  maxConcurrentStreams: [1, 2 ** 31 - 1],
  maxHeaderBytes: [1_024, 1_048_576],
  maxHeaders: [8, 10_000],
  headersTimeoutMs: [1, 2 ** 31 - 1],
  idleTimeoutMs: [1, 2 ** 31 - 1],
  maxDiscardBytes: [0, 2 ** 31 - 1],
};

/** Options as they are used: complete and checked. */
export interface ProxyEnv {
  readonly service: Service;
  readonly host: string;
  readonly port: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: ProxyLimits;
  readonly trustPriority: boolean;
  readonly trustedHops: number;
  readonly reserveMs: number | undefined;
  /** Undefined: plain text only. */
  readonly mtls: { readonly server: TlsServer; readonly strict: boolean } | undefined;
  readonly meter: Meter;
  /** Undefined: nobody is asked who he is. */
  readonly policies: ProxyPolicies | undefined;
  /** Undefined: no request is shed. */
  readonly shedding: ProxyShedding | undefined;
}

const KEYS = [
  'service',
  'listen',
  'logger',
  'clock',
  'random',
  'limits',
  'trustPriority',
  'trustedHops',
  'reserveMs',
  'mtls',
  'servers',
  'policies',
  'shed',
  'meter',
] as const satisfies readonly (keyof ProxyOptions)[];

/** Nobody who keeps more than a minute means it. */
const MAX_RESERVE_MS = 60_000;

/** Checks what the application gave. Throws DecodeError. */
export function proxyEnv(options: ProxyOptions): ProxyEnv {
  const o = record(options, 'startProxy(options)');
  knownKeys(o, 'options', KEYS);
  if (typeof options.service !== 'function') {
    throw new DecodeError('options.service', `must be a service such as mesh.service, got ${shown(options.service)}`);
  }
  const given = record(options.limits ?? {}, 'options.limits');
  knownKeys(given, 'options.limits', Object.keys(BOUNDS));
  const limits: ProxyLimits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const name of Object.keys(BOUNDS) as (keyof ProxyLimits)[]) {
    number(limits[name], `options.limits.${name}`, ...BOUNDS[name]);
  }
  const { trustPriority = false } = options;
  if (typeof trustPriority !== 'boolean') {
    throw new DecodeError('options.trustPriority', `must be true or false, got ${shown(trustPriority)}`);
  }
  const trustedHops = hops(options.trustedHops, 'options.trustedHops');
  const { reserveMs, shed = false, clock = systemClock } = options;
  if (reserveMs !== undefined) number(reserveMs, 'options.reserveMs', 0, MAX_RESERVE_MS);
  return {
    service: options.service,
    ...listenAddress(options.listen, 'options.listen'),
    logger: options.logger ?? silentLogger,
    clock,
    random: options.random ?? systemRandom,
    limits,
    trustPriority,
    trustedHops,
    reserveMs,
    mtls: mtlsOf(options),
    policies: policiesOf(options, { clock, trustedHops }),
    meter: options.meter ?? noMeter,
    shedding: shed === false ? undefined : new ProxyShedding(shed === true ? {} : shed, clock, options.meter),
  };
}

function policiesOf(
  { policies, servers, meter }: ProxyOptions,
  options: ConstructorParameters<typeof ProxyPolicies>[2],
): ProxyPolicies | undefined {
  if (policies === undefined) return undefined;
  string(policies, 'options.policies');
  if (servers === undefined || !('watch' in servers) || meter === undefined)
    throw new DecodeError(
      'options.policies',
      'needs options.servers and options.meter: give mesh.servers and mesh.meter',
    );
  return new ProxyPolicies(policies, { servers, meter }, options);
}

function mtlsOf({ mtls, servers }: ProxyOptions): ProxyEnv['mtls'] {
  if (mtls === undefined) return undefined;
  if (mtls !== 'strict' && mtls !== 'permissive')
    throw new DecodeError('options.mtls', `must be strict or permissive, got ${shown(mtls)}`);
  if (servers === undefined)
    throw new DecodeError('options.mtls', 'needs options.servers: give mesh.servers, whose identity it is');
  return { server: servers.tls.server(MESH_TLS), strict: mtls === 'strict' };
}

/** `127.0.0.1:15001`, `[::1]:0`, `localhost:8080` as host and port. */
export function listenAddress(value: unknown, path: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d+)$/.exec(string(value, path));
  const port = Number(match?.[3]);
  const range = port > 65_535 ? ', whose port is not from 0 to 65535' : '';
  if (match === null || range !== '')
    throw new DecodeError(path, `must be host:port, as 127.0.0.1:15001, got ${shown(value)}${range}`);
  return { host: (match[1] ?? match[2]) as string, port };
}
