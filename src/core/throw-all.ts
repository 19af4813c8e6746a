/** Throws what was thrown meanwhile by several who must not keep each other from running; nothing when it is empty. */
export function throwAll(errors: readonly unknown[], who: string): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} ${who} threw`);
}
