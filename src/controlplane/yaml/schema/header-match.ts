import * as v from 'valibot';
import { about, headerName, oneOf, text } from './fields.js';

/** A condition on a header, with all that Envoy's `HeaderMatcher` can ask of a text. */
export const headerMatch = v.strictObject({
  name: about(headerName, 'Name of the header, in any case.'),
  type: about(
    v.optional(oneOf(['Exact', 'Prefix', 'Suffix', 'Contains', 'RegularExpression', 'Present']), 'Exact'),
    'How `value` is compared; RegularExpression is RE2 and covers the whole value. Default Exact.',
  ),
  value: about(v.optional(text(1, 4096)), 'Value, or part of it, or expression; none for Present.'),
  invert: about(v.optional(v.boolean()), 'It matches when the header does not. Default false.'),
});

export type HeaderMatchSpec = v.InferOutput<typeof headerMatch>;
