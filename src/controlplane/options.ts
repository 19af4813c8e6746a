import type { Clock } from '../core/clock.js';
import { DecodeError, knownKeys, record, shown } from '../core/decode.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import type { ResourceSet } from '../core/resources.js';
import type { RedisOption } from '../resilience/ratelimit/redis/options.js';
import type { CaServerOptions } from './ca/server.js';
import { type DebounceOptions, parseDebounce } from './server/debounce.js';
import { type AdsServerLimits, parseLimits } from './server/limits.js';
import { type ListenAddress, parseListenAddress } from './server/listen-address.js';

export interface ControlPlaneOptions {
  /** YAML files and folders of them; watched, and taken over when they change. At most one of this and `resources`. */
  readonly config?: string | readonly string[];
  /** xDS resources to begin with; `update` replaces them. */
  readonly resources?: ResourceSet;
  /**
   * A rate limit service (`envoy.service.ratelimit.v3`) on the same port: files of envoyproxy/ratelimit and folders of them, watched. Without `config` and
   * `resources` it is all that is served. Default: none.
   */
  readonly rateLimits?: string | readonly string[];
  /** Where its counts are, shared by all that name the same: `redis://…`, or as an element of `redis` of `meshClient`. Default: in this process. */
  readonly rateLimitRedis?: RedisOption;
  /**
   * A certificate authority, on a TLS port of its own (Istio's certificate service, and SDS for trust and revocations). `true`: with its defaults. Without `config` and
   * `resources` it may be all that is served. Default: none.
   */
  readonly ca?: true | CaServerOptions;
  /**
   * TLS of ADS; needs `ca`. `strict`: clients show a certificate of the mesh. `permissive`: they may, and clear text is taken as well, while clients move over. `off`:
   * clear text. Default: `permissive` with `ca`, else `off`.
   */
  readonly tls?: 'off' | 'permissive' | 'strict';
  /**
   * Whether a client with a certificate must be who its node says: `NAMESPACE` and `SERVICE_ACCOUNT` in the node's metadata, where they are said, are those of its SPIFFE ID (istiod's
   * `PILOT_ENABLE_XDS_IDENTITY_CHECK`). Default true.
   */
  readonly xdsIdentityCheck?: boolean;
  /** Where ADS is served: `host:port`, port 0 takes a free one. Default `127.0.0.1:18000`. */
  readonly listen?: string;
  /** Where the admin pages are served over HTTP: `host:port`. Default: nowhere. */
  readonly admin?: string;
  /** Default: silent. */
  readonly logger?: Logger;
  /** For tests. Default: the system's. */
  readonly clock?: Clock;
  /** Where its metrics and events go, as those of a mesh do. Default: nowhere. */
  readonly meter?: Meter;
  /** What the meter has counted, as Prometheus text, for `/metrics` of the admin pages. Default: there is no such page. */
  readonly metrics?: () => string;
  /** How changes in a row become one push. Default: 100 ms of quiet, 10 s at most. */
  readonly debounce?: Partial<DebounceOptions>;
  /** Of what is served over ADS, and to how many. */
  readonly limits?: Partial<AdsServerLimits>;
}

const DEFAULT_LISTEN = '127.0.0.1:18000';
const OPTIONS = [
  'config',
  'resources',
  'rateLimits',
  'rateLimitRedis',
  'ca',
  'tls',
  'xdsIdentityCheck',
  'listen',
  'admin',
  'logger',
  'clock',
  'meter',
  'metrics',
  'debounce',
  'limits',
];

/** Where it is served, of options that are in order. Throws where they are not, before anything is opened that would have to be closed. */
export function controlPlaneSettings(options: ControlPlaneOptions): {
  readonly listen: ListenAddress;
  readonly admin: ListenAddress | undefined;
} {
  knownKeys(record(options, 'options'), 'options', OPTIONS);
  const { config, resources, rateLimits } = options;
  if (config !== undefined && resources !== undefined)
    throw new TypeError('startControlPlane: give either config (paths of YAML files) or resources, and not both');
  if (config === undefined && resources === undefined && rateLimits === undefined && options.ca === undefined)
    throw new TypeError('startControlPlane: there is nothing to serve: give config, resources, rateLimits or ca');
  const tls = tlsOf(options);
  if (!['off', 'permissive', 'strict'].includes(tls))
    throw new DecodeError('options.tls', `must be off, permissive or strict, got ${shown(tls)}`);
  if (!['boolean', 'undefined'].includes(typeof options.xdsIdentityCheck))
    throw new DecodeError('options.xdsIdentityCheck', `must be true or false, got ${shown(options.xdsIdentityCheck)}`);
  if (tls !== 'off' && options.ca === undefined)
    throw new TypeError('startControlPlane: tls needs a certificate: give ca');
  const listen = parseListenAddress(options.listen ?? DEFAULT_LISTEN, 'options.listen');
  const admin = options.admin === undefined ? undefined : parseListenAddress(options.admin, 'options.admin');
  parseLimits(options.limits, 'options.limits');
  parseDebounce(options.debounce, 'options.debounce');
  return { listen, admin };
}

/** Who has a certificate from the authority here comes with it. */
export const tlsOf = ({ tls, ca }: ControlPlaneOptions): 'off' | 'permissive' | 'strict' =>
  tls ?? (ca === undefined ? 'off' : 'permissive');
