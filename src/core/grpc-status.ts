/** Names of gRPC's statuses by number (grpc/doc/statuscodes.md). */
export const GRPC_STATUS_NAMES: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** The name of a gRPC status; undefined for a number that gRPC does not define. */
export const grpcStatusName = (status: number): string | undefined => GRPC_STATUS_NAMES[status];

/** The number of a gRPC status; undefined for a name that gRPC does not define. */
export function grpcStatusNumber(name: string): number | undefined {
  const found = GRPC_STATUS_NAMES.indexOf(name);
  return found < 0 ? undefined : found;
}

/** What an HTTP status means for a gRPC call that got nothing else, as from proxies and other servers (grpc/doc/http-grpc-status-mapping.md). */
export function grpcStatusOfHttp(httpStatus: number): number {
  switch (httpStatus) {
    case 400:
      return 13; // INTERNAL
    case 401:
      return 16; // UNAUTHENTICATED
    case 403:
      return 7; // PERMISSION_DENIED
    case 404:
      return 12; // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return 14; // UNAVAILABLE
    default:
      return 2; // UNKNOWN
  }
}

/** By status number, what it says over HTTP (google/rpc/code.proto, "HTTP Mapping"). */
const HTTP_STATUSES = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401] as const;

/** What a gRPC status means to an HTTP caller; 500 for a number that gRPC does not define. */
export const httpStatusOfGrpc = (status: number): number => HTTP_STATUSES[status] ?? 500;

/** For `grpc-message`: "Percent-Encoded → 1*(Percent-Byte-Unencoded / Percent-Byte-Encoded)", unencoded: %x20-%x24 / %x26-%x7E. */
export function percentEncoded(message: Uint8Array | string): string {
  let text = '';
  for (const byte of typeof message === 'string' ? Buffer.from(message, 'utf8') : message) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) text += String.fromCharCode(byte);
    else text += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
