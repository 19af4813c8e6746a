import { isIP } from 'node:net';
import { DecodeError, shown } from '../../core/decode.js';

/** Where a server listens. */
export interface ListenAddress {
  /** An IP address without brackets, or a host name. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** Reads `host:port` or `[v6]:port`. The host must be given: to be reachable from other machines has to be said (`0.0.0.0:18000`). */
export function parseListenAddress(value: unknown, path: string): ListenAddress {
  const match = typeof value === 'string' ? /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d+)$/.exec(value) : null;
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) {
    const range = port > 65_535 ? ', whose port is not from 0 to 65535' : '';
    throw new DecodeError(
      path,
      `must be host:port, such as 127.0.0.1:18000 or [::1]:18000, got ${shown(value)}${range}`,
    );
  }
  return { host, port };
}

/** Only programs on this machine can reach it. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host);
