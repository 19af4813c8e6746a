import type { Protocol } from '../core/call.js';
import type { ResponseFlag } from '../core/errors.js';
import type { InboundContext, InboundHeaders } from './context.js';

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
}

/** Decides about requests before their handlers run. */
export interface Gate {
  /** A request has come; once for each. */
  arrived?(context: InboundContext, protocol: Protocol, headers: InboundHeaders): void;
  /** Its handler is done; only from servers that do not tell when the answer is out. */
  handled?(context: InboundContext): void;
  /** Why it is not served, as far as can be told now; undefined: it is. Asked again when the request has waited, for its body for example. */
  refusal(context: InboundContext, protocol: Protocol): Refusal | undefined;
}

/** The answer over HTTP: like one of the proxy's own, and `mesh-error` tells it from one of the handler's. */
export function refusalReply({ status, code, flag, message, retryAfterMs }: Refusal): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
} {
  const body = `${JSON.stringify({ code, origin: 'mesh', message })}\n`;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'mesh-error': flag,
  };
  if (retryAfterMs !== undefined) headers['retry-after'] = String(Math.ceil(retryAfterMs / 1_000));
  return { status, headers, body };
}
