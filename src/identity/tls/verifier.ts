import { createHash } from 'node:crypto';
import type { PeerIdentity, Trust } from '../../core/identity.js';
import { TlsPeerError } from '../../core/tls.js';
import { type Certificate, readCertificate, readCertificates } from '../certificate.js';
import { type RevocationList, Revocations } from '../crl.js';
import { SvidError, workloadOf } from '../svid.js';
import { isAboutTime, type OpensslVerdict } from './openssl.js';
import { findPath, type Link, linkOf } from './path.js';
import { peerIdentity } from './peer.js';
import { invalidity } from './validity.js';

export type Role = 'server' | 'client';

/** A peer that was believed. */
export interface Verified {
  readonly peer: PeerIdentity;
  /** Leaf first; the last is the one that is trusted. */
  readonly chain: readonly Link[];
  /** What it brought along, for other ways up when trust changes. */
  readonly intermediates: readonly Link[];
}

/** Of one connection: what is to be judged. */
export interface Shown {
  /** DER, leaf first. Of a resumed session: the leaf alone. */
  readonly certificates: readonly [Buffer, ...Buffer[]];
  readonly openssl: OpensslVerdict | undefined;
  readonly resumed: boolean;
}

/** Peers that are remembered under one state of trust at most; the oldest is forgotten. */
const MAX_PEERS = 4096;
/** Certificates that one peer brings along, and are looked at. */
const MAX_SHOWN = 16;

/**
 * Says whom to believe by one state of trust. OpenSSL comes first. What it does not do is done here: each trust domain answers for its own names only (gRFC A87),
 * an SVID is one by all of its rules, revocation by the lists that there are, and validity with some skew of clocks.
 */
export class Verifier {
  readonly #anchors: ReadonlyMap<string, readonly Link[]> | readonly Link[];
  readonly #revocations: Revocations;
  /** By role and fingerprint. */
  readonly #peers = new Map<string, Verified>();
  /** CAs that peers have brought along, which resumed sessions lack. */
  #seen: Link[] = [];

  constructor(
    trust: Trust,
    crls: readonly RevocationList[],
    private readonly times: () => readonly number[],
    unsigned?: (list: RevocationList) => void,
    /** Leaves of clients that ended no earlier are let in, wall-clock milliseconds. */
    private readonly endedFrom?: () => number,
  ) {
    this.#anchors =
      trust.kind === 'roots'
        ? linksOf(trust.certificates)
        : new Map([...trust.bundles].map(([domain, pems]) => [domain, linksOf(pems)]));
    this.#revocations = new Revocations(crls, unsigned);
  }

