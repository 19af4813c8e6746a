import type { Resource } from '../../core/resources.js';
import type { HeaderFormats } from '../yaml/schema/header-formats.js';

type Header = NonNullable<HeaderFormats['set']>[number];

/** `HeaderValueOption` of a header whose value is a format string. The first name of the enum is its default and never travels. */
const option =
  (append_action?: string) =>
  ({ name, value }: Header): Resource => ({
    header: { key: name.toLowerCase(), ...(value !== '' && { value }) },
    ...(append_action !== undefined && { append_action }),
    ...(value === '' && { keep_empty_value: true }),
  });

const additions = (formats: HeaderFormats | undefined): Resource[] => [
  ...(formats?.set ?? []).map(option('OVERWRITE_IF_EXISTS_OR_ADD')),
  ...(formats?.add ?? []).map(option()),
  ...(formats?.addIfAbsent ?? []).map(option('ADD_IF_ABSENT')),
];

const removals = (formats: HeaderFormats | undefined): string[] =>
  (formats?.remove ?? []).map((name) => name.toLowerCase());

/** The header fields of a Route with these changes after those that are there. */
export function withFormats(
  fields: Resource,
  formats: { readonly request: HeaderFormats | undefined; readonly response: HeaderFormats | undefined },
): Resource {
  const found: Record<string, unknown> = { ...fields };
  for (const direction of ['request', 'response'] as const) {
    append(found, `${direction}_headers_to_add`, additions(formats[direction]));
    append(found, `${direction}_headers_to_remove`, removals(formats[direction]));
  }
  return found as Resource;
}

function append(fields: Record<string, unknown>, name: string, values: readonly unknown[]): void {
  if (values.length > 0) fields[name] = [...((fields[name] as unknown[] | undefined) ?? []), ...values];
}

/** `request_headers_mutations`: what is removed first, as a Route has it. */
export function headerMutations(formats: HeaderFormats | undefined): Resource {
  const changes = [
    ...removals(formats).map((remove) => ({ remove })),
    ...additions(formats).map((added) => ({ append: added })),
  ];
  return changes.length === 0 ? {} : { request_headers_mutations: changes };
}
