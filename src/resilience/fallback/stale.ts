import { BytesBody } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { copyHeaders, endToEndHeaders, type HeaderFields, headerValue } from '../../core/headers.js';
import type { FallbackConfig } from '../../core/model/fallback.js';
import type { Reply } from '../../core/reply.js';
import { keeping, mayBeKept, wantsFresh } from './cache-rules.js';
import type { Failure } from './failure.js';
import { replyOf } from './grpc-reply.js';
import type { Kind } from './kind.js';
import { recorded } from './record.js';
import { StaleCache } from './stale-cache.js';

/** Request metadata that says nothing of what is asked for, and differs from call to call: by name, and by the beginning of it. */
const PER_CALL = new Set(['traceparent', 'tracestate', 'baggage', 'grpc-timeout', 'user-agent', 'x-request-id', 'te']);
const PER_CALL_PREFIXES = ['x-envoy-', 'inmesh-', 'grpc-', 'x-b3-'];

/** Whose replies are kept. */
const KEPT_METHODS = ['GET', 'HEAD'];
/** RFC 9110 section 9.2.1; a method that we do not know may change anything. */
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** What a call asked for, and how many changes there had been by then. */
export interface Asked {
  readonly key: string;
  readonly since: number;
}

/**
 * The last good reply to the same request (RFC 5861 `stale-if-error`), for all callers in this process: as a shared cache keeps it, with what
 * `cache-control`, `vary`, `authorization` and `set-cookie` forbid. Over HTTP for GET and HEAD; over gRPC for unary calls that the application calls
 * idempotent, by message and metadata.
 */
export class StaleKind implements Kind {
  readonly by = 'stale';
  readonly takesTime = false;
  readonly cache: StaleCache;

  constructor(
    private readonly config: Extract<FallbackConfig, { kind: 'stale' }>,
    private readonly clock: Clock,
  ) {
    this.cache = new StaleCache(config.maxEntries, clock);
  }

  /** What the call asks for; undefined when its reply is not one to keep. Ask before it is sent: what is sent gets fields of its own. */
  asked(call: Call): Asked | undefined {
    const key = this.#keyOf(call);
    return key === undefined ? undefined : { key, since: this.cache.changes };
  }

  /** The keys of what the call changes when it succeeds; undefined for none. Ask before it is sent. */
  changing(call: Call): readonly string[] | undefined {
    if (call.protocol === 'grpc' || SAFE_METHODS.has(call.method)) return undefined;
    return KEPT_METHODS.map((method) => uriKey(method, call));
  }

  /** "MUST invalidate the target URI when it receives a non-error status code in response to an unsafe request method" - RFC 9111 section 4.4. */
  changed(keys: readonly string[], { status }: Reply): void {
    if (status >= 200 && status < 400) this.cache.change(keys);
  }

  #keyOf(call: Call): string | undefined {
    const key = call.protocol === 'grpc' ? grpcKey(call, this.config.maxEntryBytes) : httpKey(call);
    return key !== undefined && key.length <= this.config.maxEntryBytes ? key : undefined;
  }

  /** A good reply on its way to the caller, kept when it has come whole. */
  watch({ key, since }: Asked, call: Call, reply: Reply): Reply {
    const { maxAgeMs, maxEntryBytes } = this.config;
    const limit = maxEntryBytes - key.length;
    const grpc = call.protocol === 'grpc';
    const terms = grpc ? { vary: [], maxAgeMs, ageMs: 0 } : keeping(call.headers, reply, maxAgeMs);
    if (terms === undefined || (reply.body.size ?? 0) > limit) return reply;
    const { status } = reply;
    const now = this.clock.now();
    const times = { madeAt: now - terms.ageMs, goodUntil: now - terms.ageMs + terms.maxAgeMs };
    const headers = endToEndHeaders(reply.headers);
    const variant = variantOf(call.headers);
    const keep = (bytes: Uint8Array, trailers: HeaderFields | undefined): void => {
      if (grpc && trailers?.['grpc-status'] !== '0') return;
      this.cache.put(key, terms.vary, variant, { status, headers, bytes, trailers, ...times }, since);
    };
    // Nobody reads what cannot be there.
    if (!grpc && (call.method === 'HEAD' || status === 204)) {
      keep(new Uint8Array(0), undefined);
      return reply;
    }
    return recorded(reply, limit, keep);
  }

  answer(call: Call, { key }: Failure): Reply | undefined {
    if (key === undefined || wantsFresh(call.headers)) return undefined;
    const kept = this.cache.get(key, variantOf(call.headers));
    if (kept === undefined) return undefined;
    const headers = copyHeaders(kept.headers);
    headers['age'] = String(Math.floor((this.clock.now() - kept.madeAt) / 1_000));
    return replyOf(kept.status, headers, kept.bytes, kept.trailers);
  }
}

const variantOf =
  (headers: HeaderFields) =>
  (names: readonly string[]): string =>
    names.map((name) => `${name}:${headerValue(headers, name) ?? ''}`).join('\n');

const httpKey = (call: Call): string | undefined => (mayBeKept(call) ? uriKey(call.method, call) : undefined);

const uriKey = (method: string, { scheme, host, path }: Call): string => `${method} ${scheme}://${host}${path}`;

function grpcKey({ idempotent, body, headers, host, path }: Call, limit: number): string | undefined {
  if (idempotent !== true || !(body instanceof BytesBody) || body.size > limit) return undefined;
  let metadata = '';
  for (const name of Object.keys(headers).sort()) {
    if (PER_CALL.has(name) || PER_CALL_PREFIXES.some((prefix) => name.startsWith(prefix))) continue;
    metadata += `${name}:${headerValue(headers, name)}\n`;
  }
  return `${host}${path}\n${metadata}\n${Buffer.from(body.bytes).toString('latin1')}`;
}
