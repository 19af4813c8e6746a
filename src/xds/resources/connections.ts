import { type ConnectionConfig, DEFAULT_CONNECTIONS } from '../../core/model/connection.js';
import type { Message } from './message.js';
import { filterMetadata, OWN_METADATA } from './struct.js';

/** Bounds of both ratios of `preconnect_policy`: "lte: 3.0 gte: 1.0" - cluster.proto */
const MAX_RATIO = 3;
/** More would be a load of its own on every endpoint. */
const MAX_WARM = 100;

/** `preconnect_policy`, and limits and care of connections. `common` and `http2` are the options for HTTP. Undefined: nothing is configured. */
export function connections(
  cluster: Message,
  common: Message | undefined,
  http2: Message | undefined,
): ConnectionConfig | undefined {
  const found: ConnectionConfig = {
    warm: warm(cluster),
    maxLifetimeMs: common?.duration('max_connection_duration') ?? DEFAULT_CONNECTIONS.maxLifetimeMs,
    // The cluster's own field is the deprecated one.
    maxRequests:
      common?.uint32Value('max_requests_per_connection') ??
      cluster.uint32Value('max_requests_per_connection') ??
      DEFAULT_CONNECTIONS.maxRequests,
    keepAlive: keepAlive(http2?.message('connection_keepalive')),
  };
  const isDefault =
    found.warm === 0 && found.maxLifetimeMs === 0 && found.maxRequests === 0 && found.keepAlive === undefined;
  return isDefault ? undefined : found;
}

/**
 * Connections to each endpoint before there are calls: `filter_metadata["inmesh.dev"].warm_connections`, or what `preconnect_policy` anticipates
 * beside the first (Envoy opens those for a ratio, with the first call): 0 for a ratio of 1, 1 up to 2, 2 up to 3.
 */
function warm(cluster: Message): number {
  const policy = cluster.message('preconnect_policy');
  const perEndpoint = ratio(policy, 'per_upstream_preconnect_ratio');
  const predictive = ratio(policy, 'predictive_preconnect_ratio');
  const anticipated = Math.ceil(Math.max(perEndpoint, predictive)) - 1;
  const own = filterMetadata(cluster, OWN_METADATA)?.number('warm_connections', 0, MAX_WARM, anticipated);
  return Math.ceil(own ?? anticipated);
}

function ratio(policy: Message | undefined, field: string): number {
  const value = policy?.message(field);
  if (value === undefined) return 1;
  const number = value.double('value');
  if (number < 1 || number > MAX_RATIO) throw value.error('value', `must be from 1 to ${MAX_RATIO}, got ${number}`);
  return number;
}

/** `core.v3.KeepaliveSettings`. Envoy's PINGs do not depend on calls. Without `interval` there are none at regular times. */
function keepAlive(settings: Message | undefined): ConnectionConfig['keepAlive'] {
  if (settings === undefined) return undefined;
  const timeoutMs = atLeastOne(settings, 'timeout');
  const intervalMs = atLeastOne(settings, 'interval');
  // "required: true" - protocol.proto
  if (timeoutMs === undefined) throw settings.error('timeout', 'must be set');
  return intervalMs === undefined ? undefined : { intervalMs, timeoutMs, withoutCalls: true };
}

/** "gte {nanos: 1000000}" - protocol.proto */
function atLeastOne(settings: Message, field: string): number | undefined {
  const ms = settings.duration(field);
  if (ms !== undefined && ms < 1) throw settings.error(field, `must be at least 1 ms, got ${ms} ms`);
  return ms;
}
