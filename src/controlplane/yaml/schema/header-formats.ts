import * as v from 'valibot';
import { about, headerName, listOf, text } from './fields.js';

const header = v.strictObject({
  name: about(headerName, 'Name of the header, in any case.'),
  value: about(
    text(0, 4096),
    "Value, with Envoy's substitutions: `%REQ(x-user)%`, `%HOSTNAME%`; `%%` is one percent sign.",
  ),
});

/** As the Gateway API's header modifiers, whose values are no formats. */
export const headerFormats = v.strictObject({
  set: about(v.optional(listOf(header, 1, 64)), 'Replaces the header, or adds it.'),
  add: about(v.optional(listOf(header, 1, 64)), 'Adds a value to those that are there.'),
  addIfAbsent: about(v.optional(listOf(header, 1, 64)), 'Adds the header, unless it is there.'),
  remove: about(v.optional(listOf(headerName, 1, 64)), 'Names of headers to remove.'),
});

export type HeaderFormats = v.InferOutput<typeof headerFormats>;
