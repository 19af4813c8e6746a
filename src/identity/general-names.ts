import { type DerReader, explicitTag, implicitTag, readOid, TAG } from './der/read.js';

/** A name in a certificate (RFC 5280 section 4.2.1.6), of the kinds that can be matched. */
export interface GeneralName {
  readonly type: 'EMAIL' | 'DNS' | 'URI' | 'IP_ADDRESS' | 'OTHER_NAME';
  /** Text as it stands in the certificate; an address in its canonical form (RFC 5952), with `/prefix bits` where it is a constraint's subnet. */
  readonly value: string;
  /** `OTHER_NAME` only: what it is a name of, dotted. */
  readonly oid?: string;
}

/** Names in one certificate at most: more are made to be slow. */
const MAX_NAMES = 1024;

/** Reads names until the end. Those of other kinds (directory names, registered identifiers) are left out. */
export function readGeneralNames(reader: DerReader): GeneralName[] {
  const names: GeneralName[] = [];
  for (let count = 0; !reader.empty; count++) {
    if (count === MAX_NAMES) throw reader.error(`has more than ${MAX_NAMES} names`);
    const name = readGeneralName(reader);
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** One name; undefined: of a kind that nothing asks about. */
export function readGeneralName(reader: DerReader): GeneralName | undefined {
  switch (reader.nextTag) {
    case explicitTag(0):
      return otherName(reader.enter(explicitTag(0)));
    case implicitTag(1):
      return { type: 'EMAIL', value: ia5(reader) };
    case implicitTag(2):
      return { type: 'DNS', value: ia5(reader) };
    case implicitTag(6):
      return { type: 'URI', value: ia5(reader) };
    case implicitTag(7):
      return { type: 'IP_ADDRESS', value: address(reader) };
    default:
      reader.any();
      return undefined;
  }
}

/**
 * A name that is shown or compared must be what it looks like: no NUL, no control characters, nothing outside of ASCII (IA5String). Read from the DER and never
 * from the text that OpenSSL or Node print, where a name may pretend to be two (CVE-2021-44532).
 */
function ia5(reader: DerReader): string {
  const { content } = reader.any();
  for (const byte of content) {
    if (byte < 0x20 || byte > 0x7e) throw reader.error('has a name with characters that are not allowed in it');
  }
  return content.toString('latin1');
}

function otherName(reader: DerReader): GeneralName | undefined {
  const oid = reader.oid();
  const value = text(reader.enter(explicitTag(0)));
  return value === undefined ? undefined : { type: 'OTHER_NAME', oid, value };
}

/** The kinds of string that X.509 has; undefined: it is none. */
function text(reader: DerReader): string | undefined {
  const { tag, content } = reader.any();
  switch (tag) {
    case 0x0c:
      return content.toString('utf8');
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x14: // T61String
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return content.toString('latin1');
    case 0x1e: // BMPString
      return content.length % 2 === 0 ? Buffer.from(content).swap16().toString('utf16le') : undefined;
    case TAG.oid:
      return readOid(content, reader.what);
    default:
      return undefined;
  }
}

function address(reader: DerReader): string {
  const { content } = reader.any();
  switch (content.length) {
    case 4:
    case 16:
      return ipText(content);
    // Of a constraint: the address, and a mask as long (RFC 5280 section 4.2.1.10).
    case 8:
    case 32: {
      const half = content.length / 2;
      return `${ipText(content.subarray(0, half))}/${prefixBits(content.subarray(half), reader)}`;
    }
    default:
      throw reader.error('has an address that is none');
  }
}

function prefixBits(mask: Buffer, reader: DerReader): number {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  if (!/^1*0*$/.test(bits)) throw reader.error('has a subnet whose mask has holes');
  return bits.lastIndexOf('1') + 1;
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
  // The shortest form of an IPv6 address is the URL standard's as well.
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
