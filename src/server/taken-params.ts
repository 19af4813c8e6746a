import type { IncomingHttpHeaders } from 'node:http2';
import { otherParams } from '../identity/authn/locations.js';

/** As much of a request of Node's, and of frameworks on top of it, as says what is asked for. */
interface Asked {
  url?: string | undefined;
  /** Express, Connect. */
  originalUrl?: string | undefined;
  /** Of frameworks that read it beforehand. */
  query?: unknown;
}

/** Before the application sees the request: parameters that hold what it is not to see are taken out of the query, in every form in which Node offers it. */
export function takeParams(request: Asked, names: readonly string[]): void {
  if (request.url !== undefined) request.url = otherParams(request.url, names);
  if (request.originalUrl !== undefined) request.originalUrl = otherParams(request.originalUrl, names);
  // Express from version 5 reads it when it is asked for.
  if (Object.hasOwn(request, 'query')) takeParsed(request.query, names);
}

/** The same of `:path`, as node:http2 has it. */
export function takeFromPath(headers: IncomingHttpHeaders, raw: string[], names: readonly string[]): void {
  const path = headers[':path'];
  if (path === undefined) return;
  headers[':path'] = otherParams(path, names);
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === ':path') raw[i + 1] = headers[':path'];
}

/** Of parameters that somebody has read already. */
export function takeParsed(query: unknown, names: readonly string[]): void {
  if (typeof query !== 'object' || query === null) return;
  for (const name of names) delete (query as Record<string, unknown>)[name];
}
