import { DecodeError, knownKeys, record, string } from '../../core/decode.js';
import {
  DEFAULT_LIMIT_REPLY,
  type Limit,
  type LimitKey,
  type LimitRule,
  type LimitStoreRef,
  type RouteLimits,
} from '../../core/model/limit.js';
import { array, flag, oneOf, text, whole } from './checks.js';
import { keyOf, when } from './conditions.js';
import { LIMIT_KEYS, limit } from './limit.js';
import { canonicalPath } from './path.js';

/** `token_bucket`: evenly, after a pause up to `burst` at once. The others: in each window. Default `token_bucket`. By either name. */
export type LimitAlgorithm =
  | ('token_bucket' | 'fixed_window' | 'sliding_window' | 'sliding_log')
  | ('tokenBucket' | 'fixedWindow' | 'slidingWindow' | 'slidingLog');
export type LimitDuration = `${number}${'h' | 'm' | 's' | 'ms'}${string}`;

/** How many requests are let through: so many in so many milliseconds, or in each day, hour, … of the calendar. */
export type LimitOptions =
  | {
      /** From 0. */
      readonly requests: number;
      /** Milliseconds, from 1 to 366 days. */
      readonly perMs: number;
      readonly algorithm?: LimitAlgorithm;
      /** Of a token bucket: requests at once after a pause, from 1. Default: `requests`, as Envoy Gateway has it. */
      readonly burst?: number;
    }
  | {
      readonly requests: number;
      /** As in YAML (GEP-2257): `10s`, `1m30s`. */
      readonly per: LimitDuration;
      readonly algorithm?: LimitAlgorithm;
      readonly burst?: number;
    }
  | {
      readonly requests: number;
      readonly per: Extract<Limit, { algorithm: 'calendar' }>['per'];
      /** IANA. Default `UTC`. */
      readonly timeZone?: string;
    };

/** What of a request says whose count it adds to. */
export type LimitKeyOptions =
  | { readonly header: string }
  | { readonly query: string }
  /** The client's address, or the network of it, by so many bits. */
  | { readonly remoteAddress: true | { readonly v4Bits?: number; readonly v6Bits?: number } }
  /** `Caller.principal`. */
  | { readonly identity: true }
  /** Of `Caller.claims`, by its path. */
  | { readonly claim: string | readonly string[] }
  | { readonly method: true }
  | { readonly path: true }
  | { readonly host: true };

export type RateLimitRuleOptions = LimitOptions & {
  /** For metrics, and the name of the counts: rules of one name are one rule. Default: one of its own; with `redis` it must be set. */
  readonly name?: string;
  /**
   * Only requests of which all of this is so. Default: all requests. Paths are `/login` however they are written (`/LOGIN`, `/login/`, `/%6cogin`, `/login;v=1`),
   * here and in `key`, since frameworks may serve them with the same handler.
   */
  readonly when?: {
    /** Of the path, by whole segments: `/api` is also `/api/7`. */
    readonly pathPrefix?: string;
    readonly path?: string;
    readonly method?: string;
    /** Values by name; `true`: any. */
    readonly headers?: Readonly<Record<string, string | true>>;
  };
  /** Default: all requests count together. */
  readonly key?: readonly LimitKeyOptions[];
  /** For certain keys, the first that fits: a value per entry of `key`, undefined for any. */
  readonly overrides?: readonly ({ readonly values: readonly (string | undefined)[] } & (
    | LimitOptions
    | { readonly unlimited: true }
  ))[];
  /** `shadow`: counted in the metrics, and nothing else. Default `enforce`. */
  readonly mode?: 'enforce' | 'shadow';
  /** Requests beyond the limit wait for their turn: each so many milliseconds at most, so many per key. Default: they are refused at once. */
  readonly queue?: { readonly maxWaitMs: number; readonly maxLength: number };
  /** Where the counts are: in this process, or in the mesh's Redis of that name. Default: here. */
  readonly redis?: string;
  /** When Redis does not answer in time. Default `local`: this process counts by itself. */
  readonly onStoreFailure?: 'allow' | 'deny' | 'local';
  /** What a request counts, from 1; or a header that says it. Default 1. */
  readonly cost?: number | { readonly header: string };
};

/** A rule, several, or several with what is answered to those that are refused. All must let a request through. */
export type RateLimitOptions =
  | RateLimitRuleOptions
  | readonly RateLimitRuleOptions[]
  | {
      readonly rules: readonly RateLimitRuleOptions[];
      /** Default 429. */
      readonly status?: number;
      /** Default RESOURCE_EXHAUSTED. */
      readonly grpcStatus?: 8 | 14;
      readonly headers?: Partial<RouteLimits['headers']>;
    };

/** envoyproxy/gateway counts rules so, too; what is beyond is a mistake. */
const MAX_RULES = 64;
const DEFAULT_REDIS_TIMEOUT_MS = 50;

const RULE_KEYS = [
  ...LIMIT_KEYS,
  'name',
  'when',
  'key',
  'overrides',
  'mode',
  'queue',
  'redis',
  'onStoreFailure',
  'cost',
];

