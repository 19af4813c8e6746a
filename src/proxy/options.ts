import { type Clock, systemClock } from '../core/clock.js';
import { DecodeError, knownKeys, number, record, shown, string } from '../core/decode.js';
import { type Logger, silentLogger } from '../core/log.js';
import { type Random, systemRandom } from '../core/random.js';
import { type Meter, noMeter } from '../core/meter.js';
import type { Service } from '../core/service.js';
import type { ServerParts } from '../server/parts.js';
import { hops } from '../server/remote-address.js';
import type { ShedOptions } from '../server/shedding/options.js';
import type { SecureFront, TakeConnection } from '../server/tls/front.js';
import { listenAddress, namesOf } from './address.js';
import { type PinnedApp, pinnedApp } from './app.js';
import { frontOf } from './front.js';
import { ProxyPolicies } from './policies.js';
import { ProxyShedding } from './shedding.js';

export interface ProxyOptions {
  /** Where every request goes: `mesh.service`. Not with `app`. */
  readonly service?: Service;
  /**
   * The program that this proxy stands in front of, `host:port`: every request that is let in goes there in plain text and nowhere else, whatever host it names, which the
   * program is shown as it came. For `policies`, whose Service has this proxy's address for its endpoint. gRPC is HTTP/2, all else HTTP/1.1 unless `protocol` says http2.
   * Needs `servers`. Default: none; a request goes to the host that it names.
   */
  readonly app?: string | AppOptions;
  /**
   * Whether a proxy that holds requests to the policies of one Service passes on those that name another host, under its own identity: a gateway. Default false, as whoever
   * may come in could go wherever this proxy may.
   */
  readonly gateway?: boolean;
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
   * Mutual TLS towards clients, under the mesh's identity: `strict` takes nothing else, `permissive` plain text, too. Needs `servers`. Default: plain text only; with `app`
   * what the configuration says for the servers of `policies`.
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

export interface AppOptions {
  /** `host:port`. */
  readonly address: string;
  /** What is spoken to it where it is no gRPC. Default: `http1`. */
  readonly protocol?: 'http1' | 'http2';
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
  /** Makes what connections come out of. Undefined: plain text only. */
  readonly front: ((take: TakeConnection) => SecureFront) | undefined;
  /** Where all requests go; undefined: where they say. */
  readonly app: PinnedApp | undefined;
  /** Whether a request that names this host may go there. */
  readonly mayName: (authority: string) => boolean;
  readonly meter: Meter;
  /** Undefined: nobody is asked who he is. */
  readonly policies: ProxyPolicies | undefined;
  /** Undefined: no request is shed. */
  readonly shedding: ProxyShedding | undefined;
}

const KEYS = [
  'service',
  'app',
  'gateway',
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
  const listen = listenAddress(options.listen, 'options.listen');
  const app = pinnedApp(options, listen);
  const service = app?.service ?? options.service;
  if (typeof service !== 'function')
    throw new DecodeError('options.service', `must be a service such as mesh.service, got ${shown(service)}`);
  const given = record(options.limits ?? {}, 'options.limits');
  knownKeys(given, 'options.limits', Object.keys(BOUNDS));
  const limits: ProxyLimits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const name of Object.keys(BOUNDS) as (keyof ProxyLimits)[]) {
    number(limits[name], `options.limits.${name}`, ...BOUNDS[name]);
  }
  const { trustPriority = false, gateway = false } = options;
  for (const [name, value] of Object.entries({ trustPriority, gateway }))
    if (typeof value !== 'boolean')
      throw new DecodeError(`options.${name}`, `must be true or false, got ${shown(value)}`);
  const trustedHops = hops(options.trustedHops, 'options.trustedHops');
  const { reserveMs, shed = false, clock = systemClock } = options;
  if (reserveMs !== undefined) number(reserveMs, 'options.reserveMs', 0, MAX_RESERVE_MS);
  return {
    service,
    app,
    mayName: app !== undefined || gateway || options.policies === undefined ? () => true : namesOf(options.policies),
    ...listen,
    logger: options.logger ?? silentLogger,
    clock,
    random: options.random ?? systemRandom,
    limits,
    trustPriority,
    trustedHops,
    reserveMs,
    front: frontOf(options, clock),
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
