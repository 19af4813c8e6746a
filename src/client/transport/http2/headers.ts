import type { OutgoingHttpHeaders } from 'node:http2';
import type { Call } from '../../../core/call.js';
import { InvalidRequestError } from '../../../core/errors.js';

/** RFC 9110 section 5.6.2 `token`, in lower case (RFC 9113 section 8.2.1: upper case is malformed). */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** RFC 9110 section 5.5: visible characters, space and tab, and obs-text. */
const UNSAFE_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const UNSAFE_PATH = /[^\x21-\x7e\x80-\xff]/;

/** Fields of one HTTP/1.1 connection, malformed in HTTP/2 (RFC 9113 section 8.2.2); `host` travels as `:authority`. */
const LEFT_OUT = new Set([
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** What RFC 9113 section 6.5.2 adds for each field to the size of a header list. */
const FIELD_OVERHEAD = 32;
/** nghttp2 sends no header block above 64 KiB; a larger one would end the connection. */
const MAX_LIST_BYTES = 65_536;

/** How many names are remembered: an application uses a few dozen, a stranger's calls through a proxy may bring others without end. */
const MAX_REMEMBERED = 512;
/** Characters; longer ones are no names that come again, and must not be kept. */
const MAX_REMEMBERED_LENGTH = 64;
/** Names and methods that were found valid: looking one up costs a fraction of the expression. */
const remembered = new Set<string>();

/** Whether it is a token in lower case. */
function isName(name: string): boolean {
  if (remembered.has(name)) return true;
  if (!NAME.test(name)) return false;
  if (remembered.size < MAX_REMEMBERED && name.length <= MAX_REMEMBERED_LENGTH) remembered.add(name);
  return true;
}

function checkValue(name: string, value: string): number {
  if (UNSAFE_VALUE.test(value))
    throw new InvalidRequestError(`header "${name}" holds a character that no header value may hold`);
  return value.length;
}

/**
 * The header list of a request: pseudo-headers from the call, then its fields. Throws an InvalidRequestError for what cannot be sent, so that one bad call cannot harm the others' connection.
 * `peerLimit` is the server's SETTINGS_MAX_HEADER_LIST_SIZE in bytes.
 */
export function requestHeaders(call: Call, peerLimit: number): OutgoingHttpHeaders {
  if (UNSAFE_PATH.test(call.path))
    throw new InvalidRequestError('the path holds a space or a control character: percent-encode it');
  checkValue(':authority', call.host);
  if (!isName(call.method.toLowerCase())) throw new InvalidRequestError(`"${call.method}" is not an HTTP method`);
  const fields = call.headers;
  const list: OutgoingHttpHeaders = {
    ':method': call.method,
    ':scheme': call.scheme,
    ':authority': call.host,
    ':path': call.path,
  };
  let bytes = 4 * FIELD_OVERHEAD + 32 + call.method.length + call.scheme.length + call.host.length + call.path.length;
  for (const name in fields) {
    const value = fields[name] as string | string[];
    if (LEFT_OUT.has(name)) continue;
    if (name === 'te' && value !== 'trailers') continue;
    if (!isName(name)) throw new InvalidRequestError(`"${name}" is not a header name (lower case, no spaces)`);
    if (typeof value === 'string') bytes += FIELD_OVERHEAD + name.length + checkValue(name, value);
    else for (const each of value) bytes += FIELD_OVERHEAD + name.length + checkValue(name, each);
    list[name] = value;
  }
  const limit = Math.min(peerLimit, MAX_LIST_BYTES);
  if (bytes > limit) {
    throw new InvalidRequestError(
      `the headers are ${bytes} bytes, the server takes at most ${limit} (MAX_HEADER_LIST_SIZE)`,
    );
  }
  return list;
}