/** The limits that options mean; rules without a name get `prefix` and their place. Throws DecodeError. */
export function rateLimits(options: RateLimitOptions, prefix: string): RouteLimits {
  if (Array.isArray(options)) return { rules: rules(options, 'limits', prefix), ...DEFAULT_LIMIT_REPLY };
  const o = record(options, 'limits');
  if (!('rules' in o)) return { rules: [rule(o, 'limits', `${prefix}/0`)], ...DEFAULT_LIMIT_REPLY };
  knownKeys(o, 'limits', ['rules', 'status', 'grpcStatus', 'headers']);
  const headers = record(o['headers'] ?? {}, 'limits.headers');
  knownKeys(headers, 'limits.headers', ['xRateLimit', 'standard', 'xEnvoyRateLimited']);
  const { headers: usual } = DEFAULT_LIMIT_REPLY;
  return {
    rules: rules(o['rules'], 'limits.rules', prefix),
    status: whole(o['status'] ?? DEFAULT_LIMIT_REPLY.status, 'limits.status', 400, 599),
    grpcStatus: oneOf(o['grpcStatus'] ?? DEFAULT_LIMIT_REPLY.grpcStatus, 'limits.grpcStatus', [8, 14] as const),
    headers: {
      xRateLimit: oneOf(headers['xRateLimit'] ?? usual.xRateLimit, 'limits.headers.xRateLimit', [
        'off',
        'epoch',
        'seconds',
      ] as const),
      standard: flag(headers['standard'] ?? usual.standard, 'limits.headers.standard'),
      xEnvoyRateLimited: flag(
        headers['xEnvoyRateLimited'] ?? usual.xEnvoyRateLimited,
        'limits.headers.xEnvoyRateLimited',
      ),
    },
  };
}

function rules(value: unknown, path: string, prefix: string): LimitRule[] {
  const list = array(value, path);
  if (list.length === 0 || list.length > MAX_RULES)
    throw new DecodeError(path, `must be 1 to ${MAX_RULES} rules, got ${list.length}`);
  const found = list.map((one, i) => rule(record(one, `${path}[${i}]`), `${path}[${i}]`, `${prefix}/${i}`));
  const names = new Set<string>();
  found.forEach(({ name }, i) => {
    if (names.has(name)) throw new DecodeError(`${path}[${i}].name`, `"${name}" is there already`);
    names.add(name);
  });
  return found;
}

function rule(o: Record<string, unknown>, path: string, unnamed: string): LimitRule {
  knownKeys(o, path, RULE_KEYS);
  const key = array(o['key'] ?? [], `${path}.key`).map((one, i) => keyOf(one, `${path}.key[${i}]`));
  const store = storeOf(o['redis'], `${path}.redis`);
  if (store.kind === 'redis' && o['name'] === undefined)
    throw new DecodeError(
      `${path}.name`,
      'must be set with redis: rules of one name count together, in all services that use it',
    );
  return {
    name: o['name'] === undefined ? unnamed : string(o['name'], `${path}.name`),
    when: o['when'] === undefined ? undefined : [when(record(o['when'], `${path}.when`), `${path}.when`)],
    key,
    limit: limit(o, path),
    overrides: o['overrides'] === undefined ? undefined : overrides(o['overrides'], `${path}.overrides`, key),
    mode: oneOf(o['mode'] ?? 'enforce', `${path}.mode`, ['enforce', 'shadow'] as const),
    queue: o['queue'] === undefined ? undefined : queue(record(o['queue'], `${path}.queue`), `${path}.queue`),
    store,
    onStoreFailure: oneOf(o['onStoreFailure'] ?? 'local', `${path}.onStoreFailure`, [
      'allow',
      'deny',
      'local',
    ] as const),
    cost: o['cost'] === undefined ? undefined : cost(o['cost'], `${path}.cost`),
  };
}

function overrides(value: unknown, path: string, key: readonly LimitKey[]): NonNullable<LimitRule['overrides']> {
  return array(value, path).map((one, i) => {
    const at = `${path}[${i}]`;
    const o = record(one, at);
    knownKeys(o, at, [...LIMIT_KEYS, 'values', 'unlimited']);
    const values = array(o['values'], `${at}.values`).map((part, j) => {
      if (part === undefined) return undefined;
      const written = string(part, `${at}.values[${j}]`);
      return key[j]?.kind === 'path' ? canonicalPath(written) : written;
    });
    if (values.length !== key.length)
      throw new DecodeError(`${at}.values`, `must have a value per entry of key, ${key.length}, got ${values.length}`);
    const unlimited = o['unlimited'] !== undefined && flag(o['unlimited'], `${at}.unlimited`);
    return { values, limit: unlimited ? 'unlimited' : limit(o, at) };
  });
}

function queue(o: Record<string, unknown>, path: string): NonNullable<LimitRule['queue']> {
  knownKeys(o, path, ['maxWaitMs', 'maxLength']);
  return {
    maxWaitMs: whole(o['maxWaitMs'], `${path}.maxWaitMs`, 1, 600_000),
    maxLength: whole(o['maxLength'], `${path}.maxLength`, 1, 100_000),
  };
}

function cost(value: unknown, path: string): NonNullable<LimitRule['cost']> {
  if (typeof value === 'number') return whole(value, path, 1, 1_000_000);
  const o = record(value, path);
  knownKeys(o, path, ['header']);
  return { header: text(o['header'], `${path}.header`).toLowerCase() };
}

const storeOf = (redis: unknown, path: string): LimitStoreRef =>
  redis === undefined
    ? { kind: 'local' }
    : { kind: 'redis', name: text(redis, path), timeoutMs: DEFAULT_REDIS_TIMEOUT_MS };
