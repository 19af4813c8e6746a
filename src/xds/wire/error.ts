/** Bytes that are not the message they should be, or an object that is not. The only error that the codec throws. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  constructor(
    /** Field path from the message's root: `virtual_hosts[0].routes[2].match`; empty at the root. */
    readonly path: string,
    readonly problem: string,
  ) {
    super(path === '' ? problem : `${path}: ${problem}`);
  }
}

/** A position in a message while it is walked: field names and list indexes, outermost first. */
export type FieldPath = (string | number)[];

/** `['virtual_hosts', 0, 'name']` as `virtual_hosts[0].name`. */
export function pathText(path: FieldPath): string {
  let text = '';
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : text === '' ? part : `.${part}`;
  return text;
}
