import { DerReader, explicitTag, implicitTag, readWhole, TAG } from './der/read.js';
import { type GeneralName, readGeneralName, readGeneralNames } from './general-names.js';

/** Bits of KeyUsage (RFC 5280 section 4.2.1.3). */
export const KEY_USAGE = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;

/** `id-kp-serverAuth`, `id-kp-clientAuth` and any (RFC 5280 section 4.2.1.12). */
export const EXTENDED_USAGE = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const;

/** What a certificate's extensions say; undefined: it has no such extension. */
export interface Extensions {
  /** basicConstraints: may sign certificates. False without the extension. */
  readonly isCa: boolean;
  /** CAs that may be below this one at most, self-issued ones not counted. */
  readonly pathLength: number | undefined;
  /** Bits by number. */
  readonly keyUsage: ReadonlySet<number> | undefined;
  readonly keyUsageCritical: boolean;
  /** Dotted. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** subjectAltName; empty without it. */
  readonly names: readonly GeneralName[];
  readonly namesCritical: boolean;
  readonly nameConstraints: NameConstraints | undefined;
  readonly subjectKeyId: Buffer | undefined;
  readonly authorityKeyId: Buffer | undefined;
  /** Dotted: critical, and not one of those that are read here. "MUST reject" - RFC 5280 section 4.2. */
  readonly unknownCritical: readonly string[];
}

export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
  /** It has names of other kinds, directory names for instance, that are not read here. */
  readonly others: boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** In one certificate or revocation list at most. */
const MAX_EXTENSIONS = 64;

interface Reading {
  readonly out: Mutable<Extensions>;
  readonly critical: boolean;
}

const READERS: Readonly<Record<string, (value: Buffer, what: string, reading: Reading) => void>> = {
  '2.5.29.14'(value, what, { out }) {
    const outer = new DerReader(value, `${what}: subjectKeyIdentifier`);
    out.subjectKeyId = outer.value(TAG.octetString).content;
  },
  '2.5.29.15'(value, what, { out, critical }) {
    const bits = new DerReader(value, `${what}: keyUsage`).value(TAG.bitString).content;
    out.keyUsage = setBits(bits);
    out.keyUsageCritical = critical;
  },
  '2.5.29.17'(value, what, { out, critical }) {
    out.names = readGeneralNames(readWhole(value, TAG.sequence, `${what}: subjectAltName`));
    out.namesCritical = critical;
  },
  '2.5.29.19'(value, what, { out }) {
    const reader = readWhole(value, TAG.sequence, `${what}: basicConstraints`);
    out.isCa = reader.optionalBoolean();
    out.pathLength = reader.empty ? undefined : reader.smallInteger();
    reader.end();
  },
  '2.5.29.30'(value, what, { out }) {
    const reader = readWhole(value, TAG.sequence, `${what}: nameConstraints`);
    const permitted = subtrees(reader.enterOptional(explicitTag(0)));
    const excluded = subtrees(reader.enterOptional(explicitTag(1)));
    reader.end();
    out.nameConstraints = {
      permitted: permitted.names,
      excluded: excluded.names,
      others: permitted.others || excluded.others,
    };
  },
  '2.5.29.35'(value, what, { out }) {
    const reader = readWhole(value, TAG.sequence, `${what}: authorityKeyIdentifier`);
    out.authorityKeyId = reader.optional(implicitTag(0))?.content;
  },
  '2.5.29.37'(value, what, { out }) {
    const reader = readWhole(value, TAG.sequence, `${what}: extKeyUsage`);
    const usages: string[] = [];
    while (!reader.empty && usages.length < MAX_EXTENSIONS) usages.push(reader.oid());
    reader.end();
    out.extendedKeyUsage = usages;
  },
};

/** `reader`: inside of the `[3]` of a certificate; undefined: it has none. */
export function readExtensions(reader: DerReader | undefined, what: string): Extensions {
  const unknownCritical: string[] = [];
  const out: Mutable<Extensions> = {
    isCa: false,
    pathLength: undefined,
    keyUsage: undefined,
    keyUsageCritical: false,
    extendedKeyUsage: undefined,
    names: [],
    namesCritical: false,
    nameConstraints: undefined,
    subjectKeyId: undefined,
    authorityKeyId: undefined,
    unknownCritical,
  };
  for (const { oid, critical, value } of listExtensions(reader)) {
    const read = Object.hasOwn(READERS, oid) ? READERS[oid] : undefined;
    if (read !== undefined) read(value, what, { out, critical });
    else if (critical) unknownCritical.push(oid);
  }
  return out;
}

/** Of a certificate or a revocation list: what is in its SEQUENCE. "A certificate MUST NOT include more than one instance" - RFC 5280 section 4.2. */
export function listExtensions(reader: DerReader | undefined): { oid: string; critical: boolean; value: Buffer }[] {
  if (reader === undefined) return [];
  const list = reader.enter(TAG.sequence);
  reader.end();
  const found = new Map<string, { oid: string; critical: boolean; value: Buffer }>();
  while (!list.empty) {
    const extension = list.enter(TAG.sequence);
    const oid = extension.oid();
    const critical = extension.optionalBoolean();
    const value = extension.value(TAG.octetString).content;
    extension.end();
    if (found.has(oid)) throw list.error(`has extension ${oid} twice`);
    if (found.size === MAX_EXTENSIONS) throw list.error(`has more than ${MAX_EXTENSIONS} extensions`);
    found.set(oid, { oid, critical, value });
  }
  return [...found.values()];
}

/** Numbers of the bits that are set. The first byte says how many of the last are not used, which are zeros. */
function setBits(content: Buffer): ReadonlySet<number> {
  const bits = new Set<number>();
  // KeyUsage has nine.
  for (let bit = 0; bit < Math.min(8 * (content.length - 1), 16); bit++) {
    if (((content[1 + (bit >> 3)] as number) & (0x80 >> (bit & 7))) !== 0) bits.add(bit);
  }
  return bits;
}

function subtrees(reader: DerReader | undefined): { names: GeneralName[]; others: boolean } {
  const names: GeneralName[] = [];
  let others = false;
  for (let count = 0; reader !== undefined && !reader.empty; count++) {
    if (count === 1024) throw reader.error('has more than 1024 names');
    const name = readGeneralName(reader.enter(TAG.sequence));
    if (name === undefined) others = true;
    else names.push(name);
  }
  return { names, others };
}
