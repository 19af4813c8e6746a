import type { FallbackConfig } from '../../core/model/fallback.js';
import { isHeaderName, isHeaderValue } from './header-name.js';
import type { Message } from './message.js';
import { filterMetadata, OWN_METADATA, type Settings } from './struct.js';

const KINDS = ['service', 'stale', 'static', 'function'] as const;
const DAY_MS = 86_400_000;
const MIB = 1_048_576;
/** More ways than this to answer without the destination are a mistake. */
const MAX_FALLBACKS = 16;
/** Of a static body: it is part of the configuration of every client. */
const MAX_BODY_BYTES = 65_536;
const MAX_HEADERS = 64;
const MAX_GRPC_STATUS = 16;

/** Last good replies are kept for a minute, 100 of them of at most 64 KiB. */
const DEFAULT_STALE = { maxAgeMs: 60_000, maxEntries: 100, maxEntryBytes: 65_536 } as const;

/**
 * What stands in for a reply, which the API has no field for: `filter_metadata["inmesh.dev"].fallback`, a list of structs with one of `service`
 * (`cluster`), `stale` (`max_age_ms`, `max_entries`, `max_entry_bytes`), `static` (`status`, `headers` with `name` and `value`, `body` or `body_base64`,
 * `grpc_status`) and `function` (`name`). Undefined: none.
 */
export function fallbacks(cluster: Message): readonly FallbackConfig[] | undefined {
  const own = filterMetadata(cluster, OWN_METADATA);
  const entries = own?.nestedList('fallback') ?? [];
  if (own !== undefined && entries.length > MAX_FALLBACKS)
    throw own.error('fallback', `must have at most ${MAX_FALLBACKS} entries, got ${entries.length}`);
  return entries.length === 0 ? undefined : entries.map((entry) => fallback(entry, cluster.text('name')));
}

function fallback(entry: Settings, own: string): FallbackConfig {
  const [kind, other] = KINDS.filter((name) => entry.has(name));
  if (kind === undefined || other !== undefined) throw entry.error('', `must have one of ${KINDS.join(', ')}`);
  const config = entry.nested(kind) as Settings;
  switch (kind) {
    case 'service': {
      const cluster = requiredText(config, 'cluster');
      if (cluster === own) throw config.error('cluster', `must be another cluster than its own, "${own}"`);
      return { kind, cluster };
    }
    case 'stale':
      return {
        kind,
        maxAgeMs: config.number('max_age_ms', 1, 30 * DAY_MS, DEFAULT_STALE.maxAgeMs),
        maxEntries: config.integer('max_entries', 1, 1_000_000, DEFAULT_STALE.maxEntries),
        maxEntryBytes: config.integer('max_entry_bytes', 1, 64 * MIB, DEFAULT_STALE.maxEntryBytes),
      };
    case 'static':
      return {
        kind,
        status: config.integer('status', 200, 599, 200),
        headers: staticHeaders(config),
        body: staticBody(config),
        grpcStatus: config.integer('grpc_status', 0, MAX_GRPC_STATUS, 0),
      };
    case 'function':
      return { kind, name: requiredText(config, 'name') };
  }
}

function requiredText(settings: Settings, name: string): string {
  const value = settings.text(name) ?? '';
  if (value === '') throw settings.error(name, 'must be set and not empty');
  return value;
}

function staticHeaders(config: Settings): Extract<FallbackConfig, { kind: 'static' }>['headers'] {
  const headers = config.nestedList('headers');
  if (headers.length > MAX_HEADERS) throw config.error('headers', `must have at most ${MAX_HEADERS} headers`);
  return headers.map((header) => {
    const name = requiredText(header, 'name').toLowerCase();
    const value = header.text('value') ?? '';
    if (!isHeaderName(name)) throw header.error('name', 'must be a header name (RFC 9110)');
    if (!isHeaderValue(value))
      throw header.error('value', 'must be a header value: Latin-1 without control characters (RFC 9110)');
    return { name, value };
  });
}

/** A text, or bytes: a gRPC message is no text. */
function staticBody(config: Settings): Uint8Array {
  if (config.has('body') && config.has('body_base64'))
    throw config.error('body_base64', 'must not be set beside body: keep one of them');
  const base64 = config.text('body_base64');
  const text = config.text('body') ?? '';
  const field = base64 === undefined ? 'body' : 'body_base64';
  if (base64 !== undefined && !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw config.error(field, 'must be base64');
  const body = base64 === undefined ? Buffer.from(text) : Buffer.from(base64, 'base64');
  if (body.length > MAX_BODY_BYTES)
    throw config.error(field, `must be at most ${MAX_BODY_BYTES} bytes, got ${body.length}`);
  // A copy of its own: small Buffers are parts of a pool.
  return new Uint8Array(body);
}
