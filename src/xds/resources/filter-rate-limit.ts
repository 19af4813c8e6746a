import type { LimitRule } from '../../core/model/limit.js';
import type { RouteMatch } from '../../core/model/match.js';
import { errorStatus } from './http-status.js';
import { DEFAULT_RLS_TIMEOUT_MS } from './limit-store.js';
import { type LimitReply, limitReply } from './limit-reply.js';
import type { Message } from './message.js';
import {
  applicable,
  checkedStage,
  distinct,
  type HostLimits,
  hostLimits,
  type RateLimit,
  type RateLimits,
  shapeOf,
} from './rate-limit.js';

/** `extensions.filters.http.ratelimit.v3.RateLimit`: limits that a service knows. */
export interface ServiceLimits {
  readonly domain: string;
  readonly stage: number;
  readonly requests: 'both' | 'internal' | 'external';
  /** Name of the cluster that answers. */
  readonly service: string;
  readonly timeoutMs: number;
  readonly onStoreFailure: 'allow' | 'deny';
  readonly reply: LimitReply;
}

/** `RateLimitPerRoute`. */
export interface ServiceOverride {
  readonly host: HostLimits;
  /** '' is the filter's. */
  readonly domain: string;
}

const MAX_TIMEOUT_MS = 60_000;
/** "The default status is 500." - rate_limit.proto, status_on_error */
const DEFAULT_FAILURE_STATUS = 500;

export function serviceLimits(filter: Message): ServiceLimits {
  const reply = limitReply(filter, 'rate_limited_status');
  return {
    domain: filter.requiredText('domain'),
    stage: checkedStage(filter, filter.uint32('stage')),
    requests: requestType(filter),
    service: serviceCluster(filter.required('rate_limit_service')),
    timeoutMs: timeout(filter),
    onStoreFailure: filter.flag('failure_mode_deny') ? 'deny' : 'allow',
    reply: {
      ...reply,
      headers: { ...reply.headers, xEnvoyRateLimited: !filter.flag('disable_x_envoy_ratelimited_header') },
      failureStatus: errorStatus(filter, 'status_on_error', DEFAULT_FAILURE_STATUS),
    },
  };
}

function requestType(filter: Message): ServiceLimits['requests'] {
  const type = filter.text('request_type') || 'both';
  if (type !== 'both' && type !== 'internal' && type !== 'external')
    throw filter.error('request_type', `must be internal, external or both, got "${type.slice(0, 80)}"`);
  return type;
}

function timeout(filter: Message): number {
  const ms = filter.duration('timeout') ?? DEFAULT_RLS_TIMEOUT_MS;
  if (ms < 1 || ms > MAX_TIMEOUT_MS)
    throw filter.error('timeout', `must be from 1 ms to ${MAX_TIMEOUT_MS} ms, got ${ms} ms`);
  return Math.round(ms);
}

/** `RateLimitServiceConfig`: the cluster. */
function serviceCluster(config: Message): string {
  if (config.choice('transport_api_version', ['AUTO', 'V3', 'V2']) === 'V2')
    throw config.error('transport_api_version', 'must be V3');
  const grpc = config.required('grpc_service');
  if (grpc.oneof('envoy_grpc', 'google_grpc') !== 'envoy_grpc')
    throw grpc.error('envoy_grpc', 'must be set to the cluster of the service; google_grpc is not supported');
  return grpc.required('envoy_grpc').requiredText('cluster_name');
}

export function serviceOverride(override: Message): ServiceOverride {
  if (override.messages('rate_limits').length > 0)
    throw override.error('rate_limits', 'is not supported; use rate_limits of the route action or the virtual host');
  const option = override.choice('override_option', ['DEFAULT', 'OVERRIDE_POLICY', 'INCLUDE_POLICY', 'IGNORE_POLICY']);
  if (option !== 'DEFAULT') throw override.error('override_option', 'is not supported; use vh_rate_limits');
  return { host: hostLimits(override), domain: override.text('domain') };
}

/** The rate limits that count for a route. */
export const serviceEntries = (
  filter: ServiceLimits,
  override: ServiceOverride | undefined,
  limits: RateLimits | undefined,
): readonly RateLimit[] => applicable(limits, filter.stage, override?.host ?? 'OVERRIDE');

/** What a filter comes to for a route: a rule, which is a descriptor, for each of the route's rate limits. */
export function serviceRules(
  filter: ServiceLimits,
  override: ServiceOverride | undefined,
  limits: RateLimits | undefined,
  scope: string,
): LimitRule[] {
  const { service, timeoutMs, onStoreFailure, requests } = filter;
  const taken = new Set<string>();
  const when = requests === 'both' ? undefined : [byOrigin(requests)];
  const store = { kind: 'rls', service, domain: override?.domain || filter.domain, timeoutMs } as const;
  return serviceEntries(filter, override, limits).map(({ key, cost }) => ({
    name: distinct(`${scope}/${shapeOf(key)}`, taken),
    ...(when !== undefined && { when }),
    key,
    mode: 'enforce',
    store,
    onStoreFailure,
    ...(cost !== undefined && { cost }),
  }));
}

/** "A request is considered internal if x-envoy-internal is set to true." */
function byOrigin(origin: 'internal' | 'external'): RouteMatch {
  const internal = {
    name: 'x-envoy-internal',
    match: { kind: 'exact', value: 'true', ignoreCase: false },
    invert: origin === 'external',
    treatMissingAsEmpty: true,
  } as const;
  const path = { kind: 'prefix', value: '/', ignoreCase: false } as const;
  return { path, headers: [internal], query: [], fraction: 1, grpcOnly: false };
}
