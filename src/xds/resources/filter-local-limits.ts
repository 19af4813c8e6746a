import type { Limit, LimitKey, LimitRule } from '../../core/model/limit.js';
import type { RouteMatch } from '../../core/model/match.js';
import { MAX_PER_MS } from './limit-of.js';
import { type LimitReply, limitReply } from './limit-reply.js';
import type { Message } from './message.js';
import { boundedMessages } from './own-config.js';
import { runtimeFraction } from './percent.js';
import {
  applicable,
  checkedStage,
  distinct,
  filterRateLimits,
  type HostLimits,
  hostLimits,
  type RateLimit,
  type RateLimits,
  shapeOf,
} from './rate-limit.js';

/** A list of entries that a request's must be, in order; a value that is undefined is any, and each has a count of its own. */
interface LocalDescriptor {
  readonly keys: string;
  readonly values: readonly (string | undefined)[];
  readonly limit: Limit;
}

/** `extensions.filters.http.local_ratelimit.v3.LocalRateLimit`. */
export interface LocalLimits {
  readonly bucket: Limit;
  /** Whether requests that a descriptor matches count in it, too. "Default is true." - local_rate_limit.proto */
  readonly always: boolean;
  readonly descriptors: readonly LocalDescriptor[];
  readonly stage: number;
  readonly host: HostLimits;
  /** Those of the filter itself, in place of the route's; undefined: the route's. */
  readonly own: readonly RateLimit[] | undefined;
  /** Share of the requests that it looks at, above 0. */
  readonly enabled: number;
  readonly mode: LimitRule['mode'];
  readonly reply: LimitReply;
}

const MAX_DESCRIPTORS = 1_000;
const MAX_ENTRIES = 16;
/** "must be >= 50ms to avoid too aggressive refills" - local_rate_limit.proto */
const MIN_FILL_MS = 50;

/**
 * `LocalRateLimit` of a listener, or with `perRoute` of a route: "the token bucket must be set for the per route configuration otherwise the config will be
 * rejected". Undefined when nothing comes of it: `filter_enabled` and `filter_enforced` are 0 % by default, "for safety".
 */
export function localLimits(filter: Message, perRoute: boolean): LocalLimits | undefined {
  filter.requiredText('stat_prefix');
  checkSupported(filter);
  const bucket = filter.message('token_bucket');
  if (bucket === undefined && perRoute)
    throw filter.error('token_bucket', 'must be set in the configuration of a route');
  const descriptors = localDescriptors(filter);
  const own = filterRateLimits(filter);
  const found = {
    bucket: bucket && tokenBucket(bucket),
    always: filter.boolValue('always_consume_default_token_bucket') ?? true,
    descriptors,
    stage: checkedStage(filter, filter.uint32('stage')),
    host: hostLimits(filter),
    own: own.length > 0 ? own : undefined,
    enabled: share(filter, 'filter_enabled'),
    mode: enforcement(filter),
    reply: limitReply(filter, 'status'),
  };
  // "If there's no token bucket configured … no rate limiting is applied" - local_ratelimit.cc
  return found.bucket === undefined || found.enabled === 0 ? undefined : { ...found, bucket: found.bucket };
}

function checkSupported(filter: Message): void {
  if (filter.flag('local_rate_limit_per_downstream_connection'))
    throw filter.error(
      'local_rate_limit_per_downstream_connection',
      'is not supported: counts are of the process; set it to false',
    );
  if (filter.has('local_cluster_rate_limit'))
    throw filter.error(
      'local_cluster_rate_limit',
      'is not supported: counts are of the process; remove it, or use a shared store',
    );
  if (filter.messages('request_headers_to_add_when_not_enforced').length > 0)
    throw filter.error('request_headers_to_add_when_not_enforced', 'is not supported; remove it');
}

const share = (filter: Message, field: string): number =>
  filter.has(field) ? runtimeFraction(filter.message(field)) : 0;

function enforcement(filter: Message): LimitRule['mode'] {
  const enforced = share(filter, 'filter_enforced');
  if (enforced !== 0 && enforced !== 1)
    throw filter.error(
      'filter_enforced',
      'must be 0 % or 100 %: a request is enforced or shadowed; use filter_enabled for a share of them',
    );
  return enforced === 1 ? 'enforce' : 'shadow';
}

/** `type.v3.TokenBucket`; "defaults to a single token" */
function tokenBucket(bucket: Message): Limit {
  const burst = bucket.uint32('max_tokens');
  if (burst === 0) throw bucket.error('max_tokens', 'must be greater than 0');
  const requests = bucket.uint32Value('tokens_per_fill') ?? 1;
  if (requests === 0) throw bucket.error('tokens_per_fill', 'must be greater than 0');
  bucket.required('fill_interval');
  const perMs = bucket.duration('fill_interval') ?? 0;
  if (perMs < MIN_FILL_MS || perMs > MAX_PER_MS)
    throw bucket.error(
      'fill_interval',
      `must be at least ${MIN_FILL_MS} ms, and at most ${MAX_PER_MS} ms, got ${perMs} ms`,
    );
  return { algorithm: 'token_bucket', requests, perMs: Math.round(perMs), burst };
}

