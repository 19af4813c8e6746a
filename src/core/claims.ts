/** What a verified token says, as its JSON has it. */
type Claims = Readonly<Record<string, unknown>>;

/** Values of a claim as texts; `scope`, a list in one text (RFC 8693 section 4.2), is its members and itself. Empty: it is not there. */
export function claimValues(claims: Claims, path: readonly string[]): readonly string[] {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return [];
    value = (value as Claims)[name];
  }
  const values = (Array.isArray(value) ? value : [value]).flatMap(textOf);
  return path.length === 1 && path[0] === 'scope' ? values.flatMap((text) => [text, ...text.split(' ')]) : values;
}

const textOf = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : [];

/** Istio's: no header has such a name, so that no client can send it. */
const PREFIX = '@request.auth.claims';

/**
 * The claim that a name in place of a header's means: `@request.auth.claims.sub`, `@request.auth.claims.a.b`, or with names that have dots in them
 * `@request.auth.claims[https://example.com/groups]`, `[a][b]` (Istio, "Routing based on JWT claims"). Case counts. Undefined: it means none.
 */
export function claimPath(name: string): readonly string[] | undefined {
  if (!name.startsWith(PREFIX)) return undefined;
  const rest = name.slice(PREFIX.length);
  if (/^(?:\.[^.[\]]+)+$/.test(rest)) return rest.slice(1).split('.');
  if (/^(?:\[[^[\]]+\])+$/.test(rest)) return rest.slice(1, -1).split('][');
  return undefined;
}
