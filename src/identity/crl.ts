import { type Certificate, fingerprint, publicKeyOf } from './certificate.js';
import { DerReader, explicitTag, implicitTag, readWhole, TAG } from './der/read.js';
import { KEY_USAGE, listExtensions } from './extensions.js';
import { CRL, readPem } from './pem.js';
import { isSignedBy, type Signed } from './signature.js';

/** A certificate revocation list (RFC 5280 section 5). */
export interface RevocationList extends Signed {
  /** DER of the name. */
  readonly issuer: Buffer;
  /** Wall-clock milliseconds. */
  readonly thisUpdate: number;
  /** Absent: the list does not say when there will be a newer one. */
  readonly nextUpdate: number | undefined;
  /** Serial numbers, hex, upper case. */
  readonly revoked: ReadonlySet<string>;
  /** Of the key that it is signed with (RFC 5280 section 5.2.1). Undefined: it does not say. */
  readonly authorityKeyId: Buffer | undefined;
}

/** Extensions of lists that may be critical and change nothing for a whole list of one issuer: authorityKeyIdentifier and cRLNumber. */
const AUTHORITY_KEY_ID = '2.5.29.35';
const HARMLESS = new Set([AUTHORITY_KEY_ID, '2.5.29.20']);
/** reasonCode and invalidityDate of an entry. */
const HARMLESS_OF_ENTRY = new Set(['2.5.29.21', '2.5.29.24']);

/** Throws a DerError. Delta lists, indirect ones and those for a part of the certificates are refused: they do not say what a whole list says. */
export function readCrl(der: Buffer, what = 'revocation list'): RevocationList {
  const outer = readWhole(der, TAG.sequence, what);
  const signed = outer.value(TAG.sequence);
  const signatureAlgorithm = outer.value(TAG.sequence).whole;
  const signature = outer.bitString();
  outer.end();

  const body = new DerReader(signed.content, what);
  if (body.nextTag === TAG.integer && body.smallInteger() !== 1) throw body.error('is not of version 2');
  if (!body.value(TAG.sequence).whole.equals(signatureAlgorithm)) throw body.error('names two signature algorithms');
  const issuer = body.value(TAG.sequence).whole;
  const thisUpdate = body.time();
  const nextUpdate = isTime(body.nextTag) ? body.time() : undefined;
  const revoked = readEntries(body.enterOptional(TAG.sequence));
  const keyId = refuseCritical(body.enterOptional(explicitTag(0)), HARMLESS, body).find(
    ({ oid }) => oid === AUTHORITY_KEY_ID,
  );
  body.end();
  const authorityKeyId =
    keyId && readWhole(keyId.value, TAG.sequence, `${what}: authorityKeyIdentifier`).optional(implicitTag(0))?.content;
  const named = { issuer, thisUpdate, nextUpdate, revoked, authorityKeyId };
  return { ...named, signedPart: signed.whole, signatureAlgorithm, signature };
}

const isTime = (tag: number | undefined): boolean => tag === TAG.utcTime || tag === TAG.generalizedTime;

function readEntries(entries: DerReader | undefined): ReadonlySet<string> {
  const revoked = new Set<string>();
  while (entries !== undefined && !entries.empty) {
    const entry = entries.enter(TAG.sequence);
    const serial = entry.integer().toString('hex').toUpperCase();
    entry.time();
    if (!entry.empty) refuseCritical(entry, HARMLESS_OF_ENTRY, entry);
    entry.end();
    revoked.add(serial);
  }
  return revoked;
}

/** "If a CRL contains a critical extension that the application cannot process, then the application MUST NOT use that CRL" - RFC 5280 section 5.2. */
function refuseCritical(
  extensions: DerReader | undefined,
  known: ReadonlySet<string>,
  at: DerReader,
): ReturnType<typeof listExtensions> {
  const found = listExtensions(extensions);
  for (const { oid, critical } of found) {
    if (critical && !known.has(oid)) throw at.error(`has critical extension ${oid}, which is not supported`);
  }
  return found;
}

