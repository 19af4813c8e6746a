import { DecodeError, shown } from '../core/decode.js';

/**
 * SPIFFE IDs: `spiffe://trust-domain/path` (standards/SPIFFE-ID.md). Parsed once, at the edge; inside they are compared as the strings that they are, which is
 * sound because a valid one has exactly one spelling: capitals in scheme and trust domain are refused ("The `host` part of the authority MUST be lowercase"),
 * and so is percent-encoding.
 */
export interface SpiffeId {
  /** The whole of it. */
  readonly id: string;
  readonly trustDomain: string;
  /** With its slash: `/ns/default/sa/web`. Empty: this is the ID of the trust domain itself, as signing certificates have it. */
  readonly path: string;
}

/** "MUST support SPIFFE URIs up to 2048 bytes in length" - section 2.3; none longer is taken. */
export const MAX_SPIFFE_ID_BYTES = 2048;

/** "a maximum length of a trust domain name is 255 bytes" - section 2.3. */
export const MAX_TRUST_DOMAIN_BYTES = 255;

const SCHEME = 'spiffe://';

/** Throws a DecodeError at `path` that names what is wrong. */
export function parseSpiffeId(value: unknown, path = ''): SpiffeId {
  const id = text(value, path);
  if (!id.startsWith(SCHEME)) throw new DecodeError(path, `must begin with ${SCHEME}, got ${shown(id)}`);
  if (id.length > MAX_SPIFFE_ID_BYTES) {
    throw new DecodeError(path, `must have ${MAX_SPIFFE_ID_BYTES} bytes at most (SPIFFE-ID 2.3), has ${id.length}`);
  }
  const slash = id.indexOf('/', SCHEME.length);
  const end = slash === -1 ? id.length : slash;
  const trustDomain = parseTrustDomain(id.slice(SCHEME.length, end), path);
  const pathOfId = id.slice(end);
  const problem = pathProblem(pathOfId);
  if (problem !== undefined) throw new DecodeError(path, `${problem} (SPIFFE-ID 2.2), got ${shown(id)}`);
  return { id, trustDomain, path: pathOfId };
}

/** The same of a workload's, which has a path: "Leaf certificate SPIFFE IDs MUST have a non-root path component" - X509-SVID 3.1. */
export function parseWorkloadId(value: unknown, path = ''): SpiffeId {
  const id = parseSpiffeId(value, path);
  if (id.path === '') throw new DecodeError(path, `must name a workload, not a trust domain only, got ${shown(id.id)}`);
  return id;
}

/** `cluster.local`, without a scheme. */
export function parseTrustDomain(value: unknown, path = ''): string {
  const name = text(value, path);
  if (name === '') throw new DecodeError(path, 'must have a trust domain (SPIFFE-ID 2.1)');
  if (name.length > MAX_TRUST_DOMAIN_BYTES) {
    throw new DecodeError(
      path,
      `must have a trust domain of ${MAX_TRUST_DOMAIN_BYTES} bytes at most, has ${name.length}`,
    );
  }
  if (!/^[a-z0-9._-]+$/.test(name)) {
    throw new DecodeError(
      path,
      `must have a trust domain of a-z, 0-9, ".", "-", "_" only (SPIFFE-ID 2.1), got ${shown(name)}`,
    );
  }
  return name;
}

/** Undefined where it is none. */
export function spiffeIdOf(value: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(value);
  } catch {
    return undefined;
  }
}

function text(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new DecodeError(path, `must be a string, got ${shown(value)}`);
  return value;
}

/** What the text is not, where it is no path. */
function pathProblem(path: string): string | undefined {
  if (path === '') return undefined;
  for (const segment of path.slice(1).split('/')) {
    // "MUST NOT include a trailing `/`": that is an empty last segment.
    if (segment === '') return 'must not have an empty segment in its path, nor "/" at its end';
    if (segment === '.' || segment === '..') return 'must not have "." or ".." in its path';
    if (!/^[a-zA-Z0-9._-]+$/.test(segment)) return 'must have a path of a-z, A-Z, 0-9, ".", "-", "_" only';
  }
  return undefined;
}
