import type { HeaderFields } from '../core/headers.js';
import type { SessionPersistence } from '../core/model/route.js';
import { addCookie, cookiePathMatches, cookieValue } from './cookies.js';
import { first } from './format/request-values.js';
import { pathOnly } from './request.js';

/** Where a session is at home. */
export interface Home {
  /** Key of the endpoint, `ip:port`. */
  readonly endpoint: string;
  /** Name of the cluster; undefined when it does not say. */
  readonly cluster: string | undefined;
}

/** Longer values than this, in characters, are not of our making. */
const MAX_VALUE = 1_024;

/** Whether calls for this path take part. "just pass the RPC through" if the path does not match the cookie's - gRFC A55. */
export const sessionApplies = (config: SessionPersistence, path: string): boolean =>
  config.kind === 'header' || cookiePathMatches(config.path, pathOnly(path));

/** Where the caller's session is; undefined when it has none yet, or none that can be read. */
export function sessionHome(config: SessionPersistence, headers: HeaderFields): Home | undefined {
  const value = config.kind === 'cookie' ? cookieValue(headers, config.name) : first(headers[config.name]);
  return value === undefined || value === '' || value.length > MAX_VALUE ? undefined : decode(value);
}

/**
 * Tells the caller where its session is from now on. `several`: its route may choose another cluster, so the cluster is said too: "add the prefixed
 * cluster name to the cookie value after a semicolon" (gRFC A60). Envoy reads none with a cluster, and A55 has none: elsewhere the address is enough.
 */
export function setSession(config: SessionPersistence, headers: HeaderFields, home: Home, several: boolean): void {
  const value = encode(home, several);
  if (config.kind === 'header') headers[config.name] = value;
  else addCookie(headers, { ...config, value });
}

function encode({ endpoint, cluster }: Home, withCluster: boolean): string {
  const text = withCluster && cluster !== undefined ? `${endpoint};cluster:${cluster}` : endpoint;
  return Buffer.from(text, 'utf8').toString('base64');
}

/** gRPC's `ip:port;cluster:name`, in base64 (A55, A60), and what Envoy writes: the address alone, or its `envoy.Cookie` message. */
function decode(value: string): Home | undefined {
  const bytes = Buffer.from(value, 'base64');
  // Field 1 of the message, of type string; no address begins with a line feed.
  if (bytes[0] === 0x0a) {
    const length = bytes[1];
    if (length === undefined || length > 127 || bytes.length < 2 + length) return undefined;
    return home(bytes.toString('utf8', 2, 2 + length), undefined);
  }
  const text = bytes.toString('utf8');
  const semicolon = text.indexOf(';');
  if (semicolon < 0) return home(text, undefined);
  const cluster = /^"?(?:cluster:)?([^"]+)"?$/.exec(text.slice(semicolon + 1));
  return home(text.slice(0, semicolon), cluster?.[1]);
}

/** "a syntactically valid IP:port address" - A55; one that no endpoint has is left to the balancer to ignore. */
const home = (endpoint: string, cluster: string | undefined): Home | undefined =>
  /^(?:\[[^\]\s]+\]|[^\s:[\]]+):\d{1,5}$/.test(endpoint) ? { endpoint, cluster } : undefined;
