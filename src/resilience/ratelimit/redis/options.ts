import { DecodeError, knownKeys, number, record, shown, string } from '../../../core/decode.js';

/** What limits need of a client of Redis: an ioredis `Redis` or `Cluster` has it. */
export interface RedisClient {
  evalsha(sha: string, numberOfKeys: number, ...args: (string | number)[]): Promise<unknown>;
  eval(script: string, numberOfKeys: number, ...args: (string | number)[]): Promise<unknown>;
}

/** TLS to Redis, as `node:tls` takes it: PEM. Whoever gives `cert` and `key` is asked for them by a server with `tls-auth-clients`. */
export interface RedisTlsOptions {
  readonly ca?: string | Uint8Array;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  readonly passphrase?: string;
  /** The name that the server's certificate must have. Default: the host. */
  readonly servername?: string;
}

/** One Redis, or one cluster, as the application describes it. */
export interface RedisOptions {
  /** `redis://user:password@host:6379/0`, or `rediss://…` for TLS. */
  readonly url?: string;
  /** Instead: the first nodes of a cluster, or with `sentinel` the sentinels. */
  readonly urls?: readonly string[];
  /** Name of the group of masters that the sentinels at `urls` watch. */
  readonly sentinel?: string;
  /** Here instead of in the URL. */
  readonly username?: string;
  readonly password?: string;
  /** Number of the database. A cluster has only 0. Default: that of the URL, else 0. */
  readonly db?: number;
  readonly tls?: RedisTlsOptions;
  /** What the names of all keys begin with. Default `inmesh:`. */
  readonly prefix?: string;
  /** How long connecting may take, in milliseconds, 10 to 60_000. Default 2_000. Calls do not wait for it longer than their own `timeoutMs`. */
  readonly connectTimeoutMs?: number;
}

/** An element of `MeshOptions.redis`: a URL, several (a cluster), options, or a client of ioredis, which stays the application's to close. */
export type RedisOption = string | readonly string[] | RedisOptions | RedisClient;

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

/** Where a Redis is, checked. */
export type RedisTarget =
  | { readonly kind: 'client'; readonly client: RedisClient; readonly prefix: string }
  | {
      readonly kind: 'servers';
      readonly mode: 'single' | 'cluster' | 'sentinel';
      readonly nodes: readonly RedisNode[];
      readonly sentinel: string | undefined;
      readonly username: string | undefined;
      readonly password: string | undefined;
      readonly db: number;
      /** Undefined: plaintext. */
      readonly tls: RedisTlsOptions | undefined;
      readonly prefix: string;
      readonly connectTimeoutMs: number;
    };

/** The Redis called `default`, where the application gives none of that name. */
export const REDIS_URL_VARIABLE = 'INMESH_REDIS_URL';

export const DEFAULT_REDIS_PREFIX = 'inmesh:';
export const DEFAULT_REDIS_CONNECT_TIMEOUT_MS = 2_000;
const DEFAULT_PORT = 6379;
/** More than any server is compiled for. */
const MAX_DB = 1_000_000;

const KEYS = [
  'url',
  'urls',
  'sentinel',
  'username',
  'password',
  'db',
  'tls',
  'prefix',
  'connectTimeoutMs',
] as const satisfies readonly (keyof RedisOptions)[];

/** One element of `MeshOptions.redis`. Throws DecodeError. */
export function redisTarget(option: unknown, path: string): RedisTarget {
  if (typeof option === 'string') return servers({ url: option }, path, path);
  if (Array.isArray(option)) return servers({ urls: option }, path, path);
  if (isClient(option)) return { kind: 'client', client: option, prefix: DEFAULT_REDIS_PREFIX };
  const options = record(option, path);
  knownKeys(options, path, KEYS);
  return servers(options, path);
}

function isClient(value: unknown): value is RedisClient {
  if (typeof value !== 'object' || value === null) return false;
  const { evalsha, eval: run } = value as { readonly evalsha?: unknown; readonly eval?: unknown };
  return typeof evalsha === 'function' && typeof run === 'function';
}

