import { appendHeader, type HeaderFields } from '../core/headers.js';
import type { HeaderMutation } from '../core/model/route.js';

/** Applies the changes in Envoy's order: "headers are removed before they are added". */
export function mutateHeaders(fields: HeaderFields, { remove, set }: HeaderMutation): void {
  for (const name of remove) delete fields[name];
  for (const { name, value, action } of set) {
    const present = fields[name] !== undefined;
    if (action === 'append') appendHeader(fields, name, value);
    else if (
      action === 'overwrite' ||
      (action === 'overwriteIfExists' && present) ||
      (action === 'addIfAbsent' && !present)
    ) {
      fields[name] = value;
    }
  }
}
