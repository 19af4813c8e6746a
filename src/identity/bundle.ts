import { X509Certificate } from 'node:crypto';
import { DecodeError, record, shown, string } from '../core/decode.js';
import type { Trust } from '../core/identity.js';
import { type Certificate, readCertificate } from './certificate.js';
import { DerError } from './der/read.js';
import { duplicateKey } from './duplicate-keys.js';
import { CERTIFICATE, readPem, writePem } from './pem.js';
import { parseTrustDomain } from './spiffe-id.js';

/** What a trust domain is believed by (SPIFFE Trust Domain and Bundle, section 4). Empty lists: nobody of it is believed any more. */
export interface Bundle {
  /** PEM of CA certificates. */
  readonly x509Authorities: readonly string[];
  /** JWKs with `use: jwt-svid`, as they came. */
  readonly jwtAuthorities: readonly Readonly<Record<string, unknown>>[];
  /** `spiffe_sequence`; larger is newer. */
  readonly sequence: number | undefined;
  /** `spiffe_refresh_hint`, in milliseconds. */
  readonly refreshHintMs: number | undefined;
}

/** Text of a bundle or map of bundles at most. */
export const MAX_BUNDLE_BYTES = 4 * 1024 * 1024;
const MAX_KEYS = 4096;
const MAX_TRUST_DOMAINS = 4096;

/** "Clients encountering an unknown key type MUST ignore the entire JWK element" - section 4.2.1; these are known (RFC 7518, RFC 8037). */
const KEY_TYPES = new Set(['RSA', 'EC', 'OKP']);

/** A bundle in its own format, a JWK set. Throws a DecodeError that names the place. */
export const parseBundle = (text: string, path = 'bundle'): Bundle => bundleOf(parseJson(text, path), path);

/** Bundles by trust domain (section 5; gRFC A87, `spiffe_trust_bundle_map_file`). "An empty map will be considered a valid (but empty) trust bundle map." */
export function parseBundleMap(text: string, path = 'bundles'): ReadonlyMap<string, Bundle> {
  const map = record(parseJson(text, path), path);
  const domains = record(map['trust_domains'], `${path}.trust_domains`);
  // "Consumers MUST reject maps in which duplicate trust domain name keys are detected" - section 5.1.1
  const twice = duplicateKey(text, 2);
  if (twice !== undefined) throw new DecodeError(`${path}.${twice.slice(0, 80)}`, 'is there twice');
  const names = Object.keys(domains);
  if (names.length > MAX_TRUST_DOMAINS) {
    throw new DecodeError(
      `${path}.trust_domains`,
      `must have ${MAX_TRUST_DOMAINS} trust domains at most, has ${names.length}`,
    );
  }
  return new Map(
    names.map((name) => {
      const at = `${path}.trust_domains.${name.slice(0, 80)}`;
      return [parseTrustDomain(name, at), bundleOf(domains[name], at)];
    }),
  );
}

function parseJson(text: string, path: string): unknown {
  if (text.length > MAX_BUNDLE_BYTES) throw new DecodeError(path, `must have ${MAX_BUNDLE_BYTES} characters at most`);
  try {
    return JSON.parse(text);
  } catch {
    throw new DecodeError(path, 'must be JSON');
  }
}

function bundleOf(value: unknown, path: string): Bundle {
  const set = record(value, path);
  const { keys } = set;
  if (!Array.isArray(keys)) throw new DecodeError(`${path}.keys`, `must be a list, got ${shown(keys)}`);
  if (keys.length > MAX_KEYS)
    throw new DecodeError(`${path}.keys`, `must have ${MAX_KEYS} keys at most, has ${keys.length}`);
  const x509Authorities: string[] = [];
  const jwtAuthorities: Record<string, unknown>[] = [];
  for (const [i, entry] of keys.entries()) {
    const at = `${path}.keys[${i}]`;
    const key = record(entry, at);
    if (!KEY_TYPES.has(string(key['kty'], `${at}.kty`))) continue;
    if (key['use'] === 'jwt-svid') jwtAuthorities.push(key);
    // "either a missing `use` parameter or an unknown `use` value MUST ignore the entire JWK element" - section 4.2.2
    if (key['use'] !== 'x509-svid') continue;
    const authority = certificateOf(key['x5c'], `${at}.x5c`);
    if (authority !== undefined) x509Authorities.push(authority);
  }
  return {
    x509Authorities,
    jwtAuthorities,
    sequence: count(set['spiffe_sequence'], `${path}.spiffe_sequence`),
    refreshHintMs: seconds(set['spiffe_refresh_hint'], `${path}.spiffe_refresh_hint`),
  };
}

/**
 * "If `x5c` is not set, or is empty, then the entry MUST be ignored ... all but the first MUST be ignored" (X509-SVID section 6.2). A certificate that cannot
 * be read is no reason to go on without it: the bundle is refused, and the one before stays ("we ignore the whole trust bundle", gRFC A87).
 */
function certificateOf(x5c: unknown, path: string): string | undefined {
  if (x5c === undefined || (Array.isArray(x5c) && x5c.length === 0)) return undefined;
  if (!Array.isArray(x5c)) throw new DecodeError(path, `must be a list, got ${shown(x5c)}`);
  const text = string(x5c[0], `${path}[0]`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) throw new DecodeError(`${path}[0]`, 'must be base64');
  const der = Buffer.from(text, 'base64');
  return writePem(CERTIFICATE, authority(der, `${path}[0]`).der);
}

function authority(der: Buffer, path: string): Certificate {
  try {
    return readCertificate(der);
  } catch (error) {
    if (error instanceof DerError) throw new DecodeError(path, error.message);
    throw error;
  }
}

function count(value: unknown, path: string): number | undefined {
  if (value === undefined) return undefined;
  // Beyond 2^53 a number is rounded, which keeps the order of any two.
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new DecodeError(path, `must be a whole number, got ${shown(value)}`);
  }
  return value;
}

function seconds(value: unknown, path: string): number | undefined {
  const given = count(value, path);
  return given === undefined ? undefined : given * 1000;
}

/** A bundle as others read it. "The value MUST include exactly one CA certificate"; "the `kid` parameter of each JWK entry MUST NOT be set". */
export function writeBundle({ x509Authorities, jwtAuthorities, sequence, refreshHintMs }: Bundle): string {
  const keys = x509Authorities
    .flatMap((pem) => readPem(pem, CERTIFICATE))
    .map((der) => ({
      ...new X509Certificate(der).publicKey.export({ format: 'jwk' }),
      use: 'x509-svid',
      x5c: [der.toString('base64')],
    }));
  return JSON.stringify({
    keys: [...keys, ...jwtAuthorities],
    ...(sequence === undefined ? {} : { spiffe_sequence: sequence }),
    ...(refreshHintMs === undefined ? {} : { spiffe_refresh_hint: Math.round(refreshHintMs / 1000) }),
  });
}

/** Bundles as what is believed: each trust domain for its own names only. */
export const trustOf = (bundles: ReadonlyMap<string, Pick<Bundle, 'x509Authorities'>>): Trust => ({
  kind: 'spiffe',
  bundles: new Map([...bundles].map(([domain, { x509Authorities }]) => [domain, x509Authorities])),
});
