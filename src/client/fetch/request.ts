import type { Body } from '../../core/body.js';
import type { HeaderFields } from '../../core/headers.js';
import { type HeadersLike, readHeaders } from './headers.js';
import { type MeshOptions, NOTHING_SAID, readMesh, type Said } from './mesh-options.js';
import type { Hop } from './redirect.js';
import { extractBody, requestObjectBody } from './request-body.js';
import { fromUrl, type HttpUrl, parseUrl } from './url.js';

export interface MeshRequestInit extends RequestInit {
  readonly mesh?: MeshOptions;
}

export type FetchInput = string | URL | Request;

/** A request as fetch understood it. */
export interface FetchRequest extends Hop, Said {
  readonly redirect: 'follow' | 'manual' | 'error';
  readonly signal: AbortSignal | undefined;
  readonly integrity: string | undefined;
  /** The Request object, when there is one: its signal follows the application's only as long as it lives. */
  readonly origin: Request | undefined;
}

/** Sent unless the application sets them, as the platform's fetch does; we can undo brotli as well. */
const ACCEPT = '*/*';
const ACCEPT_ENCODING = 'gzip, deflate, br';
const USER_AGENT = 'inmesh';

/** Reads string or URL and init; a TypeError for what fetch refuses; undefined for a scheme that the mesh does not serve. */
export function readRequest(input: string | URL, init: MeshRequestInit | undefined): FetchRequest | undefined {
  const url = readUrl(input);
  if (url === undefined) return undefined;
  if (init === undefined) {
    return {
      url,
      method: 'GET',
      headers: withDefaults(Object.create(null)),
      body: undefined,
      redirect: 'follow',
      signal: undefined,
      integrity: undefined,
      ...NOTHING_SAID,
      origin: undefined,
    };
  }
  const method = readMethod(init.method);
  const headers = init.headers === undefined ? Object.create(null) : readHeaders(init.headers as HeadersLike);
  let body: Body | undefined;
  if (init.body !== undefined && init.body !== null) {
    if (method === 'GET' || method === 'HEAD') throw new TypeError('Request with GET/HEAD method cannot have body.');
    const extracted = extractBody(init.body, init.duplex);
    body = extracted.body;
    if (extracted.contentType !== undefined && headers['content-type'] === undefined) {
      headers['content-type'] = extracted.contentType;
    }
  }
  return {
    url,
    method,
    headers: withDefaults(headers),
    body,
    redirect: readRedirect(init.redirect),
    signal: readSignal(init.signal),
    integrity: init.integrity === undefined || init.integrity === '' ? undefined : String(init.integrity),
    ...readMesh(init.mesh),
    origin: undefined,
  };
}

/** Reads a Request object; `init` was merged into it by the platform's own constructor. Takes its body: it is used from here on. */
export async function readRequestObject(
  request: Request,
  mesh: MeshOptions | undefined,
): Promise<FetchRequest | undefined> {
  const url = readUrl(request.url);
  if (url === undefined) return undefined;
  const said = readMesh(mesh);
  const headers = readHeaders(request.headers as unknown as HeadersLike);
  return {
    url,
    method: request.method,
    headers: withDefaults(headers),
    body: request.body === null ? undefined : await requestObjectBody(request.body),
    redirect: request.redirect,
    signal: request.signal,
    integrity: request.integrity === '' ? undefined : request.integrity,
    ...said,
    origin: request,
  };
}

function readUrl(input: string | URL): HttpUrl | undefined {
  if (typeof input === 'string') {
    try {
      return parseUrl(input);
    } catch (cause) {
      throw failedUrl(input, cause);
    }
  }
  if (input instanceof URL) return fromUrl(input);
  // As the platform does: whatever it is, as a string.
  return readUrl(String(input));
}

function failedUrl(input: string, cause: unknown): unknown {
  if (cause instanceof TypeError && (cause as { code?: string }).code !== 'ERR_INVALID_URL') return cause;
  return new TypeError(`Failed to parse URL from ${input}`, { cause });
}

function withDefaults(headers: HeaderFields): HeaderFields {
  headers.accept ??= ACCEPT;
  headers['user-agent'] ??= USER_AGENT;
  // Ranges are of the bytes as they are stored (Fetch, "HTTP-network-or-cache fetch").
  headers['accept-encoding'] ??= headers.range === undefined ? ACCEPT_ENCODING : 'identity';
  return headers;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function readMethod(given: string | undefined): string {
  if (given === undefined || given === 'GET' || given === 'POST') return given ?? 'GET';
  const method = String(given);
  const upper = method.toUpperCase();
  switch (upper) {
    case 'CONNECT':
    case 'TRACE':
    case 'TRACK':
      throw new TypeError(`'${method}' HTTP method is unsupported.`);
    // Only these are normalised: "patch" is a method of its own (Fetch, "normalize a method").
    case 'DELETE':
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'POST':
    case 'PUT':
      return upper;
    default:
      if (!TOKEN.test(method)) throw new TypeError(`'${method}' is not a valid HTTP method.`);
      return method;
  }
}

function readRedirect(given: unknown): FetchRequest['redirect'] {
  if (given === undefined || given === 'follow') return 'follow';
  if (given === 'manual' || given === 'error') return given;
  throw new TypeError(`redirect must be "follow", "manual" or "error", got "${String(given)}"`);
}

function readSignal(given: unknown): AbortSignal | undefined {
  if (given === undefined || given === null) return undefined;
  if (given instanceof AbortSignal) return given;
  throw new TypeError('signal must be an AbortSignal');
}