/** The lists of a PEM text, in its order. Throws a PemError or DerError. */
export const readCrls = (pem: string): RevocationList[] =>
  readPem(pem, CRL).map((der, i) => readCrl(der, `revocation list number ${i + 1}`));

/** What can be read of several texts, and what is the matter with the first that cannot: one bad list is no reason to do without the others. */
export function readableCrls(pems: readonly string[]): {
  readonly lists: readonly RevocationList[];
  readonly problem: Error | undefined;
} {
  const lists: RevocationList[] = [];
  let problem: Error | undefined;
  for (const pem of pems) {
    try {
      lists.push(...readCrls(pem));
    } catch (error) {
      problem ??= error as Error;
    }
  }
  return { lists, problem };
}

/**
 * Which certificates are revoked, by the lists that their own issuers have signed. A list that is past its `nextUpdate` still revokes: what it named stays so.
 * An issuer without a list has revoked nothing. Signatures are verified once for each issuer.
 */
export class Revocations {
  readonly #byIssuer = new Map<string, RevocationList[]>();
  /** By fingerprint of the issuer's certificate. */
  readonly #verified = new Map<string, ReadonlySet<string>[]>();

  /** Told of already. */
  readonly #unsigned = new Set<RevocationList>();

  /** `unsigned`: told, once each, of lists in the name of an issuer that it has not signed with the key at hand. They count for nothing. */
  constructor(
    lists: readonly RevocationList[],
    private readonly unsigned: (list: RevocationList) => void = () => {},
  ) {
    for (const list of lists) {
      const name = list.issuer.toString('base64');
      this.#byIssuer.set(name, [...(this.#byIssuer.get(name) ?? []), list]);
    }
  }

  get empty(): boolean {
    return this.#byIssuer.size === 0;
  }

  /** `issuer`: the certificate that signed this one, verified by the caller. */
  has(certificate: Pick<Certificate, 'serialNumber'>, issuer: Certificate): boolean {
    if (this.empty) return false;
    return this.#ofIssuer(issuer).some((revoked) => revoked.has(certificate.serialNumber));
  }

  #ofIssuer(issuer: Certificate): ReadonlySet<string>[] {
    const key = fingerprint(issuer.der);
    let known = this.#verified.get(key);
    if (known === undefined) {
      known = this.#verifiedLists(issuer);
      // Peers bring intermediates along: what is kept of them has a bound.
      if (this.#verified.size >= MAX_ISSUERS) this.#verified.clear();
      this.#verified.set(key, known);
    }
    return known;
  }

  #verifiedLists(issuer: Certificate): ReadonlySet<string>[] {
    // "If a key usage extension is present in the CRL issuer's certificate, verify that the cRLSign bit is set" - RFC 5280 section 6.3.3 (f)
    const maySign = issuer.keyUsage?.has(KEY_USAGE.cRLSign) !== false;
    const lists = this.#byIssuer.get(issuer.subject.toString('base64')) ?? [];
    if (lists.length === 0) return [];
    const publicKey = publicKeyOf(issuer);
    const signed = lists.filter((list) => maySign && isSignedBy(list, publicKey));
    for (const list of lists) {
      // Of two CAs of one name, as there are while a root is replaced, each has signed its own.
      if (signed.includes(list) || isOfAnotherKey(list, issuer) || this.#unsigned.has(list)) continue;
      this.#unsigned.add(list);
      this.unsigned(list);
    }
    return signed.map(({ revoked }) => revoked);
  }
}

const isOfAnotherKey = ({ authorityKeyId: of }: RevocationList, { subjectKeyId: has }: Certificate): boolean =>
  of !== undefined && has !== undefined && !of.equals(has);

/** Issuers whose lists are remembered as verified. */
const MAX_ISSUERS = 1024;
