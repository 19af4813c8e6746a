import * as v from 'valibot';
import { DURATION_PATTERN, parseDuration } from '../duration.js';

/**
 * Building blocks of the schemas. The schemas are the single source: they validate YAML, type the compiler's input, and become the
 * JSON Schemas that editors read. A field's description gives its unit, its default, and whose rule it is.
 */

/** Adds what an editor shows for a field. */
export const about = <S extends v.GenericSchema>(schema: S, description: string) =>
  v.pipe(schema, v.description(description));

const message = (expected: string): string => `must be ${expected}`;

/** Whole number in [min, max]; `unit` is for messages: `, in percent`. */
export const integer = (min: number, max: number, unit = '') => {
  const expected = message(`a whole number from ${min} to ${max}${unit}`);
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(min, expected), v.maxValue(max, expected));
};

/** Number in [min, max], with fractions. */
export const decimal = (min: number, max: number, unit = '') => {
  const expected = message(`a number from ${min} to ${max}${unit}`);
  return v.pipe(v.number(expected), v.minValue(min, expected), v.maxValue(max, expected));
};

const PERCENT = ', in percent';

export const UINT32_MAX = 4_294_967_295;

export const count = (min: number) => integer(min, UINT32_MAX);

export const percent = integer(0, 100, PERCENT);

/** Percent with fractions. */
export const decimalPercent = (min: number, max: number) => decimal(min, max, PERCENT);

export const text = (minLength: number, maxLength: number) =>
  v.pipe(
    v.string(message('a string')),
    v.minLength(
      minLength,
      message(minLength === 1 ? 'a string that is not empty' : `at least ${minLength} characters long`),
    ),
    v.maxLength(maxLength, message(`at most ${maxLength} characters long`)),
  );

/** A string of a given form. */
export const pattern = (form: RegExp, expected: string) =>
  v.pipe(v.string(message(expected)), v.regex(form, message(expected)));

export const oneOf = <const T extends readonly string[]>(names: T) => v.picklist(names);

/** Kubernetes: RFC 1123 label. */
export const label = pattern(
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
  'a name of up to 63 lower-case letters, digits and "-"',
);

/** Kubernetes: RFC 1123 subdomain. */
export const subdomain = pattern(
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
  'a name of lower-case letters, digits, "-" and "."',
);

/** A host name without wildcard, as the Gateway API's `PreciseHostname`. */
export const hostname = subdomain;

export const portNumber = integer(1, 65_535);

/** RFC 9110 token. */
export const headerName = pattern(/^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}$/, 'the name of an HTTP header');

/** GEP-2257; milliseconds after parsing. */
export const duration = v.pipe(
  pattern(DURATION_PATTERN, 'a duration such as 250ms, 10s, 1m30s or 0s (GEP-2257)'),
  v.transform(parseDuration),
);

/** A duration that must be there. The description stands before the transformation, where a JSON Schema of the input ends. */
export const requiredDuration = (description: string) =>
  v.pipe(
    pattern(DURATION_PATTERN, 'a duration such as 250ms, 10s, 1m30s or 0s (GEP-2257)'),
    v.description(description),
    v.transform(parseDuration),
  );

/** A list of `min` to `max` entries. */
export const listOf = <S extends v.GenericSchema>(item: S, min: number, max: number) =>
  v.pipe(
    v.array(item),
    v.minLength(min, `must have at least ${min === 1 ? 'one entry' : `${min} entries`}`),
    v.maxLength(max, `must have at most ${max} entries`),
  );

/** A field of the original API that has no meaning for a mesh in the process: accepted, not read. */
export const ignored = about(v.optional(v.any()), 'Accepted and not used.');

/** A field of the original API that would change behaviour and is not implemented: refused, so that nobody relies on it. */
export const later = v.optional(v.never('is not supported by this version of inmesh: remove it'));

/** `metadata`, as Kubernetes has it; what a tool exports comes along and is not read. */
export const metadata = v.strictObject({
  name: about(subdomain, 'Name, unique among resources of its kind and namespace.'),
  namespace: about(v.optional(label, 'default'), 'Namespace. Default "default".'),
  labels: about(v.optional(v.record(v.string(), v.string(message('a string')))), 'Labels. `version` marks endpoints.'),
  annotations: ignored,
  creationTimestamp: about(
    v.optional(v.nullable(v.pipe(v.string(), v.isoTimestamp(message('a timestamp such as 2026-01-31T12:00:00Z'))))),
    'The older of two routes that match equally wins (Gateway API). Default: newer than every one that has it.',
  ),
  deletionGracePeriodSeconds: ignored,
  deletionTimestamp: ignored,
  finalizers: ignored,
  generateName: ignored,
  generation: ignored,
  managedFields: ignored,
  ownerReferences: ignored,
  resourceVersion: ignored,
  selfLink: ignored,
  uid: ignored,
});

/** A complete resource of one kind. */
export const resource = <const K extends string, const A extends readonly string[], E extends v.ObjectEntries>(
  kind: K,
  apiVersions: A,
  entries: E,
) =>
  v.strictObject({
    apiVersion: about(v.picklist(apiVersions), `API version of ${kind}.`),
    kind: v.literal(kind),
    metadata,
    ...entries,
    status: ignored,
  });
