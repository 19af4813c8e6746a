import { grpcStatusOfHttp, percentEncoded } from '../core/grpc-status.js';
import { endToEndHeaders, type HeaderFields, headerFields } from '../core/headers.js';
import type { ReplyChange } from '../core/call.js';
import { MeshError, type ResponseFlag } from '../core/errors.js';
import { RateLimitedError } from '../resilience/ratelimit/errors.js';

/** A request that gets an answer of the proxy's own, and whose fault that is. */
export interface Refusal {
  readonly status: number;
  readonly grpcStatus: number;
  /** Stable, for programs: a code of a MeshError, or one of this file. */
  readonly code: string;
  readonly origin: 'mesh' | 'workload' | 'network';
  readonly flag: ResponseFlag;
  readonly message: string;
  /** What the route that took the call changes about replies. Absent: nothing. */
  readonly changes?: readonly ReplyChange[] | undefined;
  /** What the answer says besides, and what it says over gRPC in place of that. Absent: nothing. */
  readonly headers?: HeaderFields | undefined;
  readonly grpcHeaders?: HeaderFields | undefined;
  /** In place of a body that says why; over HTTP. Absent: that one. */
  readonly body?: Uint8Array | undefined;
}

const downstream = (status: number, code: string, message: string): Refusal => ({
  status,
  // "INTERNAL" for what breaks the protocol, as grpc/doc/http-grpc-status-mapping.md has it for 400.
  grpcStatus: 13,
  code,
  origin: 'workload',
  flag: 'DPE',
  message,
});

export const BAD_REQUEST = 'BAD_REQUEST';

/** The client broke a rule of HTTP, or one that keeps two parsers from reading the same bytes differently. */
export const badRequest = (message: string): Refusal => downstream(400, BAD_REQUEST, message);

export const tooManyHeaders = (limit: number): Refusal =>
  downstream(431, 'HEADERS_TOO_LARGE', `more than ${limit} header fields: send fewer, or raise limits.maxHeaders`);

export const methodNotAllowed = (method: string): Refusal =>
  downstream(
    405,
    'METHOD_NOT_ALLOWED',
    `${method} is not served by this proxy: send requests in absolute form or with a Host`,
  );

export const upgradeRefused = (protocol: string): Refusal =>
  protocol.toLowerCase().includes('h2c')
    ? downstream(
        400,
        'BAD_REQUEST',
        'Upgrade: h2c is refused (RFC 9113 section 3.1): speak HTTP/2 with prior knowledge on this port',
      )
    : downstream(
        501,
        'UPGRADE_NOT_SUPPORTED',
        `Upgrade: ${protocol} is not supported by this proxy: in front of a program (--app, option app) websocket is`,
      );

export const grpcNeedsHttp2: Refusal = downstream(
  505,
  'HTTP_VERSION_NOT_SUPPORTED',
  'gRPC needs HTTP/2, and is not bridged from HTTP/1.1: speak HTTP/2 with prior knowledge on this port',
);

/** RFC 5842 section 7.2: the request has passed here before, so it would go round for ever. */
export const loopDetected = (authority: string): Refusal => ({
  status: 508,
  grpcStatus: 14,
  code: 'LOOP_DETECTED',
  origin: 'mesh',
  flag: 'NR',
  message: `"${authority}" leads back to this proxy: name the program that it stands in front of (--app, option app), add a Service for the host, or point the request at another one`,
});

/** RFC 9110 section 15.5.20: nobody has made this proxy one for that host. */
export const misdirected = (authority: string): Refusal => ({
  status: 421,
  // What nobody serves here: as 404 (http-grpc-status-mapping.md).
  grpcStatus: 12,
  code: 'MISDIRECTED',
  origin: 'mesh',
  flag: 'NR',
  message: `this proxy stands for another service than "${authority}": name the program behind it (--app, option app), or let it pass requests on to other hosts under its own identity (--gateway, option gateway)`,
});

/** The program that a proxy stands in front of does not answer a request for its connection. */
export const programGone = (why: string): Refusal => ({
  status: 503,
  grpcStatus: 14,
  code: 'CONNECT_FAILED',
  origin: 'network',
  flag: 'UF',
  message: `the program behind this proxy does not answer: ${why}`,
});

/** What the service rejected with. Anything but a MeshError is a bug, and says nothing of itself to a client. */
export const refusalOf = (error: unknown): Refusal =>
  error instanceof MeshError
    ? {
        status: error.httpStatus,
        // A client that knows its routes says UNAVAILABLE (gRFC A28); to one that asks a proxy it is what 404 means (http-grpc-status-mapping.md).
        grpcStatus: error.code === 'NO_ROUTE' ? grpcStatusOfHttp(404) : error.grpcStatus,
        code: error.code,
        origin: error.origin,
        flag: error.flag,
        message: error.message,
        grpcHeaders: pushback(error),
        body: error instanceof RateLimitedError ? error.body : undefined,
      }
    : {
        status: 500,
        grpcStatus: 13,
        code: 'INTERNAL',
        origin: 'mesh',
        flag: 'LR',
        message: 'the proxy failed; its log says why',
      };

/** gRFC A6. What else a limit has to say is among the changes of its route. */
const pushback = (error: MeshError): HeaderFields | undefined =>
  error instanceof RateLimitedError && error.retryAfterMs !== undefined
    ? headerFields({ 'grpc-retry-pushback-ms': String(Math.ceil(error.retryAfterMs)) })
    : undefined;

/** `mesh-error` tells a failure of the mesh from one of the workload (features.md 81). */
export function refusalReply(refusal: Refusal): { headers: HeaderFields; body: Buffer } {
  const { code, origin, flag, message } = refusal;
  const body = Buffer.from(refusal.body ?? `${JSON.stringify({ code, origin, message })}\n`);
  const headers = changed(refusal, refusal.status, refusal.headers);
  if (refusal.body === undefined) headers['content-type'] = 'application/json';
  else headers['content-type'] ??= 'text/plain';
  headers['content-length'] = String(body.byteLength);
  headers['mesh-error'] = flag;
  return { headers, body };
}

/** What the route says first: what this reply is made of, it cannot change. */
function changed({ changes = [], flag }: Refusal, status: number, said: HeaderFields | undefined): HeaderFields {
  const headers = headerFields(said);
  if (OVERLOADED.has(flag)) headers['x-envoy-overloaded'] = 'true';
  for (const change of changes) change({ status, headers });
  return endToEndHeaders(headers);
}

/** "set ... if the request was dropped due to either maintenance mode or upstream circuit breaking" - Envoy, x-envoy-overloaded. */
const OVERLOADED: ReadonlySet<ResponseFlag> = new Set(['UO']);

/** Trailers-only: status and message in the one header block (gRPC over HTTP/2, "Responses"). */
export const grpcRefusalHeaders = (refusal: Refusal): HeaderFields =>
  Object.assign(changed(refusal, 200, refusal.grpcHeaders ?? refusal.headers), {
    'content-type': 'application/grpc',
    'grpc-status': String(refusal.grpcStatus),
    'grpc-message': percentEncoded(refusal.message),
    'mesh-error': refusal.flag,
  });
