import { isIP } from 'node:net';
import { shown } from '../../core/decode.js';

export interface HostPort {
  /** IP address without brackets, or a host name in lower case. */
  readonly host: string;
  readonly port: number | undefined;
}

/** RFC 1123: labels of letters, digits and hyphens, up to 253 characters; Docker's `_` is tolerated, a final dot is not. */
export const HOST_NAME_PATTERN =
  /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/** What an address must look like, for messages. */
export const HOST_PORT_SHAPE = 'host:port, such as 127.0.0.1:9001, [::1]:9001 or reviews.example.com:443';

/** What is wrong with a text that is no address, or has no port. */
export function hostPortProblem(text: unknown): string {
  const digits = typeof text === 'string' ? /:([0-9]+)$/.exec(text)?.[1] : undefined;
  const range = digits === undefined || isPort(Number(digits)) ? '' : ', whose port is not from 1 to 65535';
  return `must be ${HOST_PORT_SHAPE}, got ${shown(text)}${range}`;
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535;

/** Reads `host`, `host:port`, `[v6]` or `[v6]:port`; a bare IPv6 address has no port. Undefined when it is none of these. */
export function parseHostPort(text: string): HostPort | undefined {
  if (isIP(text) !== 0) return { host: text, port: undefined };
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && !isPort(port)) return undefined;
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host: bracketed, port } : undefined;
  const host = plain as string;
  if (isIP(host) === 4) return { host, port };
  // Only digits and dots, and no IPv4 address: a slip of the finger, not a name (RFC 3696 section 2: no all-numeric top label).
  if (/^[0-9.]*$/.test(host) || !HOST_NAME_PATTERN.test(host)) return undefined;
  return { host: host.toLowerCase(), port };
}
