import { appendHeader, endToEndHeaders, type HeaderFields, headerValue } from '../core/headers.js';
import type { Protocol, Scheme } from '../core/call.js';
import { TIMEOUT_HEADER } from '../core/mesh-headers.js';
import { expectedTimeoutMs, grpcTimeoutMs } from '../server/time-left.js';
import {
  badRequest,
  grpcNeedsHttp2,
  methodNotAllowed,
  type Refusal,
  tooManyHeaders,
  upgradeRefused,
} from './refusal.js';

/** A request head as it came, before anything was believed. */
export interface RequestHead {
  readonly version: '1.0' | '1.1' | '2.0';
  readonly method: string;
  /** Request target as it came: `/path?query`, `http://host/path`, `*`. HTTP/2: `:path`. */
  readonly target: string;
  /** HTTP/2 only: `:authority` and `:scheme`. */
  readonly authority: string | undefined;
  readonly scheme: string | undefined;
  /** Name, value, name, value, as they came, with pseudo-headers or without. */
  readonly raw: readonly string[];
}

/** A request that may go on. */
export interface Accepted {
  readonly protocol: Protocol;
  readonly scheme: Scheme;
  readonly authority: string;
  readonly path: string;
  /** End-to-end fields only, repeated ones kept apart. */
  readonly headers: HeaderFields;
  /** From Content-Length; undefined when it is not known. */
  readonly size: number | undefined;
  readonly timeoutMs: number | undefined;
}

/** Fields that say something to this proxy, and are written anew for the next hop or not at all. */
export const CONSUMED = [
  'host',
  'content-length',
  'expect',
  'http2-settings',
  'grpc-timeout',
  TIMEOUT_HEADER,
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-upstream-rq-timeout-ms',
];

/**
 * Whether a request may go on, as what; or why not. Strict where two parsers could read the same bytes differently (RFC 9112 section 11.2). `carries`: whether a connection
 * may be used for that protocol; none, unless it is said.
 */
export function accept(
  head: RequestHead,
  maxHeaders: number,
  carries: (protocol: string) => boolean = () => false,
): Accepted | Refusal {
  if (head.raw.length / 2 > maxHeaders) return tooManyHeaders(maxHeaders);
  const fields = headerFieldsOf(head.raw);
  if (typeof fields === 'string') return badRequest(fields);
  if (head.method === 'CONNECT' || head.method === 'TRACE') return methodNotAllowed(head.method);
  const framing = framingProblem(head, fields);
  if (framing !== undefined) return badRequest(framing);
  const upgrade = headerValue(fields, 'upgrade');
  if (upgrade !== undefined && !carries(upgrade)) return upgradeRefused(upgrade);

  const target = readTarget(head, fields.host as string | undefined);
  if (typeof target === 'string') return badRequest(target);

  const protocol = isGrpc(fields) ? 'grpc' : 'http';
  if (protocol === 'grpc' && head.version !== '2.0') return grpcNeedsHttp2;

  const timeoutMs = timeoutOf(fields, protocol);
  const length = fields['content-length'] as string | undefined;
  const headers = endToEndHeaders(fields);
  for (const name of CONSUMED) delete headers[name];
  // "Te → "te" "trailers" # Used to detect incompatible proxies" - gRPC over HTTP/2.
  if (protocol === 'grpc') headers['te'] = 'trailers';
  return { protocol, ...target, headers, size: length === undefined ? undefined : Number(length), timeoutMs };
}

/** The fields by lower-case name, or what is wrong with them. */
function headerFieldsOf(raw: readonly string[]): HeaderFields | string {
  const fields: HeaderFields = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase();
    if (name.startsWith(':')) continue;
    // Of two, each reader may believe another one.
    if (name in fields && (name === 'host' || name === 'content-length')) return `more than one ${name} field`;
    appendHeader(fields, name, raw[i + 1] as string);
  }
  // "If there are multiple cookie field lines after decompression, these MUST be concatenated into a single octet string using the
  // two-octet delimiter of 0x3b, 0x20" - RFC 9113 section 8.2.3.
  const { cookie } = fields;
  if (Array.isArray(cookie)) fields['cookie'] = cookie.join('; ');
  return fields;
}

