/** Whose fault it was: our policies and configuration, the service that was called, or the way between. */
export type ErrorOrigin = 'mesh' | 'workload' | 'network';

/** Whether the server got the request: decides whether it is safe to send again. */
export type Reached = 'no' | 'maybe' | 'yes';

/** Every code that an inmesh error can carry. Stable: programs may compare them. `docs/errors.md` explains each. */
export const ERROR_CODES = [
  'BREAKER_OPEN',
  'CANCELLED',
  'CIRCUIT_OPEN',
  'CONFIG_INVALID',
  'CONFIG_UNAVAILABLE',
  'CONNECT_FAILED',
  'CONNECTION_LOST',
  'DEADLINE_EXCEEDED',
  'EGRESS_DENIED',
  'FAULT_INJECTED',
  'IDENTITY_UNAVAILABLE',
  'MESH_CLOSED',
  'MESSAGE_TOO_LARGE',
  'NO_ENDPOINT',
  'NO_ROUTE',
  'PROTOCOL_ERROR',
  'RATE_LIMITED',
  'REQUEST_BODY_FAILED',
  'REQUEST_INVALID',
  'STREAM_REFUSED',
  'STREAM_RESET',
  'UNKNOWN_HOST',
] as const;

export type MeshErrorCode = (typeof ERROR_CODES)[number];

/**
 * Envoy's response flags, so that logs read as people know them (envoy docs, access log `%RESPONSE_FLAGS%`): UH no healthy
 * upstream, UF connection failure, UO overflow, NR no route, NC no cluster, URX retries spent, UT timeout, UR upstream reset,
 * UC upstream connection ended, LR local reset, DC downstream gone, DT deadline of the stream, UPE upstream protocol error,
 * DPE downstream protocol error, RL rate limited, RLSE rate limit service error, DI delay injected, FI fault injected, UAEX refused by external authorization. Ours: MA shed by adaptive concurrency, MB retry budget spent, MC breaker open, MD deadline spent before the call was
 * sent, ME egress policy, MK stale configuration, MZ refused by authorization.
 */
export type ResponseFlag =
  | 'UH'
  | 'UF'
  | 'UO'
  | 'NR'
  | 'NC'
  | 'URX'
  | 'UT'
  | 'UR'
  | 'UC'
  | 'LR'
  | 'DC'
  | 'DT'
  | 'UPE'
  | 'DPE'
  | 'RL'
  | 'RLSE'
  | 'UAEX'
  | 'DI'
  | 'FI'
  | 'MA'
  | 'MB'
  | 'MC'
  | 'MD'
  | 'ME'
  | 'MK'
  | 'MZ';

/** What every failure of a call is. The message is for people and may improve; `code` is for programs and stays. */
export abstract class MeshError extends Error {
  abstract readonly code: MeshErrorCode;
  abstract readonly origin: ErrorOrigin;
  /** Did the server get the request? Set where it is known, read by retry. */
  abstract readonly reached: Reached;
  /** The flag that the access log shows. */
  abstract readonly flag: ResponseFlag;
  /** gRPC status a gRPC caller sees (grpc/doc/statuscodes.md). */
  abstract readonly grpcStatus: number;
  /** HTTP status that the proxy answers with. */
  abstract readonly httpStatus: number;
}

