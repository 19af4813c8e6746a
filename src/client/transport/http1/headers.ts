import type { IncomingHttpHeaders } from 'node:http';
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

/** undici's object as ours: no prototype, so that no field name is special. */
export function headerFieldsOf(parsed: IncomingHttpHeaders): HeaderFields {
  const fields: HeaderFields = Object.create(null);
  for (const name of Object.keys(parsed)) fields[name] = parsed[name] as string | string[];
  return fields;
}

/** The announced length of a reply's body, or undefined when it is not known (chunked, until close, more than one value). */
export function contentLength(fields: HeaderFields): number | undefined {
  const text = fields['content-length'];
  if (typeof text !== 'string' || fields['transfer-encoding'] !== undefined) return undefined;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Whether the server will close the connection after this reply (RFC 9112 section 9.6). */
export function closesConnection(fields: HeaderFields): boolean {
  const connection = fields.connection;
  return connection !== undefined && /(?:^|[\s,])close(?:$|[\s,])/i.test(String(connection));
}
