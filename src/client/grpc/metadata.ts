import type { Metadata } from '@grpc/grpc-js';
import { type HeaderFields, headerFields } from '../../core/headers.js';

/**
 * The class of the metadata that a caller handed in. Replies are given in the same: a process may have several copies of grpc-js, and
 * this way we load none.
 */
export type MetadataClass = typeof Metadata;
export const metadataClass = (metadata: Metadata): MetadataClass => metadata.constructor as MetadataClass;

/** Written by the protocol, never by the application (grpc/doc/PROTOCOL-HTTP2.md, "Requests"). */
const PROTOCOL_FIELDS = [
  'content-type',
  'grpc-accept-encoding',
  'grpc-encoding',
  'grpc-internal-encoding-request',
  'grpc-timeout',
  'host',
  'te',
  'user-agent',
];

/** The application's metadata as header fields; `-bin` values are base64 already. */
export function fieldsOfMetadata(metadata: Metadata): HeaderFields {
  const fields = headerFields(metadata.toHttp2Headers() as Record<string, string | string[]>);
  for (const name of PROTOCOL_FIELDS) if (fields[name] !== undefined) delete fields[name];
  return fields;
}

/** Fields of the protocol, of no use to an application. */
const HIDDEN = new Set(['grpc-accept-encoding', 'grpc-encoding', 'grpc-message', 'grpc-status']);

/** Header fields as metadata. Several `-bin` values that were joined with commas are split; what is malformed is left out. */
export function metadataOf(Class: MetadataClass, fields: HeaderFields | undefined): Metadata {
  // Most trailers hold nothing but the status.
  let visible: HeaderFields | undefined;
  for (const name in fields) {
    if (HIDDEN.has(name)) continue;
    visible ??= Object.create(null) as HeaderFields;
    visible[name] = fields[name] as string | string[];
  }
  return visible === undefined ? new Class() : Class.fromHttp2Headers(visible);
}
