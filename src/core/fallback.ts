import type { Protocol } from './call.js';
import type { MeshError } from './errors.js';
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
