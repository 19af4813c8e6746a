import { DEFAULT_LIMIT_REPLY, type LimitRule, type RouteLimits } from '../../core/model/limit.js';
import type { Extension } from './any.js';
import { isHeaderName } from './header-name.js';
import { limitKey } from './limit-key.js';
import { limitOf, serviceLimitOf } from './limit-of.js';
import { limitStore } from './limit-store.js';
import type { Message } from './message.js';
import { boundedMessages, boundedText, onlyFields, ownConfig, requiredWhole, wholeIn } from './own-config.js';
import { routeMatch } from './route-match.js';

/** A TypedStruct of this type is the configuration of limits, which Envoy's API has no field for. */
export const OWN_LIMITS = 'inmesh.dev/limits';

/** More rules than this for one route are a mistake. */
export const MAX_LIMIT_RULES = 64;
const MAX_CONDITIONS = 16;
const MAX_KEYS = 16;
const MAX_OVERRIDES = 1_000;
const MAX_NAME = 500;
const MAX_WAIT_MS = 600_000;
const MAX_QUEUE = 100_000;
const MAX_COST = 1_000_000;

/**
 * `inmesh.dev/limits`: what a route says of limits. As an HttpFilter of a listener it is for the routes that say nothing themselves; in
 * `typed_per_filter_config` it takes the place of the filter's, whole (gRFC A39). The value of the TypedStruct, all of it checked, unknown fields refused:
 *
 * - `rules`: up to 64 of
 *   - `name`: 1 to 500 characters, unique among these rules.
 *   - `when`: up to 16 `route.v3.RouteMatch` in the shape of `core/resources.ts` (wrappers are `{ value }`):
 *     `[{ prefix: '/', headers: [{ name: ':method', string_match: { exact: 'GET' } }], query_parameters: [...] }]`. Any must match; absent or empty: all requests.
 *   - `key`: up to 16, each with `kind`, `as` (default: the name of the header or parameter, the claim's path with dots, else Envoy's name of the kind),
 *     `absent` (`empty`, the default, `skip-entry`, `skip-rule`), and by kind
 *     `header`: `name`; `query`: `name`; `remote_address`: `v4_bits` 0 to 32, `v6_bits` 0 to 128; `claim`: `path`, 1 to 8 texts; `generic`: `value`;
 *     `match`: `value`, `headers` (`route.v3.HeaderMatcher`), `query` (`route.v3.QueryParameterMatcher`), `expect` (default true);
 *     `identity`, `route`, `method`, `path`, `host`, `destination`, `source`: nothing more.
 *   - `limit`: `algorithm`, `requests` (0 to 4294967295), and by algorithm `token_bucket` (the default): `per_ms`, `burst` (from 1; default: `requests`, at
 *     least 1); `fixed_window`, `sliding_window`: `per_ms`; `sliding_log`: `per_ms`, and at most 100000 requests; `calendar`: `per` (`minute`, `hour`,
 *     `day`, `week`, `month`, `year`), `time_zone` (IANA; default UTC). `per_ms` is from 1 to 3155760000000, a hundred years.
 *   - `overrides`: up to 1000 of `values`, a text or null (any value) per entry of `key`, and `limit`: as above, or the text `unlimited` or `skip`.
 *   - `mode`: `enforce` (default) or `shadow`.
 *   - `queue`: `max_wait_ms` (1 to 600000), `max_length` (1 to 100000). Not with the store `rls`.
 *   - `store`: `kind` and by kind `local` (the default): nothing more; `redis`: `name` (default `default`), `urls` (up to 16, `redis://` or `rediss://`),
 *     `timeout_ms` (1 to 60000, default 50), `lease` (`max_permits` 2 to 1000000, `ttl_ms` 1 to 3600000); `rls`: `service` (name of the cluster),
 *     `domain`, `timeout_ms` (1 to 60000, default 20).
 *   - `on_store_failure`: `allow`, `deny` or `local`; default `local`, with `rls` `allow` (Envoy).
 *   - `cost`: a whole number from 0 to 1000000, or `{ header }`.
 *   - `meter`: `{ plan }`, or empty.
 *
 *   A rule has a `limit`, `overrides` or a `meter`; with the store `rls` it may have none of them, and limits are fixed windows of a second, minute, hour, day,
 *   week, month (30 days) or year (365 days), which are told to the service in place of those that it has (`RateLimitDescriptor.limit`).
 * - `status`: 400 to 599, default 429. `grpc_status`: 8 (default) or 14.
 * - `headers`: `x_rate_limit` (`off`, `epoch`, the default, or `seconds`), `standard` and `x_envoy_rate_limited` (default true).
 */
export function ownLimits(filter: Extension): RouteLimits {
  const config = ownConfig(filter);
  onlyFields(config, ['rules', 'status', 'grpc_status', 'headers']);
  const names = new Set<string>();
  const rules = boundedMessages(config, 'rules', MAX_LIMIT_RULES).map((rule) => limitRule(rule, names));
  return {
    rules,
    status: wholeIn(config, 'status', { min: 400, max: 599 }, DEFAULT_LIMIT_REPLY.status),
    grpcStatus: grpcRefusal(config),
    headers: replyHeaders(config.message('headers')),
  };
}

