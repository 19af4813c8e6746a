/**
 * The one form of a path that policies judge. Envoy's `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action: REJECT_REQUEST` in one, and
 * stricter where a handler might read something else than was judged:
 *
 * - dot segments are resolved, also percent-encoded ones (RFC 3986 section 5.2.4); one that leads above the root is refused;
 * - slashes that follow each other are one;
 * - percent-encoded unreserved characters are decoded, and hex digits become upper case (RFC 3986 section 6.2.2);
 * - `%2F`, `%5C`, a backslash, control characters, spaces, a fragment, a percent sign that is itself encoded or that begins no encoding, path parameters (`;`, `%3B`), bytes
 *   that are no UTF-8 (so overlong forms, too), and characters that compatibility normalisation turns into one of these are refused;
 * - upper and lower case are different (as in Envoy and RFC 3986); a trailing slash counts.
 *
 * Only paths that are canonical as they came are served where a path is judged: the handler then has what was judged, whatever its framework makes of it.
 */
export type PathFault =
  | 'not-absolute'
  | 'fragment'
  | 'backslash'
  | 'character'
  | 'encoding'
  | 'encoded-slash'
  | 'encoded-percent'
  | 'parameter'
  | 'not-utf8'
  | 'compatibility'
  | 'above-root';

export type CanonicalPath = { readonly path: string } | { readonly fault: PathFault };

/** Neither an odd character, nor a slash or dot segment that would go: what nearly every path is. */
const PLAIN = /^\/(?!\/)(?!\.{1,2}(?:\/|$))(?:[\w\-~!$&'()*+,=:@.]|\/(?!\/)(?!\.{1,2}(?:\/|$)))*$/;
const HEX = /^[0-9A-Fa-f]{2}$/;
const UNRESERVED = /^[\w\-.~]$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Of a path without its query. */
export function canonicalPath(path: string): CanonicalPath {
  if (PLAIN.test(path)) return { path };
  if (!path.startsWith('/')) return { fault: 'not-absolute' };
  const decoded = decodedPath(path);
  return 'fault' in decoded ? decoded : withoutDots(decoded.path);
}

/**
 * The path that policies judge of a request target with its query. Undefined: it is not canonical, or not certain what a handler would make of it. `*` (OPTIONS) and the
 * empty path of CONNECT are what they are.
 */
export function judgedPath(target: string): string | undefined {
  if (target === '*' || target === '') return target;
  const path = cut(target);
  if (PLAIN.test(path)) return path;
  const found = canonicalPath(path);
  return 'path' in found && found.path === upperHex(path) ? found.path : undefined;
}

/** A fragment is part of what is judged here, and refused: it does not belong into a request. */
function cut(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

/** Why a request target is not served where paths are judged; for logs and `explain`. Undefined: it is. */
export function pathFault(target: string): PathFault | 'not-canonical' | undefined {
  if (judgedPath(target) !== undefined) return undefined;
  const found = canonicalPath(cut(target));
  return 'fault' in found ? found.fault : 'not-canonical';
}

const upperHex = (path: string): string => path.replace(/%[0-9A-Fa-f]{2}/g, (hex) => hex.toUpperCase());

/** Percent-encodings in their one form, or why not. */
function decodedPath(path: string): CanonicalPath {
  let found = '';
  const bytes: number[] = [];
  for (let i = 0; i < path.length; i++) {
    const character = path[i] as string;
    const fault = faultOf(character);
    if (fault !== undefined) return { fault };
    if (character !== '%') {
      found += character;
      bytes.push(character.charCodeAt(0));
      continue;
    }
    const hex = path.slice(i + 1, i + 3);
    if (!HEX.test(hex)) return { fault: 'encoding' };
    const byte = Number.parseInt(hex, 16);
    const encoded = byte < 0x80 ? encodedFault(String.fromCharCode(byte)) : undefined;
    if (encoded !== undefined) return { fault: encoded };
    bytes.push(byte);
    const plain = String.fromCharCode(byte);
    found += UNRESERVED.test(plain) ? plain : `%${hex.toUpperCase()}`;
    i += 2;
  }
  const fault = textFault(bytes);
  return fault === undefined ? { path: found } : { fault };
}

function faultOf(character: string): PathFault | undefined {
  if (character === '\\') return 'backslash';
  if (character === '#') return 'fragment';
  if (character === ';') return 'parameter';
  return character <= ' ' || character >= '\x7f' ? 'character' : undefined;
}

function encodedFault(character: string): PathFault | undefined {
  if (character === '/' || character === '\\') return 'encoded-slash';
  if (character === '%') return 'encoded-percent';
  if (character === ';') return 'parameter';
  return character < ' ' || character === '\x7f' ? 'character' : undefined;
}

/** What some handlers turn into something else after they decoded it: U+FF0F is a slash to those that normalise (Unicode TR 36, section 3.5). */
const MEANINGFUL = /[/\\%;#?]/g;

function textFault(bytes: readonly number[]): PathFault | undefined {
  let text: string;
  try {
    text = utf8.decode(Uint8Array.from(bytes));
  } catch {
    return 'not-utf8';
  }
  const normal = text.normalize('NFKC');
  if (normal === text) return undefined;
  const same = count(normal, MEANINGFUL) === count(text, MEANINGFUL) && dots(normal) === dots(text);
  return same ? undefined : 'compatibility';
}

const count = (text: string, of: RegExp): number => text.match(of)?.length ?? 0;
const dots = (text: string): number => text.split('/').filter((segment) => segment === '.' || segment === '..').length;

/** Dot segments and empty ones are gone; a trailing slash stays. */
function withoutDots(path: string): CanonicalPath {
  const kept: string[] = [];
  const segments = path.slice(1).split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue;
    if (segment !== '..') kept.push(segment);
    else if (kept.pop() === undefined) return { fault: 'above-root' };
  }
  const last = segments.at(-1);
  const trailing = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return { path: `/${kept.join('/')}${trailing ? '/' : ''}` };
}