/** Message length in more than one way, or in a way that not every reader knows. */
function framingProblem(head: RequestHead, fields: HeaderFields): string | undefined {
  const transferEncoding = headerValue(fields, 'transfer-encoding');
  const length = fields['content-length'];
  if (length !== undefined && !/^\d{1,15}$/.test(length as string)) return 'content-length is not a number of bytes';
  if (transferEncoding === undefined) return undefined;
  if (head.version !== '1.1') return `transfer-encoding does not exist in HTTP/${head.version}`;
  if (length !== undefined) return 'both content-length and transfer-encoding';
  if (transferEncoding.toLowerCase() !== 'chunked')
    return `transfer-encoding other than chunked: "${transferEncoding}"`;
  return undefined;
}

interface Target {
  readonly scheme: Scheme;
  readonly authority: string;
  readonly path: string;
}

const ABSOLUTE = /^(https?):\/\/([^/?#]*)(.*)$/i;
/** reg-name, IPv4 or bracketed IPv6, and a port; no user information. */
const AUTHORITY = /^(?:[A-Za-z0-9._~%!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/** Where to, from the request target, Host and `:authority`; or what is wrong with them. */
function readTarget(head: RequestHead, host: string | undefined): Target | string {
  let scheme: Scheme = head.scheme === 'https' ? 'https' : 'http';
  let authority = head.authority;
  let path = head.target;
  const absolute = head.version === '2.0' ? null : ABSOLUTE.exec(head.target);
  if (absolute !== null) {
    scheme = (absolute[1] as string).toLowerCase() as Scheme;
    authority = absolute[2] as string;
    path = absolute[3] as string;
    if (!path.startsWith('/')) path = `/${path}`;
  }
  if (authority !== undefined && host !== undefined && !sameHost(authority, host, scheme)) {
    return `the request is for "${authority}" and its host field says "${host}"`;
  }
  authority ??= host;
  if (authority === undefined || authority === '') return 'no host: send a Host field, or the target in absolute form';
  if (!AUTHORITY.test(authority)) return `"${authority}" is no host with an optional port`;
  if (!path.startsWith('/')) return `"${path}" is no path`;
  // A fragment never travels, and what is not visible ASCII must be percent-encoded (RFC 3986 section 2).
  if (!/^[\x21\x22\x24-\x7e]*$/.test(path)) return 'the path holds a character that must be percent-encoded';
  return { scheme, authority, path };
}

/** A scheme's own port may be written or left out (RFC 9110 section 4.2.3). */
function sameHost(a: string, b: string, scheme: Scheme): boolean {
  const own = scheme === 'https' ? /:443$/ : /:80$/;
  return a.toLowerCase().replace(own, '') === b.toLowerCase().replace(own, '');
}

/** "application/grpc", alone or followed by "+" or ";" - gRPC over HTTP/2, Content-Type. gRPC-Web is another protocol. */
export function isGrpc(fields: { readonly 'content-type'?: unknown }): boolean {
  const type = fields['content-type'];
  return typeof type === 'string' && /^application\/grpc(?:[+;].*)?$/i.test(type.trim());
}

/** How long the client waits. Of several the shortest counts; Envoy's 0 is "no limit". */
function timeoutOf(fields: HeaderFields, protocol: Protocol): number | undefined {
  const given = [
    protocol === 'grpc' ? grpcTimeoutMs(headerValue(fields, 'grpc-timeout')) : undefined,
    expectedTimeoutMs(headerValue(fields, TIMEOUT_HEADER)),
    positive(expectedTimeoutMs(headerValue(fields, 'x-envoy-expected-rq-timeout-ms'))),
    positive(expectedTimeoutMs(headerValue(fields, 'x-envoy-upstream-rq-timeout-ms'))),
  ].filter((limit) => limit !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
}

const positive = (limit: number | undefined): number | undefined => (limit === 0 ? undefined : limit);
