/** Strings whole, so that what looks like structure inside of them is not taken for it; and the signs of structure. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

/**
 * The first key that an object has twice, as a path (`a.b`); undefined: none has. `JSON.parse` keeps the last and says nothing, and another reader may keep the
 * first. `text` is known to be JSON. Looks into objects in objects, `depth` levels deep, not into those in lists.
 */
export function duplicateKey(text: string, depth: number): string | undefined {
  /** Of each open object its keys; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  const path: string[] = [];
  let last = '';
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' && open.length < depth && !open.includes(undefined) ? new Set() : undefined);
    } else if (token === '}' || token === ']') {
      open.pop();
      path.length = open.length;
    } else if (token === ':') {
      const keys = open.at(-1);
      if (keys !== undefined) {
        const key = JSON.parse(last) as string;
        path[open.length - 1] = key;
        if (keys.has(key)) return path.slice(0, open.length).join('.');
        keys.add(key);
      }
    } else last = token;
  }
  return undefined;
}
