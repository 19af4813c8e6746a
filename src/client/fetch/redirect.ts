import type { Body } from '../../core/body.js';
import { copyHeaders, type HeaderFields } from '../../core/headers.js';
import { fromUrl, type HttpUrl } from './url.js';

/** What of a request changes on its way through redirects. */
export interface Hop {
  readonly url: HttpUrl;
  readonly method: string;
  readonly headers: HeaderFields;
  readonly body: Body | undefined;
}

/** Fetch, "HTTP-redirect fetch": "If request's redirect count is 20, then return a network error." */
export const MAX_REDIRECTS = 20;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
export const isRedirect = (status: number): boolean => REDIRECTS.has(status);

/** "request-body-header name": they describe a body that is not sent any more. */
const BODY_FIELDS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length'];
/** For one origin only. "authorization" by the standard; the others as undici and curl do. */
const ORIGIN_FIELDS = ['authorization', 'proxy-authorization', 'cookie', 'host'];

/** The request that a redirect asks for, or an Error that says why it cannot be followed. Undefined: no redirect at all. */
export function redirected(hop: Hop, status: number, location: string | string[] | undefined): Hop | Error | undefined {
  if (location === undefined) return undefined;
  let target: URL;
  try {
    target = new URL(typeof location === 'string' ? location : location.join(', '), hop.url.href);
  } catch {
    return new Error(`the redirect leads to no URL: ${String(location).slice(0, 200)}`);
  }
  if (target.protocol !== 'http:' && target.protocol !== 'https:')
    return new Error('URL scheme must be a HTTP(S) scheme');
  if (target.username !== '' || target.password !== '')
    return new Error('the redirect leads to a URL with credentials in it');
  const url = fromUrl(target) as HttpUrl;
  const sameOrigin = url.scheme === hop.url.scheme && url.authority === hop.url.authority;
  const headers = copyHeaders(hop.headers);
  if (!sameOrigin) for (const name of ORIGIN_FIELDS) delete headers[name];
  const { method } = hop;
  const becomesGet =
    ((status === 301 || status === 302) && method === 'POST') ||
    (status === 303 && method !== 'GET' && method !== 'HEAD');
  if (becomesGet) {
    for (const name of BODY_FIELDS) delete headers[name];
    return { url, method: 'GET', headers, body: undefined };
  }
  if (hop.body !== undefined && !hop.body.replayable) {
    return new Error(`a ${status} asks to send the body again, and a stream can be sent only once`);
  }
  return { url, method, headers, body: hop.body };
}
