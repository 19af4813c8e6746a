import util from 'undici/lib/core/util.js';
import { BytesBody } from '../../../core/body.js';
import type { Call } from '../../../core/call.js';
import { endToEndHeaders, type HeaderFields } from '../../../core/headers.js';

/**
 * Not sent as the caller wrote them: the transport knows the host, the length and the connection better; and the body is sent at
 * once, so nobody may be asked for a `100 Continue` first (RFC 9110 section 10.1.1).
 */
const OWN_FIELDS = new Set([
  'host',
  'content-length',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
]);

/** Name, value, name, value: what undici takes fastest. */
export function requestHeaders(call: Call): (string | string[])[] {
  const fields = call.headers.connection === undefined ? call.headers : endToEndHeaders(call.headers);
  const list: (string | string[])[] = ['host', call.host];
  for (const name in fields) {
    if (!OWN_FIELDS.has(name)) list.push(name, fields[name] as string | string[]);
  }
  // undici knows the length of bytes; of a stream it must be told.
  const { body } = call;
  if (body !== undefined && body.size !== undefined && !(body instanceof BytesBody)) {
    list.push('content-length', String(body.size));
  }
  return list;
}

/** A reply that came over HTTP/1.1, and whose header nobody has looked at: what reads bytes anyway can have them as they came. */
export interface UnreadHeaders {
  /** Name, value, name, value, as the server wrote them; undefined once `headers` was read, because filters may change what they read. */
  readonly rawHeaders: Buffer[] | undefined;
}

/** Raw fields as ours: lower case, and no prototype, so that no field name is special. */
export function headerFieldsOf(raw: Buffer[]): HeaderFields {
  return util.parseHeaders(raw, Object.create(null));
}

/** The announced length of a reply's body, or undefined when it is not known (chunked, until close, more than one value). */
export function contentLength(raw: readonly Buffer[]): number | undefined {
  let length: number | undefined;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as Buffer;
    if (isWord(name, TRANSFER_ENCODING)) return undefined;
    if (!isWord(name, CONTENT_LENGTH)) continue;
    if (length !== undefined) return undefined;
    length = decimal(raw[i + 1] as Buffer);
    if (length === undefined) return undefined;
  }
  return length;
}

/** Whether the server will close the connection after this reply (RFC 9112 section 9.6). */
export function closesConnection(raw: readonly Buffer[]): boolean {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (!isWord(raw[i] as Buffer, CONNECTION)) continue;
    const value = raw[i + 1] as Buffer;
    if (!isWord(value, KEEP_ALIVE) && /(?:^|[\s,])close(?:$|[\s,])/i.test(value.toString('latin1'))) return true;
  }
  return false;
}

// Names are compared as bytes: making a string of each, of which most are not asked for, costs ten times as much.

const CONNECTION = Buffer.from('connection');
const CONTENT_LENGTH = Buffer.from('content-length');
const KEEP_ALIVE = Buffer.from('keep-alive');
const TRANSFER_ENCODING = Buffer.from('transfer-encoding');
/** Set in the codes of lower-case letters, clear in those of upper-case ones. A hyphen has it, too. */
const LOWER_CASE = 0x20;

/** Whether the bytes are this word of letters and hyphens, in any case. */
function isWord(bytes: Buffer, word: Buffer): boolean {
  if (bytes.length !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (((bytes[i] as number) | LOWER_CASE) !== word[i]) return false;
  return true;
}

/** 1 to 15 digits as a number. */
function decimal(bytes: Buffer): number | undefined {
  if (bytes.length === 0 || bytes.length > 15) return undefined;
  let value = 0;
  for (let i = 0; i < bytes.length; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}
