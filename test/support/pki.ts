import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trust, X509Identity } from '../../src/core/identity.js';
import * as der from '../../src/identity/der/write.js';
import {
  authorityKeyId,
  basicConstraints,
  crlNumber,
  type Extension,
  extendedKeyUsage,
  extensions,
  type GeneralName,
  keyUsage,
  type NameConstraints,
  nameConstraints,
  subjectAltName,
  subjectKeyId,
} from './pki-extensions.js';
import {
  type Algorithm,
  algorithm,
  type Body,
  distinguishedName,
  type Issuer,
  keyId,
  keyPair,
  newSerial,
  pem,
  publicOf,
  signed,
  signedDer,
} from './pki-signing.js';

/**
 * A PKI for tests, on node:crypto alone and synchronous. Makes good certificates by default and any bad one on demand: nothing is checked.
 *
 *   const ca = testCa();
 *   const web = ca.issue({ name: 'web' });             // spiffe://cluster.local/ns/default/sa/web, DNS web, IP 127.0.0.1
 *   const bad = badCertificate('two_uri_sans', ca);
 */
export type { Algorithm } from './pki-signing.js';
export type { NameConstraints } from './pki-extensions.js';

export interface CertificateOptions {
  /** Common name, and the account in the SPIFFE ID that it has by default. Default `web`. */
  readonly name?: string;
  /** Absent: `spiffe://<trust domain>/ns/default/sa/<name>`; undefined: none. */
  readonly spiffeId?: string | undefined;
  /** Absent: the name. */
  readonly dns?: readonly string[];
  /** Absent: 127.0.0.1 and ::1. */
  readonly ip?: readonly string[];
  /** URIs beside the SPIFFE ID. */
  readonly uris?: readonly string[];
  readonly emails?: readonly string[];
  readonly otherNames?: readonly { readonly oid: string; readonly value: string }[];
  /** Wall-clock milliseconds. Default: from a minute ago, for an hour. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly alg?: Algorithm;
  /** Makes one with this key, as a CA does of a request. */
  readonly publicKey?: KeyObject;
  readonly serial?: Uint8Array;
  /** basicConstraints cA of a leaf; undefined leaves the extension out. Default false. */
  readonly isCa?: boolean | undefined;
  /** Bits of KeyUsage by number; undefined leaves the extension out. Default digitalSignature (0). */
  readonly usages?: readonly number[] | undefined;
  /** undefined leaves the extension out. Default both. */
  readonly extendedUsages?: readonly ('server' | 'client')[] | undefined;
  /** Extensions of one's own, after the others. */
  readonly more?: readonly Extension[];
  /** Empty: the name then is in the SAN only, which becomes critical (RFC 5280 section 4.2.1.6). Default `CN=<name>`. */
  readonly subject?: string;
}

export interface CaOptions {
  readonly trustDomain?: string;
  readonly alg?: Algorithm;
  readonly name?: string;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly nameConstraints?: NameConstraints;
  /** Intermediate CAs below this one at most. */
  readonly pathLength?: number;
  /** Signing certificates may have the trust domain as their URI SAN. Default true. */
  readonly uriSan?: boolean;
}

export interface Issued extends X509Identity {
  /** PKCS#8. */
  readonly keyPem: string;
  /** `certificates` in one text, as files have them. */
  readonly chainPem: string;
  /** As CRLs take them. */
  readonly serial: Uint8Array;
}

