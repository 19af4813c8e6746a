import type { Claims } from '../core/ambient.js';
import type { Call } from '../core/call.js';

/** What is known of who makes a request: of this process, on the client's side; of the peer, on a server's. */
export interface Source {
  readonly labels: Readonly<Record<string, string>>;
  /** SPIFFE ID, verified; undefined: none. */
  readonly principal: string | undefined;
}

/** What of a request routing looks at: of one that leaves, or of one that came in. */
export type RequestView = Pick<Call, 'method' | 'path' | 'host' | 'scheme' | 'protocol' | 'headers'> & {
  /** Absent: nothing is known. On the client's side it is known beforehand, and not looked for here. */
  readonly source?: Source | undefined;
  /** Of a verified token. Absent: those of the request being served, if there is one. */
  readonly claims?: Claims | undefined;
};

/** `:method`, `:path`, `:authority` (and what HTTP/1.1 calls it) and `:scheme`; undefined for any other name. */
export function pseudoHeader(
  request: Pick<Call, 'method' | 'path' | 'host' | 'scheme'>,
  name: string,
): string | undefined {
  switch (name) {
    case ':method':
      return request.method;
    case ':path':
      return request.path;
    case ':authority':
    case 'host':
      return request.host;
    case ':scheme':
      return request.scheme;
    default:
      return undefined;
  }
}

export type Predicate = (request: RequestView) => boolean;

/** The path without query and fragment: "The query string is not taken into account" - Envoy RouteMatch; it drops fragments too. */
export function pathOnly(path: string): string {
  const query = path.indexOf('?');
  const bare = query < 0 ? path : path.slice(0, query);
  const fragment = bare.indexOf('#');
  return fragment < 0 ? bare : bare.slice(0, fragment);
}

/**
 * The first value of a query parameter as it is written, not decoded; '' for one without "="; undefined when there is none. Envoy
 * (`QueryParamsMulti::parseQueryString`) compares it so.
 */
export function queryValue(path: string, name: string): string | undefined {
  let start = path.indexOf('?') + 1;
  if (start === 0) return undefined;
  const after = name.length;
  while (start < path.length) {
    let end = path.indexOf('&', start);
    if (end < 0) end = path.length;
    if (path.startsWith(name, start)) {
      if (start + after === end) return '';
      if (path[start + after] === '=' && start + after < end) return path.slice(start + after + 1, end);
    }
    start = end + 1;
  }
  return undefined;
}

/** The names of all query parameters, as they are written. */
export function queryNames(path: string): string[] {
  const start = path.indexOf('?') + 1;
  if (start === 0) return [];
  return path
    .slice(start)
    .split('&')
    .map((parameter) => {
      const equals = parameter.indexOf('=');
      return equals < 0 ? parameter : parameter.slice(0, equals);
    });
}