/** `common.ratelimit.v3.LocalRateLimitDescriptor`. Those with values go before those with any: Envoy looks for them first. */
function localDescriptors(filter: Message): readonly LocalDescriptor[] {
  const seen = new Set<string>();
  const found = boundedMessages(filter, 'descriptors', MAX_DESCRIPTORS).map((descriptor): LocalDescriptor => {
    const entries = boundedMessages(descriptor, 'entries', MAX_ENTRIES);
    // "min_items: 1" - ratelimit.proto
    if (entries.length === 0) throw descriptor.error('entries', 'must have at least one');
    const keys = entries.map((entry) => entry.requiredText('key'));
    const values = entries.map((entry) => entry.text('value') || undefined);
    const identity = JSON.stringify([keys, values]);
    // Envoy: "duplicate descriptor in the local rate descriptor"
    if (seen.has(identity)) throw descriptor.error('entries', 'must not be repeated among the descriptors');
    seen.add(identity);
    return { keys: keys.join('+'), values, limit: tokenBucket(descriptor.required('token_bucket')) };
  });
  const exact = ({ values }: LocalDescriptor): boolean => !values.includes(undefined);
  return [...found.filter(exact), ...found.filter((descriptor) => !exact(descriptor))];
}

/** The rate limits that count for a route: without descriptors none does. */
export const localEntries = (filter: LocalLimits, limits: RateLimits | undefined): readonly RateLimit[] =>
  filter.own ?? (filter.descriptors.length === 0 ? [] : applicable(limits, filter.stage, filter.host));

/** What a filter comes to for a route: its bucket, and a rule for each descriptor that requests of the route can have. `scope` says whose counts they are. */
export function localRules(filter: LocalLimits, limits: RateLimits | undefined, scope: string): LimitRule[] {
  const { bucket, always, descriptors, enabled, mode } = filter;
  const share = enabled < 1 && { share: { name: scope, of: enabled } };
  const common = { ...share, mode, store: { kind: 'local' }, onStoreFailure: 'local' } as const;
  const taken = new Set<string>();
  const rules: LimitRule[] = [];
  for (const { key, cost } of localEntries(filter, limits).flatMap(variants)) {
    const shape = shapeOf(key.entries);
    const overrides = descriptors.filter(({ keys }) => keys === shape).map(({ values, limit }) => ({ values, limit }));
    if (overrides.length === 0) continue;
    const { headers, query } = key;
    rules.push({
      name: distinct(`${scope}/${shape}`, taken),
      ...(headers.length + query.length > 0 && { when: [{ ...ANY, headers, query }] }),
      key: key.entries,
      overrides,
      ...common,
      ...(cost !== undefined && { cost }),
    });
  }
  const unless = always ? [] : rules.map(({ name }) => name);
  return [...rules, { name: scope, ...(unless.length > 0 && { unless }), key: [], limit: bucket, ...common }];
}

const ANY: RouteMatch = {
  path: { kind: 'prefix', value: '/', ignoreCase: false },
  headers: [],
  query: [],
  fraction: 1,
  grpcOnly: false,
};

interface Variant {
  readonly key: { readonly entries: readonly LimitKey[] } & Pick<RouteMatch, 'headers' | 'query'>;
  readonly cost: LimitRule['cost'];
}

/** Entries that may be left out make several descriptors of one; more than these are not looked for. */
const MAX_OPTIONAL = 4;

/** The descriptors that one entry of `rate_limits` can make: with and without each of those that have `skip_if_absent`. */
function variants({ key, cost }: RateLimit): Variant[] {
  let found: Variant['key'][] = [{ entries: [], headers: [], query: [] }];
  let optional = 0;
  for (const entry of key) {
    const skipped =
      entry.absent === 'skip-entry' && optional++ < MAX_OPTIONAL ? found.map((made) => without(made, entry)) : [];
    const kept: LimitKey = { ...entry, absent: 'skip-rule' };
    found = [...found.map((made) => ({ ...made, entries: [...made.entries, kept] })), ...skipped];
  }
  return found.filter(({ entries }) => entries.length > 0).map((made) => ({ key: made, cost }));
}

function without(made: Variant['key'], entry: LimitKey): Variant['key'] {
  const match = { kind: 'present', present: false } as const;
  if (entry.kind === 'header')
    return {
      ...made,
      headers: [...made.headers, { name: entry.name, match, invert: false, treatMissingAsEmpty: false }],
    };
  return entry.kind === 'query' ? { ...made, query: [...made.query, { name: entry.name, match }] } : made;
}
