import { isIP } from 'node:net';

/** Where the endpoint is, unless it is configured (SPIFFE Workload Endpoint section 4). */
export const SPIFFE_ENDPOINT_SOCKET = 'SPIFFE_ENDPOINT_SOCKET';

/**
 * `unix:///run/spire/agent.sock` or `tcp://127.0.0.1:8000` as a gRPC target. SPIFFE Workload Endpoint section 4: a Unix socket has an absolute path
 * and no authority; TCP has an IP address and a port; neither has anything else. `unix:/path`, which is the same URI by RFC 3986, is taken as well.
 */
export function endpointTarget(uri: string): string {
  const problem = (what: string): Error =>
    new Error(
      `${SPIFFE_ENDPOINT_SOCKET}: ${what}, got "${uri.slice(0, 200)}": use unix:///absolute/path or tcp://127.0.0.1:port`,
    );
  let parsed: URL;
  try {
    parsed = new URL(uri);
  } catch {
    throw problem('must be a URI');
  }
  if (parsed.search !== '' || parsed.hash !== '' || /[?#]/.test(uri))
    throw problem('must have no query and no fragment');
  if (parsed.username !== '' || parsed.password !== '') throw problem('must have no user');
  if (parsed.protocol === 'unix:') return `unix:${socketPath(parsed, problem)}`;
  if (parsed.protocol === 'tcp:') return tcpAddress(parsed, problem);
  throw problem('must begin with "unix:" or "tcp:"');
}

function socketPath(uri: URL, problem: (what: string) => Error): string {
  if (uri.host !== '') throw problem('a Unix socket must have no authority');
  if (!uri.pathname.startsWith('/') || uri.pathname === '/') throw problem('a Unix socket must have an absolute path');
  try {
    return decodeURIComponent(uri.pathname);
  } catch {
    throw problem('has a path with a malformed percent-encoding');
  }
}

function tcpAddress(uri: URL, problem: (what: string) => Error): string {
  if (isIP(uri.hostname.replace(/^\[(.*)\]$/, '$1')) === 0) throw problem('TCP must have an IP address');
  if (uri.port === '') throw problem('TCP must have a port');
  if (uri.pathname !== '' && uri.pathname !== '/') throw problem('TCP must have no path');
  return uri.host;
}