  /** Throws a TlsPeerError that names the reason. */
  verify(role: Role, shown: Shown, maxDepth: number | undefined): Verified {
    const [der] = shown.certificates;
    const key = `${role} ${createHash('sha256').update(der).digest('hex')}`;
    const known = this.#peers.get(key);
    if (shown.openssl !== undefined && !isAboutTime(shown.openssl)) throw this.#refusal(role, shown, shown.openssl);
    if (known !== undefined && known.chain.length - 2 <= (maxDepth ?? Number.POSITIVE_INFINITY)) {
      this.#checkTime(role, known);
      return known;
    }
    const leaf = read(der);
    const intermediates = this.#pool(shown);
    const alone = shown.openssl !== undefined || shown.resumed;
    const verified = this.#judge(role, leaf, intermediates, { alone, maxDepth });
    if (this.#peers.size >= MAX_PEERS) this.#peers.delete(this.#peers.keys().next().value as string);
    this.#peers.set(key, verified);
    return verified;
  }

  /** The peer of a session that is taken up again, which shows nothing. */
  resumed(role: Role, verified: Verified): Verified {
    const known = this.again(role, verified);
    this.#checkTime(role, known);
    return known;
  }

  /** The same peer, when trust has changed: time is not looked at, as it is not of any connection that is open. */
  again(role: Role, { peer, chain, intermediates }: Verified): Verified {
    const key = `${role} ${peer.fingerprint}`;
    const known = this.#peers.get(key);
    if (known !== undefined) return known;
    const verified = this.#judge(role, chain[0] as Link, intermediates, { alone: false, ignoreTime: true });
    this.#peers.set(key, verified);
    return verified;
  }

  #judge(
    role: Role,
    leaf: Link,
    intermediates: readonly Link[],
    how: { readonly alone: boolean; readonly maxDepth?: number | undefined; readonly ignoreTime?: boolean },
  ): Verified {
    const times = this.times();
    const rules = {
      role,
      alone: how.alone,
      maxDepth: how.maxDepth,
      invalidity: (certificate: Certificate) =>
        how.ignoreTime === true ? undefined : this.#invalidity(role, certificate, leaf, times),
    };
    const chain = this.#path(leaf, (anchors) => findPath(leaf, intermediates, anchors, rules));
    for (const [depth, { certificate }] of chain.slice(0, -1).entries()) {
      if (!this.#revocations.has(certificate, (chain[depth + 1] as Link).certificate)) continue;
      const what = depth === 0 ? 'it' : 'the certificate of a CA above it';
      throw new TlsPeerError('revoked', `${what} was revoked (serial number ${certificate.serialNumber})`);
    }
    for (const link of intermediates) this.#remember(link);
    return { peer: peerIdentity(leaf.certificate), chain, intermediates };
  }

  #path(leaf: Link, find: (anchors: readonly Link[]) => readonly Link[]): readonly Link[] {
    if (!(this.#anchors instanceof Map)) return find(this.#anchors as readonly Link[]);
    const bundles: ReadonlyMap<string, readonly Link[]> = this.#anchors;
    const { trustDomain } = workload(leaf.certificate);
    const anchors = bundles.get(trustDomain);
    if (anchors === undefined) {
      const known =
        bundles.size === 0
          ? 'none is'
          : `${[...bundles.keys()].slice(0, 10).join(', ')} ${bundles.size === 1 ? 'is' : 'are'}`;
      throw new TlsPeerError('wrong_trust_domain', `trust domain "${trustDomain}" is not trusted, ${known}`);
    }
    try {
      return find(anchors);
    } catch (error) {
      const others = [...bundles.values()].flat().filter((anchor) => !anchors.includes(anchor));
      if ((error as TlsPeerError).reason !== 'untrusted' || !finds(find, others)) throw error;
      // "verifying the chain against the root certs of the SPIFFE ID's own trust domain" - gRFC A87
      throw new TlsPeerError(
        'wrong_trust_domain',
        `another trust domain than its own, "${trustDomain}", vouches for it`,
      );
    }
  }

  /** OpenSSL refuses. Its last word may be less than what we know of the reason. */
  #refusal(
    role: Role,
    { certificates: [der, ...rest] }: Shown,
    { code, message, reason }: OpensslVerdict,
  ): TlsPeerError {
    try {
      this.#judge(role, read(der), rest.slice(0, MAX_SHOWN).map(read), { alone: true });
    } catch (error) {
      if (error instanceof TlsPeerError) return error;
    }
    return new TlsPeerError(reason, `${message} (${code})`);
  }

  #pool({ certificates: [, ...rest], resumed }: Shown): readonly Link[] {
    return resumed ? this.#seen : rest.slice(0, MAX_SHOWN).map(read);
  }

  #remember(link: Link): void {
    if (this.#seen.some(({ certificate }) => certificate.der.equals(link.certificate.der))) return;
    this.#seen = [link, ...this.#seen].slice(0, MAX_SHOWN);
  }

  #invalidity(
    role: Role,
    certificate: Certificate,
    leaf: Link,
    times: readonly number[],
  ): ReturnType<typeof invalidity> {
    const reason = invalidity(certificate, times);
    const taken =
      role === 'client' &&
      certificate === leaf.certificate &&
      certificate.notAfter >= (this.endedFrom?.() ?? Number.POSITIVE_INFINITY);
    return reason === 'expired' && taken ? undefined : reason;
  }

  #checkTime(role: Role, { chain }: Verified): void {
    const times = this.times();
    for (const { certificate } of chain) {
      const reason = this.#invalidity(role, certificate, chain[0] as Link, times);
      if (reason === undefined) continue;
      const until = new Date(reason === 'expired' ? certificate.notAfter : certificate.notBefore).toISOString();
      throw new TlsPeerError(reason, `${reason === 'expired' ? 'valid until' : 'not valid before'} ${until}`);
    }
  }
}

function finds(find: (anchors: readonly Link[]) => unknown, anchors: readonly Link[]): boolean {
  try {
    find(anchors);
    return true;
  } catch {
    return false;
  }
}

function workload(leaf: Certificate): { readonly trustDomain: string } {
  try {
    return workloadOf(leaf);
  } catch (error) {
    if (error instanceof SvidError) throw new TlsPeerError('not_an_svid', error.message, { cause: error });
    throw error;
  }
}

function read(der: Buffer): Link {
  try {
    return linkOf(readCertificate(der));
  } catch (error) {
    throw new TlsPeerError('untrusted', `it cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

const linksOf = (pems: readonly string[]): readonly Link[] => pems.flatMap(readCertificates).map(linkOf);