/** The caller gave up. */
export class CancelledError extends MeshError {
  override readonly name = 'CancelledError';
  readonly code = 'CANCELLED';
  readonly origin = 'workload';
  readonly flag = 'DC';
  readonly grpcStatus = 1;
  readonly httpStatus = 499;
  constructor(
    message = 'the caller cancelled the call',
    readonly reached: Reached = 'maybe',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The mesh was closed while or before the call was made. */
export class MeshClosedError extends MeshError {
  override readonly name = 'MeshClosedError';
  readonly code = 'MESH_CLOSED';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'LR';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(message = 'mesh.close() was called: make a new mesh with meshClient()') {
    super(message);
  }
}

/** No configuration could be had for the destination within the call's deadline, or the last one became void. */
export class ConfigUnavailableError extends MeshError {
  override readonly name = 'ConfigUnavailableError';
  readonly code = 'CONFIG_UNAVAILABLE';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'NC';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
}

/** The destination is known, but no route takes this call. */
export class NoRouteError extends MeshError {
  override readonly name = 'NoRouteError';
  readonly code = 'NO_ROUTE';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'NR';
  readonly grpcStatus = 14;
  readonly httpStatus = 404;
}

/** The mesh knows the destination's name as unknown, and configuration forbids to pass it through. */
export class UnknownHostError extends MeshError {
  override readonly name = 'UnknownHostError';
  readonly code = 'UNKNOWN_HOST';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'NR';
  readonly grpcStatus = 14;
  readonly httpStatus = 502;
  constructor(readonly authority: string) {
    super(
      `host "${authority}" is not known to the mesh, and unknownHosts is "deny": add a Service for it, or allow "passthrough"`,
    );
  }
}

/** The mesh may not be left for there. */
export class EgressDeniedError extends MeshError {
  override readonly name = 'EgressDeniedError';
  readonly code = 'EGRESS_DENIED';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'ME';
  readonly grpcStatus = 7;
  readonly httpStatus = 403;
  /** `to`: the authority, or a cluster of the mesh. */
  constructor(readonly to: string) {
    super(
      `egress policy does not let calls leave for "${to}": allow it in MeshConfig (spec.egress), or register it with a ServiceEntry`,
    );
  }
}

/**
 * Why an identity cannot be had. `unavailable`: nobody could be asked, or there is nothing yet, and that may pass by itself. `refused`: who was asked said no, and will
 * until somebody does something about it. `revoked`: so was the certificate that there is.
 */
export type IdentityTrouble = 'unavailable' | 'refused' | 'revoked';

/** A workload's certificate, or whom it may trust, cannot be had from where it comes from: a file, a CA, SDS, the Workload API. */
export class IdentityError extends MeshError {
  override readonly name = 'IdentityError';
  readonly code = 'IDENTITY_UNAVAILABLE';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'UF';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  readonly reason: IdentityTrouble;
  constructor(message: string, options?: ErrorOptions & { readonly reason?: IdentityTrouble }) {
    super(message, options);
    this.reason = options?.reason ?? 'unavailable';
  }
}

/** The request body could not be read from the application: nothing the mesh can do again. */
export class RequestBodyError extends MeshError {
  override readonly name = 'RequestBodyError';
  readonly code = 'REQUEST_BODY_FAILED';
  readonly origin = 'workload';
  readonly reached = 'maybe';
  readonly flag = 'DPE';
  readonly grpcStatus = 13;
  readonly httpStatus = 400;
}

/** The request cannot be sent as it is: a header or a path with characters that the protocol forbids. Nothing was sent. */
export class InvalidRequestError extends MeshError {
  override readonly name = 'InvalidRequestError';
  readonly code = 'REQUEST_INVALID';
  readonly origin = 'workload';
  readonly reached = 'no';
  readonly flag = 'DPE';
  readonly grpcStatus = 13;
  readonly httpStatus = 400;
}

const ORDER: readonly Reached[] = ['no', 'maybe', 'yes'];

/** Of two attempts of one call: how far the one that came further got. */
export const furthest = (a: Reached, b: Reached): Reached => (ORDER.indexOf(a) < ORDER.indexOf(b) ? b : a);

/**
 * The error as that of a call of which another attempt may have reached the server. Itself, where it says so already; else a copy, since calls that waited
 * for the same thing share their error.
 */
export function reachedAtLeast(error: MeshError, reached: Reached): MeshError {
  if (furthest(error.reached, reached) === error.reached) return error;
  const copy = Object.setPrototypeOf(new Error(), Object.getPrototypeOf(error)) as MeshError;
  return Object.defineProperties(copy, {
    ...Object.getOwnPropertyDescriptors(error),
    reached: { value: reached, enumerable: true, writable: true, configurable: true },
  });
}

/** Any thrown value as a MeshError; what is none already becomes `fallback`, with the value as its cause. */
export function asMeshError(value: unknown, fallback: (cause: unknown) => MeshError): MeshError {
  return value instanceof MeshError ? value : fallback(value);
}

/**
 * Whether the server says that it did not look at the call. Such a call is sent again once, whatever the policy says: it is no second request to anybody
 * (gRFC A6, transparent retries: "has never been seen by the server application logic").
 */
export const refusedUnseen = ({ code, reached }: MeshError): boolean => code === 'STREAM_REFUSED' && reached === 'no';

/** Whether the mesh refused the call itself, so that no server was loaded with it. */
export const isRefusal = ({ origin, reached }: MeshError): boolean => origin === 'mesh' && reached === 'no';
