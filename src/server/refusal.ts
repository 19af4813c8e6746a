import type { ResponseFlag } from '../core/errors.js';
import { percentEncoded } from '../core/grpc-status.js';
import { type HeaderFields, headerFields } from '../core/headers.js';

/** Why a request is answered without its handler. */
export interface Refusal {
  readonly status: number;
  readonly grpcStatus: number;
  /** Stable, for programs: the code that a MeshError of this kind has, where there is one. */
  readonly code: string;
  readonly flag: ResponseFlag;
  readonly message: string;
  /** When to come again, in milliseconds: `Retry-After`, and `grpc-retry-pushback-ms` (gRFC A6). Absent: the answer does not say. */
  readonly retryAfterMs?: number | undefined;
  /** What the answer says besides: of a rate limit, say. Absent: nothing. */
  readonly headers?: HeaderFields | undefined;
  /** In place of a body that says why; over HTTP. Absent: that one. */
  readonly body?: Uint8Array | undefined;
  /** It is an answer, and no refusal, as to a browser's preflight: `status` and `headers` are all that is said. Absent: it is one. */
  readonly isAnswer?: boolean | undefined;
  /** There is no answer: the connection is cut, or the stream reset. Not for gRPC servers, whose calls end with the status. */
  readonly reset?: boolean | undefined;
}

/** For a request that nobody waits for any more, and whose answer nobody sees. */
export const NOBODY_WAITS: Refusal = {
  status: 499,
  grpcStatus: 1,
  code: 'CANCELLED',
  flag: 'DC',
  message: 'the caller went away before the request was served',
};

export const TOO_LATE: Refusal = {
  status: 504,
  grpcStatus: 4,
  code: 'DEADLINE_EXCEEDED',
  flag: 'MD',
  message: 'the deadline passed before the request was served',
};

/** For a request that came in plain text, or by a client without a certificate, where the service is for mutual TLS only. */
export const MTLS_REQUIRED: Refusal = {
  status: 403,
  grpcStatus: 16,
  code: 'MTLS_REQUIRED',
  flag: 'DPE',
  message: 'this service takes requests over mutual TLS only',
};

/** For a request with more than one Host field, of which nobody can say which its handler believes (RFC 9112 section 3.2). */
export const SEVERAL_HOSTS: Refusal = {
  status: 400,
  grpcStatus: 13,
  code: 'BAD_REQUEST',
  flag: 'DPE',
  message: 'the request has several Host fields: send one',
};

/** For a request that comes before anything is known of the policies of its service: they might refuse it. */
export const POLICIES_UNKNOWN: Refusal = {
  status: 503,
  grpcStatus: 14,
  code: 'CONFIG_UNAVAILABLE',
  flag: 'NC',
  message: 'the policies of this service are not known',
};

/** For a request that a policy could not decide about, for a fault of ours: none passes by that. */
export const UNDECIDED: Refusal = {
  status: 500,
  grpcStatus: 13,
  code: 'ACCESS_DENIED',
  flag: 'MZ',
  message: 'a policy of this server failed',
};

/** The answer to a browser that asks whether it may ask; its headers say so. What it is called nobody is told. */
export const PREFLIGHT: Refusal = {
  status: 200,
  // Browsers ask so over HTTP only.
  grpcStatus: 12,
  code: 'PREFLIGHT',
  flag: 'NR',
  message: 'the answer to a preflight of a browser',
  isAnswer: true,
};

/** The answer over HTTP: like one of the proxy's own, and `mesh-error` tells it from one of the handler's. */
export function refusalReply(refusal: Refusal): {
  readonly status: number;
  readonly headers: HeaderFields;
  readonly body: string | Uint8Array;
} {
  const { status, code, flag, message, retryAfterMs } = refusal;
  if (refusal.isAnswer === true)
    return { status, headers: headerFields({ ...refusal.headers, 'content-length': '0' }), body: '' };
  const body = refusal.body ?? `${JSON.stringify({ code, origin: 'mesh', message })}\n`;
  const headers = headerFields(refusal.headers);
  if (refusal.body === undefined) headers['content-type'] = 'application/json';
  else headers['content-type'] ??= 'text/plain';
  headers['content-length'] = String(Buffer.byteLength(body));
  headers['mesh-error'] = flag;
  if (retryAfterMs !== undefined) headers['retry-after'] ??= String(Math.ceil(retryAfterMs / 1_000));
  return { status, headers, body };
}

/** What a gRPC client is told beside status and message; `grpc-retry-pushback-ms` in its own unit. */
export function grpcRefusalMetadata({ retryAfterMs, headers: said }: Refusal): HeaderFields {
  const headers = headerFields(said);
  if (retryAfterMs !== undefined) headers['grpc-retry-pushback-ms'] = String(Math.ceil(retryAfterMs));
  return headers;
}

/** Trailers-only: status and message in the one header block (gRPC over HTTP/2, "Responses"). */
export const grpcRefusalHeaders = (refusal: Refusal): HeaderFields =>
  Object.assign(grpcRefusalMetadata(refusal), {
    'content-type': 'application/grpc',
    'grpc-status': String(refusal.grpcStatus),
    'grpc-message': percentEncoded(refusal.message),
    'mesh-error': refusal.flag,
  });
