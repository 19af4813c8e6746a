import type { Resource } from '../../core/resources.js';

/** Small protos in the plain shape of `core/resources.ts`. */

/** `google.protobuf.Duration`. */
export function duration(ms: number): Resource {
  const seconds = Math.floor(ms / 1_000);
  const nanos = Math.round((ms - seconds * 1_000) * 1_000_000);
  return { ...(seconds !== 0 && { seconds }), ...(nanos !== 0 && { nanos }) };
}

/** `google.protobuf.UInt32Value` and its kin. */
export const wrapped = <T extends number | boolean>(value: T): { readonly value: T } => ({ value });

export type Plain = null | number | string | boolean | readonly Plain[] | { readonly [key: string]: Plain };

/** `google.protobuf.Struct`; an empty one has no fields, as every message without any. */
export function struct(values: { readonly [key: string]: Plain }): Resource {
  const fields = Object.entries(values).map(([key, value]) => [key, protoValue(value)] as const);
  return fields.length === 0 ? {} : { fields: Object.fromEntries(fields) };
}

function protoValue(value: Plain): Resource {
  if (typeof value === 'number') return { number_value: value };
  if (typeof value === 'string') return { string_value: value };
  if (typeof value === 'boolean') return { bool_value: value };
  if (value === null) return { null_value: 'NULL_VALUE' };
  if (isList(value)) return { list_value: value.length === 0 ? {} : { values: value.map(protoValue) } };
  return { struct_value: struct(value) };
}

const isList = (value: object): value is readonly Plain[] => Array.isArray(value);

/** `google.protobuf.Any`, unfolded. */
export const any = (type: string, fields: Resource = {}): Resource => ({
  '@type': `type.googleapis.com/${type}`,
  ...fields,
});

/** Where EDS and RDS come from: the stream that this resource came on. */
export const FROM_ADS: Resource = { ads: {}, resource_api_version: 'V3' };