export interface TestCa {
  readonly trustDomain: string;
  /** This authority's own certificate, PEM. */
  readonly certificate: string;
  readonly privateKey: KeyObject;
  /** PEM of the root above it. */
  readonly root: string;
  /** From this one upwards, without the root: what leaves bring along. */
  readonly chain: readonly string[];
  intermediate(options?: CaOptions): TestCa;
  issue(options?: CertificateOptions): Issued;
  /** PEM of a revocation list. `nextUpdate`: wall-clock milliseconds; default in an hour. */
  crl(serials: readonly Uint8Array[], options?: { thisUpdate?: number; nextUpdate?: number; number?: number }): string;
  /** The root, for its trust domain alone. */
  trust(): Trust;
  /** The root, for any name. */
  roots(): Trust;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const wall = (): number => Date.now();

export function testCa(options: CaOptions = {}): TestCa {
  const keys = keyPair(options.alg ?? 'p256');
  const issuer: Issuer = { name: options.name ?? 'Test root', ...keys };
  const trustDomain = options.trustDomain ?? 'cluster.local';
  const certificate = signed(issuer, caBody(options, trustDomain, issuer.name, keys.publicKey, keys.publicKey));
  return authority({ trustDomain, issuer, certificate, root: certificate, chain: [] });
}

function caBody(options: CaOptions, trustDomain: string, name: string, publicKey: KeyObject, issuer: KeyObject): Body {
  const { notBefore = wall() - MINUTE, notAfter = wall() + 24 * HOUR, pathLength, uriSan = true } = options;
  return {
    subject: distinguishedName(name),
    notBefore,
    notAfter,
    publicKey,
    extensions: [
      basicConstraints(true, pathLength),
      keyUsage([5, 6]),
      subjectKeyId(keyId(publicKey)),
      // "MUST be included" (RFC 5280 section 4.2.1.1): it is what tells two roots of one name apart.
      authorityKeyId(keyId(issuer)),
      ...(uriSan ? [subjectAltName([{ type: 'uri', value: `spiffe://${trustDomain}` }])] : []),
      ...(options.nameConstraints === undefined ? [] : [nameConstraints(options.nameConstraints)]),
    ],
  };
}

interface Authority {
  readonly trustDomain: string;
  readonly issuer: Issuer;
  readonly certificate: string;
  readonly root: string;
  readonly chain: readonly string[];
}

function authority({ trustDomain, issuer, certificate, root, chain }: Authority): TestCa {
  return {
    trustDomain,
    certificate,
    privateKey: issuer.privateKey,
    root,
    chain,
    intermediate(options = {}) {
      const keys = keyPair(options.alg ?? 'p256');
      const below: Issuer = { name: options.name ?? 'Test intermediate', ...keys };
      const domain = options.trustDomain ?? trustDomain;
      const made = signed(issuer, caBody(options, domain, below.name, keys.publicKey, issuer.publicKey));
      return authority({ trustDomain: domain, issuer: below, certificate: made, root, chain: [made, ...chain] });
    },
    issue: (options = {}) => issue(options, trustDomain, issuer, chain),
    crl(serials, { thisUpdate = wall() - MINUTE, nextUpdate = wall() + HOUR, number = 1 } = {}) {
      const revoked = serials.map((serial) => der.sequence(der.integer(serial), der.time(thisUpdate)));
      const body = der.sequence(
        der.integer(1),
        algorithm(issuer.privateKey),
        distinguishedName(issuer.name),
        der.time(thisUpdate),
        der.time(nextUpdate),
        ...(revoked.length === 0 ? [] : [der.sequence(...revoked)]),
        der.explicit(0, extensions([authorityKeyId(keyId(issuer.publicKey)), crlNumber(number)])),
      );
      return pem('X509 CRL', signedDer(issuer.privateKey, body));
    },
    trust: () => ({ kind: 'spiffe', bundles: new Map([[trustDomain, [root]]]) }),
    roots: () => ({ kind: 'roots', certificates: [root] }),
  };
}

function issue(options: CertificateOptions, domain: string, issuer: Issuer, chain: readonly string[]): Issued {
  const name = options.name ?? 'web';
  const spiffeId = 'spiffeId' in options ? options.spiffeId : `spiffe://${domain}/ns/default/sa/${name}`;
  const keys = keyPair(options.alg ?? 'p256');
  const serial = options.serial ?? newSerial();
  const notBefore = options.notBefore ?? wall() - MINUTE;
  const notAfter = options.notAfter ?? wall() + HOUR;
  const names: GeneralName[] = [
    ...(spiffeId === undefined ? [] : [spiffeId]).map((value) => ({ type: 'uri', value }) as const),
    ...(options.uris ?? []).map((value) => ({ type: 'uri', value }) as const),
    ...(options.dns ?? [name]).map((value) => ({ type: 'dns', value }) as const),
    ...(options.ip ?? ['127.0.0.1', '::1']).map((value) => ({ type: 'ip', value }) as const),
    ...(options.emails ?? []).map((value) => ({ type: 'email', value }) as const),
    ...(options.otherNames ?? []).map((other) => ({ type: 'other', ...other }) as const),
  ];
  const isCa = 'isCa' in options ? options.isCa : false;
  const usages = 'usages' in options ? options.usages : [0];
  const extended = 'extendedUsages' in options ? options.extendedUsages : (['server', 'client'] as const);
  const subject = options.subject ?? name;
  const certificate = signed(issuer, {
    serial,
    subject: distinguishedName(subject),
    notBefore,
    notAfter,
    publicKey: options.publicKey ?? keys.publicKey,
    extensions: [
      ...(isCa === undefined ? [] : [basicConstraints(isCa)]),
      ...(usages === undefined ? [] : [keyUsage(usages)]),
      ...(extended === undefined ? [] : [extendedKeyUsage(extended)]),
      authorityKeyId(keyId(issuer.publicKey)),
      ...(names.length === 0 ? [] : [subjectAltName(names, subject === '')]),
      ...(options.more ?? []),
    ],
  });
  const certificates: readonly [string, ...string[]] = [certificate, ...chain];
  return {
    spiffeId,
    certificates,
    chainPem: certificates.join(''),
    privateKey: keys.privateKey,
    keyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    notBefore: Math.floor(notBefore / 1000) * 1000,
    notAfter: Math.floor(notAfter / 1000) * 1000,
    serial,
  };
}

/** What a peer must not be let in with. Each differs from a good certificate of `web` in the one thing that it is named after. */
export const BAD_CERTIFICATES = [
  'expired',
  'not_yet_valid',
  'self_signed',
  'untrusted',
  'wrong_trust_domain',
  'wrong_san',
  'two_uri_sans',
  'no_uri_san',
  'ca_leaf',
  'can_sign',
  'no_extended_usage_for_it',
  'name_constraint',
  'signed_by_a_leaf',
] as const;
export type BadCertificate = (typeof BAD_CERTIFICATES)[number];

/** The reason that a TlsPeerError gives for each. */
export const REASONS: Readonly<Record<BadCertificate, string>> = {
  expired: 'expired',
  not_yet_valid: 'not_yet_valid',
  self_signed: 'self_signed',
  untrusted: 'untrusted',
  wrong_trust_domain: 'wrong_trust_domain',
  wrong_san: 'wrong_san',
  two_uri_sans: 'not_an_svid',
  no_uri_san: 'not_an_svid',
  ca_leaf: 'not_an_svid',
  can_sign: 'not_an_svid',
  no_extended_usage_for_it: 'wrong_usage',
  name_constraint: 'name_constraint',
  signed_by_a_leaf: 'untrusted',
};

/** `untrusted`: of another root of the same trust domain. `wrong_trust_domain`: `ca` vouches for a domain that is not its own. */
export function badCertificate(kind: BadCertificate, ca: TestCa, options: CertificateOptions = {}): Issued {
  const name = options.name ?? 'web';
  switch (kind) {
    case 'expired':
      return ca.issue({ ...options, notBefore: wall() - 2 * HOUR, notAfter: wall() - HOUR });
    case 'not_yet_valid':
      return ca.issue({ ...options, notBefore: wall() + HOUR, notAfter: wall() + 2 * HOUR });
    case 'self_signed':
      return selfSignedLeaf(ca.trustDomain, options);
    case 'untrusted':
      return testCa({ trustDomain: ca.trustDomain, name: 'Another root' }).issue(options);
    case 'wrong_trust_domain':
      return ca.issue({ ...options, spiffeId: `spiffe://elsewhere.example/ns/default/sa/${name}` });
    case 'wrong_san':
      return ca.issue({ ...options, name: 'somebody-else' });
    case 'two_uri_sans':
      return ca.issue({ ...options, uris: ['https://example.com/'] });
    case 'no_uri_san':
      return ca.issue({ ...options, spiffeId: undefined });
    case 'ca_leaf':
      return ca.issue({ ...options, isCa: true });
    case 'can_sign':
      return ca.issue({ ...options, usages: [0, 5, 6] });
    case 'no_extended_usage_for_it':
      return ca.issue({ ...options, extendedUsages: [] });
    case 'name_constraint':
      return ca
        .intermediate({
          name: 'Constrained',
          nameConstraints: { permitted: [{ type: 'uri', value: 'elsewhere.example' }] },
        })
        .issue(options);
    case 'signed_by_a_leaf': {
      const leaf = ca.issue({ name: 'a-leaf' });
      const keys = { publicKey: publicOf(leaf.certificates[0]), privateKey: leaf.privateKey };
      return issue(options, ca.trustDomain, { name: 'a-leaf', ...keys }, leaf.certificates);
    }
  }
}

/** A leaf that is its own issuer. */
function selfSignedLeaf(trustDomain: string, options: CertificateOptions): Issued {
  const name = options.name ?? 'web';
  const keys = keyPair(options.alg ?? 'p256');
  const made = issue({ ...options, publicKey: keys.publicKey }, trustDomain, { name, ...keys }, []);
  const keyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { ...made, privateKey: keys.privateKey, keyPem };
}

/** Writes `cert.pem`, `key.pem` and `roots.pem`, and says where they are. */
export function writeIdentity(
  folder: string,
  issued: Issued,
  ca: TestCa,
): { certificate: string; privateKey: string; roots: string } {
  const paths = {
    certificate: join(folder, 'cert.pem'),
    privateKey: join(folder, 'key.pem'),
    roots: join(folder, 'roots.pem'),
  };
  writeFileSync(paths.certificate, issued.chainPem);
  writeFileSync(paths.privateKey, issued.keyPem, { mode: 0o600 });
  writeFileSync(paths.roots, ca.root);
  return paths;
}
