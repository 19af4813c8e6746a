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
