import type { Metadata, status as Status, StatusObject } from '@grpc/grpc-js';
import type { MeshError } from '../../core/errors.js';
import { grpcStatusOfHttp } from '../../core/grpc-status.js';
import { headerValue, type HeaderFields } from '../../core/headers.js';
import { type MetadataClass, metadataOf } from './metadata.js';

/** gRPC's status codes by name (grpc/doc/statuscodes.md); numbers of our own, so that grpc-js is not loaded for them. */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export const statusObject = (code: number, details: string, metadata: Metadata): StatusObject => ({
  code: code as Status,
  details,
  metadata,
});

/** `grpc-message` is percent-encoded UTF-8; what cannot be decoded is shown as it came, never an error (PROTOCOL-HTTP2.md). */
export function decodeMessage(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    // Each sequence that is well formed on its own is decoded, the rest stays.
    return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
  }
}

/** The status that a reply ended with, in the trailers or in a head without a body; undefined when it carries none. */
export function statusOf(fields: HeaderFields | undefined, Class: MetadataClass): StatusObject | undefined {
  if (fields === undefined) return undefined;
  const text = headerValue(fields, 'grpc-status');
  if (text === undefined) return undefined;
  const metadata = metadataOf(Class, fields);
  const details = decodeMessage(headerValue(fields, 'grpc-message') ?? '');
  if (!/^\d{1,9}$/.test(text))
    return statusObject(STATUS.UNKNOWN, `the server sent grpc-status "${text}", which is no number`, metadata);
  return statusObject(Number(text), details, metadata);
}

/** The status for a reply that has none of its own. */
export function statusWithout(httpStatus: number, contentType: string | undefined, Class: MetadataClass): StatusObject {
  if (httpStatus !== 200)
    return statusObject(
      grpcStatusOfHttp(httpStatus),
      `the server answered with HTTP status ${httpStatus}`,
      new Class(),
    );
  if (!isGrpc(contentType)) {
    return statusObject(
      STATUS.UNKNOWN,
      `the server answered with content-type "${contentType ?? ''}", not application/grpc`,
      new Class(),
    );
  }
  return statusObject(STATUS.INTERNAL, 'the server ended the call without a grpc-status', new Class());
}

/** `application/grpc`, perhaps with `+proto` or parameters. */
export const isGrpc = (contentType: string | undefined): boolean =>
  contentType !== undefined && /^application\/grpc(?:[+;]|$)/i.test(contentType);

/** What a gRPC caller sees of an error of the mesh: its status, and a message that ends in the flag of the access log. */
export const statusOfError = (error: MeshError, Class: MetadataClass): StatusObject =>
  statusObject(error.grpcStatus, `${error.message} [${error.flag}]`, new Class());