/** `at`: where the URL or the URLs stand, for messages. */
function servers(
  options: Record<string, unknown>,
  path: string,
  at = options['url'] === undefined ? `${path}.urls` : `${path}.url`,
): RedisTarget {
  const { url, urls, sentinel, tls } = options;
  if ((url === undefined) === (urls === undefined))
    throw new DecodeError(path, 'give either url, of one server, or urls, of the first nodes of a cluster');
  if (sentinel !== undefined) string(sentinel, `${path}.sentinel`);
  if (sentinel !== undefined && urls === undefined)
    throw new DecodeError(`${path}.sentinel`, 'needs urls: those of the sentinels');
  const parsed = url === undefined ? several(urls, at) : [parseUrl(url, at)];
  const first = parsed[0] as ParsedUrl;
  if (parsed.some(({ tls: encrypted }) => encrypted !== first.tls))
    throw new DecodeError(at, 'must be all redis:// or all rediss://');
  const mode = url !== undefined ? 'single' : sentinel !== undefined ? 'sentinel' : 'cluster';
  const db = options['db'] === undefined ? first.db : number(options['db'], `${path}.db`, 0, MAX_DB);
  if (!Number.isInteger(db)) throw new DecodeError(`${path}.db`, `must be a whole number, got ${shown(db)}`);
  if (mode === 'cluster' && db !== 0)
    throw new DecodeError(`${path}.db`, `a cluster has only database 0, got ${shown(db)}`);
  return {
    kind: 'servers',
    mode,
    nodes: parsed.map(({ host, port }) => ({ host, port })),
    sentinel: sentinel as string | undefined,
    username: optional(options['username'], `${path}.username`) ?? first.username,
    password: optional(options['password'], `${path}.password`) ?? first.password,
    db,
    tls: tls === undefined ? (first.tls ? {} : undefined) : tlsOptions(tls, `${path}.tls`),
    prefix: optional(options['prefix'], `${path}.prefix`) ?? DEFAULT_REDIS_PREFIX,
    connectTimeoutMs:
      options['connectTimeoutMs'] === undefined
        ? DEFAULT_REDIS_CONNECT_TIMEOUT_MS
        : number(options['connectTimeoutMs'], `${path}.connectTimeoutMs`, 10, 60_000),
  };
}

const optional = (value: unknown, path: string): string | undefined =>
  value === undefined ? undefined : string(value, path);

function tlsOptions(value: unknown, path: string): RedisTlsOptions {
  const tls = record(value, path);
  knownKeys(tls, path, ['ca', 'cert', 'key', 'passphrase', 'servername']);
  for (const name of ['passphrase', 'servername']) optional(tls[name], `${path}.${name}`);
  for (const name of ['ca', 'cert', 'key']) {
    const pem = tls[name];
    if (pem !== undefined && typeof pem !== 'string' && !(pem instanceof Uint8Array))
      throw new DecodeError(`${path}.${name}`, 'must be PEM, as a string or bytes');
  }
  if ((tls['cert'] === undefined) !== (tls['key'] === undefined))
    throw new DecodeError(path, 'give cert and key together');
  return tls;
}

interface ParsedUrl extends RedisNode {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  readonly tls: boolean;
}

function several(value: unknown, path: string): readonly ParsedUrl[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new DecodeError(path, `must be a list of URLs, at least one, got ${shown(value)}`);
  return value.map((url, index) => parseUrl(url, `${path}[${index}]`));
}

/** Messages never show the URL: it may hold a password. */
function parseUrl(value: unknown, path: string): ParsedUrl {
  let url: URL;
  try {
    url = new URL(string(value, path));
  } catch (error) {
    if (error instanceof DecodeError) throw error;
    throw new DecodeError(path, 'is no URL: must be redis://host:port or rediss://host:port');
  }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:')
    throw new DecodeError(path, `must begin with redis:// or rediss://, got ${url.protocol}//`);
  if (url.hostname === '') throw new DecodeError(path, 'names no host');
  const db = url.pathname.replace(/^\//, '');
  if (!/^\d{0,6}$/.test(db))
    throw new DecodeError(path, `after the host comes the number of a database, got ${shown(db)}`);
  if (url.search !== '') throw new DecodeError(path, 'has a query: give options instead');
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    username: url.username === '' ? undefined : decoded(url.username, path),
    password: url.password === '' ? undefined : decoded(url.password, path),
    db: Number(db),
    tls: url.protocol === 'rediss:',
  };
}

function decoded(text: string, path: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new DecodeError(path, 'has a user or password that is not percent-encoded');
  }
}

/** For messages and metrics: no user, no password. */
export function describeTarget(target: RedisTarget): string {
  if (target.kind === 'client') return "the application's client";
  return target.nodes.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)).join(',');
}

/** `MeshOptions.redis`, and what the environment says of `default`. Throws DecodeError. */
export function redisTargets(
  option: unknown,
  path: string,
  defaultUrl: string | undefined,
): Readonly<Record<string, RedisTarget>> {
  const targets: Record<string, RedisTarget> = {};
  if (defaultUrl !== undefined && defaultUrl !== '') targets['default'] = redisTarget(defaultUrl, REDIS_URL_VARIABLE);
  if (option === undefined) return targets;
  for (const [name, one] of Object.entries(record(option, path))) targets[name] = redisTarget(one, `${path}.${name}`);
  return targets;
}
