/**
 * Parsing of option objects at the edge: into a type that cannot be wrong, or an error that names the place, what was expected and
 * what was found. `clusters[2].retryBudget.ttlMs: must be a number from 1000 to 60000, got 5`.
 */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  constructor(
    readonly path: string,
    readonly problem: string,
  ) {
    super(path === '' ? problem : `${path}: ${problem}`);
  }
}

/** A value as it may be shown in a message: short, on one line. */
export function shown(value: unknown): string {
  // JSON knows neither NaN nor the infinities.
  if (typeof value === 'number') return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    text = undefined;
  }
  // An object without a prototype has no text.
  text ??= typeof value === 'object' ? 'an object' : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

export function number(value: unknown, path: string, min: number, max: number): number {
  // NaN is not a number.
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw new DecodeError(path, `must be a number from ${min} to ${max}, got ${shown(value)}`);
  }
  return value;
}

export function whole(value: unknown, path: string, min: number, max: number): number {
  if (!Number.isInteger(value))
    throw new DecodeError(path, `must be a whole number from ${min} to ${max}, got ${shown(value)}`);
  return number(value, path, min, max);
}

export function string(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new DecodeError(path, `must be a string, got ${shown(value)}`);
  return value;
}

export function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DecodeError(path, `must be an object, got ${shown(value)}`);
  }
  return value as Record<string, unknown>;
}

/** Refuses keys that are not `known`, and names the nearest one that is. */
export function knownKeys(value: Record<string, unknown>, path: string, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean "${near}"?`;
    throw new DecodeError(path === '' ? key : `${path}.${key}`, `unknown field; ${hint}`);
  }
}

/** The known name with the fewest edits to `name`, when that is few enough to be a slip of the finger. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein's distance, or `limit` when it is at least that. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return Math.min(row[b.length] as number, limit);
}
