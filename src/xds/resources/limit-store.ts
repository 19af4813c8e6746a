import type { LimitLease, LimitStoreRef } from '../../core/model/limit.js';
import type { Message } from './message.js';
import { boundedText, onlyFields, requiredWhole, wholeIn } from './own-config.js';

const MAX_TEXT = 500;
const MAX_URLS = 16;
const MAX_TIMEOUT_MS = 60_000;
const DEFAULT_REDIS_TIMEOUT_MS = 50;
/** "If not set, this defaults to 20ms." - rate_limit.proto */
export const DEFAULT_RLS_TIMEOUT_MS = 20;
const MAX_PERMITS = 1_000_000;
const MAX_LEASE_MS = 3_600_000;

const FIELDS = {
  local: [],
  redis: ['name', 'urls', 'timeout_ms', 'lease'],
  rls: ['service', 'domain', 'timeout_ms'],
} as const satisfies Record<LimitStoreRef['kind'], readonly string[]>;

/** `store` of a rule of ours: see `ownLimits`. */
export function limitStore(store: Message | undefined): LimitStoreRef {
  if (store === undefined) return { kind: 'local' };
  const kind = store.choice('kind', ['local', 'redis', 'rls']);
  onlyFields(store, ['kind', ...FIELDS[kind]]);
  const timeoutMs = (otherwise: number) => wholeIn(store, 'timeout_ms', { min: 1, max: MAX_TIMEOUT_MS }, otherwise);
  switch (kind) {
    case 'local':
      return { kind };
    case 'redis': {
      const urls = redisUrls(store);
      const lease = leaseOf(store.message('lease'));
      return {
        kind,
        name: store.has('name') ? boundedText(store, 'name', MAX_TEXT) : 'default',
        ...(urls.length > 0 && { urls }),
        timeoutMs: timeoutMs(DEFAULT_REDIS_TIMEOUT_MS),
        ...(lease !== undefined && { lease }),
      };
    }
    case 'rls':
      return {
        kind,
        service: boundedText(store, 'service', MAX_TEXT),
        domain: boundedText(store, 'domain', MAX_TEXT),
        timeoutMs: timeoutMs(DEFAULT_RLS_TIMEOUT_MS),
      };
  }
}

function redisUrls(store: Message): readonly string[] {
  const urls = store.texts('urls');
  if (urls.length > MAX_URLS) throw store.error('urls', `must have at most ${MAX_URLS}, got ${urls.length}`);
  urls.forEach((url, i) => {
    // Never shown: it may hold a password.
    if (!/^rediss?:\/\/[^\s/]/.test(url) || !URL.canParse(url))
      throw store.error(`urls[${i}]`, 'must be a URL redis://host:port or rediss://host:port');
  });
  return urls;
}

function leaseOf(lease: Message | undefined): LimitLease | undefined {
  if (lease === undefined) return undefined;
  onlyFields(lease, ['max_permits', 'ttl_ms']);
  return {
    maxPermits: requiredWhole(lease, 'max_permits', { min: 2, max: MAX_PERMITS }),
    ttlMs: requiredWhole(lease, 'ttl_ms', { min: 1, max: MAX_LEASE_MS }),
  };
}
