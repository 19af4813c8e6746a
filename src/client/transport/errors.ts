import { IdentityError, MeshError, type Reached } from '../../core/errors.js';

/** The connection could not be made: refused, unreachable, timed out, or the TLS handshake failed. Nothing was sent. */
export class ConnectError extends MeshError {
  override readonly name = 'ConnectError';
  readonly code = 'CONNECT_FAILED';
  readonly origin = 'network';
  readonly reached = 'no';
  readonly flag = 'UF';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(
    readonly endpoint: string,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`cannot connect to ${endpoint}: ${detail}`, options);
  }
}

/** Why there is no connection. That this workload has no certificate to show, and will have none before somebody does something, is no matter of the network. */
export const connectError = (endpoint: string, detail: string, cause: unknown): MeshError =>
  cause instanceof IdentityError && cause.reason !== 'unavailable'
    ? cause
    : new ConnectError(endpoint, detail, cause === undefined ? undefined : { cause });

/** The connection that carried the call ended before the call did. */
export class ConnectionLostError extends MeshError {
  override readonly name = 'ConnectionLostError';
  readonly code = 'CONNECTION_LOST';
  readonly origin = 'network';
  readonly flag = 'UC';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(
    readonly endpoint: string,
    detail: string,
    readonly reached: Reached,
    options?: ErrorOptions,
  ) {
    super(`connection to ${endpoint} was lost: ${detail}`, options);
  }
}

export interface StreamResetOptions extends ErrorOptions {
  /** HTTP/2 error code of the RST_STREAM (RFC 9113 section 7), when it was one. */
  readonly resetCode?: number;
  /** gRPC status for that code (grpc/doc/PROTOCOL-HTTP2.md, "Errors"). Default 14, UNAVAILABLE. */
  readonly grpcStatus?: number;
}

/** The server ended this one call and kept the connection (HTTP/2 RST_STREAM). */
export class StreamResetError extends MeshError {
  override readonly name = 'StreamResetError';
  readonly code = 'STREAM_RESET';
  readonly origin = 'workload';
  readonly flag = 'UR';
  readonly grpcStatus: number;
  readonly httpStatus = 503;
  readonly resetCode: number | undefined;
  constructor(
    readonly endpoint: string,
    detail: string,
    readonly reached: Reached,
    options?: StreamResetOptions,
  ) {
    super(`${endpoint} reset the stream: ${detail}`, options);
    this.resetCode = options?.resetCode;
    this.grpcStatus = options?.grpcStatus ?? 14;
  }
}

/**
 * The server says that it did not look at the call: REFUSED_STREAM, or a GOAWAY with a lower last stream id. Safe to send again
 * whatever the method (RFC 9113 section 8.7).
 */
export class StreamRefusedError extends MeshError {
  override readonly name = 'StreamRefusedError';
  readonly code = 'STREAM_REFUSED';
  readonly origin = 'workload';
  readonly reached = 'no';
  readonly flag = 'UR';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(
    readonly endpoint: string,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`${endpoint} refused the stream: ${detail}`, options);
  }
}

/** What came back is not the protocol that was agreed on. */
export class ProtocolError extends MeshError {
  override readonly name = 'ProtocolError';
  readonly code = 'PROTOCOL_ERROR';
  readonly origin = 'workload';
  readonly flag = 'UPE';
  readonly grpcStatus = 13;
  readonly httpStatus = 502;
  constructor(
    readonly endpoint: string,
    detail: string,
    readonly reached: Reached,
    options?: ErrorOptions,
  ) {
    super(`${endpoint} broke the protocol: ${detail}`, options);
  }
}
