import { isIP } from 'node:net';

/**
 * Whether a request's `Host` can be meant for us. A web page of an attacker can let its own name resolve to 127.0.0.1 and read from
 * there (DNS rebinding), but then `Host` is that name: so an IP address or `localhost` is let through, and any other name only when
 * it is the one that we listen on.
 */
export function isTrustedHost(header: string | undefined, listenHost: string): boolean {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(header ?? '');
  const host = (match?.[1] ?? match?.[2])?.toLowerCase();
  return host !== undefined && (isIP(host) !== 0 || host === 'localhost' || host === listenHost.toLowerCase());
}
