import type { Protocol } from './call.js';
import { DecodeError, knownKeys, record, shown, string, whole } from './decode.js';
import type { MeshError } from './errors.js';
import { isHeaderName, isHeaderValue } from './header-syntax.js';
import type { HeaderFields } from './headers.js';

/** What an application's fallback is told of the call that it answers for. */
export interface FallbackRequest {
  readonly protocol: Protocol;
  readonly authority: string;
  readonly method: string;
  /** Path and query as sent; for gRPC `/package.Service/Method`. */
  readonly path: string;
  /** A copy, by lower-case name. */
  readonly headers: Readonly<HeaderFields>;
  /** The request's body when it is all there, not a stream; for gRPC the message without its frame. */
  readonly body: Uint8Array | undefined;
  /** The error's code, the HTTP status or the name of the gRPC status. */
  readonly reason: string;
  /** Undefined: the destination answered, with a status that says that it cannot. */
  readonly error: MeshError | undefined;
}

/** What it answers; a standard `Response` will do as well, for calls over HTTP. */
export interface FallbackReply {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** For gRPC the message. Default empty. */
  readonly body?: string | Uint8Array;
  /** For gRPC in place of `status`. Default 0, OK. */
  readonly grpcStatus?: number;
  readonly grpcMessage?: string;
}

type Answer = Response | FallbackReply | undefined;

/** Undefined, or an exception: it has no answer either, and the next kind is asked. */
export type FallbackFunction = (request: FallbackRequest) => Answer | Promise<Answer>;

/** Has no UTF-8 form. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Throws DecodeError for what cannot be sent as a reply. */
export function readFallbackReply(given: unknown, path: string): FallbackReply {
  const o = record(given, path);
  knownKeys(o, path, ['status', 'headers', 'body', 'grpcStatus', 'grpcMessage']);
  const { status, headers, body, grpcStatus, grpcMessage } = o;
  if (status !== undefined) whole(status, `${path}.status`, 200, 599);
  if (grpcStatus !== undefined) whole(grpcStatus, `${path}.grpcStatus`, 0, 16);
  if (grpcMessage !== undefined && LONE_SURROGATE.test(string(grpcMessage, `${path}.grpcMessage`)))
    throw new DecodeError(`${path}.grpcMessage`, 'must be well-formed Unicode');
  if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array))
    throw new DecodeError(`${path}.body`, `must be a string or bytes, got ${shown(body)}`);
  if (headers !== undefined) {
    for (const [name, value] of Object.entries(record(headers, `${path}.headers`)))
      readHeader(name, value, `${path}.headers`);
  }
  return o as FallbackReply;
}

function readHeader(name: string, value: unknown, path: string): void {
  if (!isHeaderName(name)) throw new DecodeError(path, `must have names of headers (RFC 9110), got ${shown(name)}`);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const one of values) {
    if (typeof one !== 'string')
      throw new DecodeError(`${path}.${name}`, `must be a string or strings, got ${shown(value)}`);
    if (!isHeaderValue(one))
      throw new DecodeError(`${path}.${name}`, 'must be Latin-1 without control characters (RFC 9110)');
  }
}