function grpcRefusal(config: Message): number {
  const code = wholeIn(config, 'grpc_status', { min: 0, max: 16 }, DEFAULT_LIMIT_REPLY.grpcStatus);
  if (code === 8 || code === 14) return code;
  throw config.error('grpc_status', `must be 8 (RESOURCE_EXHAUSTED) or 14 (UNAVAILABLE), got ${code}`);
}

function replyHeaders(config: Message | undefined): RouteLimits['headers'] {
  if (config === undefined) return DEFAULT_LIMIT_REPLY.headers;
  onlyFields(config, ['x_rate_limit', 'standard', 'x_envoy_rate_limited']);
  const unlessNot = (field: string): boolean => !config.has(field) || config.flag(field);
  return {
    xRateLimit: config.choice('x_rate_limit', ['epoch', 'seconds', 'off']),
    standard: unlessNot('standard'),
    xEnvoyRateLimited: unlessNot('x_envoy_rate_limited'),
  };
}

function limitRule(rule: Message, names: Set<string>): LimitRule {
  onlyFields(rule, [
    'name',
    'when',
    'key',
    'limit',
    'overrides',
    'mode',
    'queue',
    'store',
    'on_store_failure',
    'cost',
    'meter',
  ]);
  const name = boundedText(rule, 'name', MAX_NAME);
  if (names.has(name)) throw rule.error('name', `must not be repeated, got "${name.slice(0, 80)}" again`);
  names.add(name);
  const when = boundedMessages(rule, 'when', MAX_CONDITIONS).map(condition);
  const key = boundedMessages(rule, 'key', MAX_KEYS).map(limitKey);
  const store = limitStore(rule.message('store'));
  const limit = rule.message('limit');
  const readLimit = store.kind === 'rls' ? serviceLimitOf : limitOf;
  const overrides = limitOverrides(rule, key.length, readLimit);
  const meter = usageMeter(rule.message('meter'));
  const queue = limitQueue(rule.message('queue'));
  if (store.kind === 'rls') {
    if (rule.has('queue')) throw rule.error('queue', 'must not be set with the store rls: the service refuses at once');
  } else if (limit === undefined && overrides === undefined && meter === undefined)
    throw rule.error('', 'must have limit, overrides or meter, as otherwise it does nothing');
  return {
    name,
    ...(when.length > 0 && { when }),
    key,
    ...(limit !== undefined && { limit: readLimit(rule, 'limit') }),
    ...(overrides !== undefined && { overrides }),
    mode: rule.choice('mode', ['enforce', 'shadow']),
    ...(queue !== undefined && { queue }),
    store,
    onStoreFailure:
      store.kind === 'rls'
        ? rule.choice('on_store_failure', ['allow', 'deny', 'local'])
        : rule.choice('on_store_failure', ['local', 'allow', 'deny']),
    ...(rule.has('cost') && { cost: cost(rule) }),
    ...(meter !== undefined && { meter }),
  };
}

function condition(match: Message): NonNullable<LimitRule['when']>[number] {
  const found = routeMatch(match);
  // A route would be ignored; a limit that is left out lets everybody in.
  if (found === undefined)
    throw match.error('', 'asks for dynamic_metadata or filter_state that no request has; remove the condition');
  return found;
}

type LimitOverride = NonNullable<LimitRule['overrides']>[number];

function limitOverrides(rule: Message, entries: number, readLimit: typeof limitOf): LimitRule['overrides'] {
  if (!rule.has('overrides')) return undefined;
  return boundedMessages(rule, 'overrides', MAX_OVERRIDES).map((override): LimitOverride => {
    onlyFields(override, ['values', 'limit']);
    const values = override.textsOrNulls('values');
    if (values.length !== entries)
      throw override.error('values', `must have one for each entry of key (${entries}), got ${values.length}`);
    if (!override.isText('limit')) return { values, limit: readLimit(override, 'limit') };
    const limit = override.choice('limit', ['unlimited', 'skip']);
    return { values, limit };
  });
}

function limitQueue(queue: Message | undefined): LimitRule['queue'] {
  if (queue === undefined) return undefined;
  onlyFields(queue, ['max_wait_ms', 'max_length']);
  return {
    maxWaitMs: requiredWhole(queue, 'max_wait_ms', { min: 1, max: MAX_WAIT_MS }),
    maxLength: requiredWhole(queue, 'max_length', { min: 1, max: MAX_QUEUE }),
  };
}

function cost(rule: Message): LimitRule['cost'] {
  if (rule.isNumber('cost')) return requiredWhole(rule, 'cost', { min: 0, max: MAX_COST });
  const config = rule.required('cost');
  onlyFields(config, ['header']);
  const header = config.requiredText('header').toLowerCase();
  if (!isHeaderName(header)) throw config.error('header', 'must be a header name (RFC 9110)');
  return { header };
}

function usageMeter(meter: Message | undefined): LimitRule['meter'] {
  if (meter === undefined) return undefined;
  onlyFields(meter, ['plan']);
  return { plan: meter.has('plan') ? boundedText(meter, 'plan', MAX_NAME) : undefined };
}
