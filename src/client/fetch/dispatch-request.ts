import { type ParsedUrlQueryInput, stringify } from 'node:querystring';
import type { Dispatcher } from 'undici';
import { type Body, BytesBody } from '../../core/body.js';
import { Call } from '../../core/call.js';
import type { HeaderFields } from '../../core/headers.js';
import { formatXdsTarget } from '../../core/xds-target.js';
import { encodeFormData } from './form-data.js';
import { addField, applyHostHeader } from './headers.js';
import { type MeshOptions, readMesh } from './mesh-options.js';
import { PartsBody } from './parts.js';
import { iterableSource, PulledBody, streamSource } from './source.js';
import { type HttpUrl, parseUrl } from './url.js';

/** Whether the connection itself is asked for, not a reply. */
export const isUpgrade = (options: Dispatcher.DispatchOptions): boolean =>
  options.method === 'CONNECT' || Boolean(options.upgrade);

/** undici's options of one request, and what `mesh.fetch` takes as `init.mesh`: `request(url, { dispatcher, mesh: { retry: false } })`. */
export type MeshDispatchOptions = Dispatcher.DispatchOptions & { readonly mesh?: MeshOptions };

/** undici's options of one request as a Call; throws a TypeError for what a Dispatcher of a mesh cannot do. */
export function dispatchedCall(options: MeshDispatchOptions): Call {
  const { origin, method } = options;
  if (origin === undefined || origin === null) throw new TypeError('dispatch: origin is missing');
  if (isUpgrade(options)) {
    throw new TypeError(
      'dispatch: the mesh carries no upgrades and no CONNECT: give WebSockets a dispatcher of their own (new Agent())',
    );
  }
  const url = destination(typeof origin === 'string' ? origin : origin.href);
  const headers = fieldsFrom(options.headers);
  const body = bodyFrom(options.body, headers);
  const { timeoutMs, idempotent, priority, xdsAuthority, policy, fallback } = readMesh(options.mesh);
  const call = new Call({
    protocol: 'http',
    scheme: url.scheme,
    authority: url.authority,
    target: xdsAuthority === undefined ? undefined : formatXdsTarget({ xdsAuthority, name: url.authority }),
    method,
    path: options.query === undefined || options.query === null ? options.path : withQuery(options.path, options.query),
    headers,
    body,
    timeoutMs,
    idempotent: idempotent ?? options.idempotent,
    priority,
    policy,
    fallback,
  });
  applyHostHeader(call);
  return call;
}

/** Origins seen lately: a service calls few. At this many, all are forgotten. */
const MAX_ORIGINS = 256;
const destinations = new Map<string, HttpUrl>();

function destination(origin: string): HttpUrl {
  const known = destinations.get(origin);
  if (known !== undefined) return known;
  const url = parseUrl(origin);
  if (url === undefined) throw new TypeError(`dispatch: "${origin}" is no http or https origin`);
  if (destinations.size >= MAX_ORIGINS) destinations.clear();
  destinations.set(origin, url);
  return url;
}

function withQuery(path: string, query: Readonly<Record<string, unknown>>): string {
  if (path.includes('?') || path.includes('#'))
    throw new TypeError('dispatch: query cannot be added to a path that has one');
  // As undici writes it: a list as repeated names, a space as %20.
  const text = stringify(query as ParsedUrlQueryInput);
  return text === '' ? path : `${path}?${text}`;
}

/** undici's four ways to give headers: an object, a flat list, pairs, nothing. */
function fieldsFrom(given: Dispatcher.DispatchOptions['headers']): HeaderFields {
  const fields: HeaderFields = Object.create(null);
  if (given === undefined || given === null) return fields;
  if (Array.isArray(given)) {
    for (let i = 0; i + 1 < given.length; i += 2) add(fields, given[i] as string, given[i + 1]);
  } else if (Symbol.iterator in given) {
    for (const [name, value] of given as Iterable<[string, string | string[] | undefined]>) add(fields, name, value);
  } else {
    for (const name of Object.keys(given)) add(fields, name, (given as Record<string, unknown>)[name]);
  }
  return fields;
}

function add(fields: HeaderFields, name: unknown, value: unknown): void {
  if (value === undefined || value === null) return;
  if (Array.isArray(value)) for (const item of value) addField(fields, String(name), String(item));
  else addField(fields, String(name), String(value));
}

function bodyFrom(given: unknown, headers: HeaderFields): Body | undefined {
  if (given === undefined || given === null) return undefined;
  if (typeof given === 'string') return given === '' ? undefined : new BytesBody(Buffer.from(given));
  if (given instanceof Uint8Array) return given.byteLength === 0 ? undefined : new BytesBody(given);
  if (ArrayBuffer.isView(given)) return new BytesBody(new Uint8Array(given.buffer, given.byteOffset, given.byteLength));
  if (given instanceof ArrayBuffer) return new BytesBody(new Uint8Array(given));
  if (isFormData(given)) {
    const { body, contentType } = encodeFormData(given);
    headers['content-type'] ??= contentType;
    return body;
  }
  if (given instanceof Blob) {
    if (given.type !== '') headers['content-type'] ??= given.type;
    return new PartsBody([given]);
  }
  const length = headers['content-length'];
  const size = typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
  if (given instanceof ReadableStream) return new PulledBody(streamSource(given), size);
  if (typeof given === 'object' && (Symbol.asyncIterator in given || Symbol.iterator in given)) {
    return new PulledBody(iterableSource(given as AsyncIterable<unknown>), size);
  }
  throw new TypeError('dispatch: body must be a string, bytes, a Readable, an iterable, a Blob or a FormData');
}

/** The platform's FormData and undici's own are two classes. */
const isFormData = (value: unknown): value is FormData =>
  typeof value === 'object' &&
  value !== null &&
  (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === 'FormData';
