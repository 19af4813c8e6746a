import type { Scheme } from './call.js';
import type { HeaderFields } from './headers.js';

/** An HTTP request that the mesh makes itself, for a server of this process. */
export interface OutboundRequest {
  /** As an application would name it; with `cluster`, the name of a cluster that the server's configuration has. */
  readonly authority: string;
  readonly cluster?: boolean | undefined;
  /** What the other side is shown as its host. Absent: the authority. */
  readonly host?: string | undefined;
  readonly scheme: Scheme;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: HeaderFields;
  readonly body?: Uint8Array | undefined;
  /** Limit of the whole exchange in milliseconds, attempts and all. */
  readonly timeoutMs: number;
  /** Bytes that the answer may have. */
  readonly maxBytes: number;
}

export interface OutboundReply {
  readonly status: number;
  readonly headers: HeaderFields;
  readonly body: Uint8Array;
}

/** What servers ask of others on behalf of their policies: calls like any other, with the mesh's balancing, identity and limits. Rejects with a MeshError. */
export interface Outbound {
  http(request: OutboundRequest): Promise<OutboundReply>;
  /** One message each way; `authority` is the name of a cluster. */
  unary(request: {
    readonly authority: string;
    readonly path: string;
    readonly message: Uint8Array;
    readonly timeoutMs: number;
    readonly maxMessageBytes: number;
    readonly metadata?: HeaderFields | undefined;
  }): Promise<Uint8Array>;
}
