import { DerReader, TAG } from './der/read.js';

/** The attributes that have a short name (RFC 2253 section 2.3). */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.6': 'C',
  '2.5.4.9': 'STREET',
  '0.9.2342.19200300.100.1.25': 'DC',
  '0.9.2342.19200300.100.1.1': 'UID',
};

/** A name as text, last part first (RFC 2253): `CN=web,O=Example`. */
export function distinguishedName(name: Buffer, what: string): string {
  const parts = new DerReader(name, what).enter(TAG.sequence);
  const texts: string[] = [];
  while (!parts.empty) {
    const attributes = parts.enter(TAG.set);
    const together: string[] = [];
    while (!attributes.empty) together.push(attribute(attributes.enter(TAG.sequence)));
    texts.unshift(together.join('+'));
  }
  return texts.join(',');
}

function attribute(reader: DerReader): string {
  const oid = reader.oid();
  const value = reader.any();
  const name = SHORT_NAMES[oid];
  // "the value is encoded as ... '#' followed by the hexadecimal representation" - section 2.4
  if (name === undefined) return `${oid}=#${value.whole.toString('hex')}`;
  return `${name}=${escaped(value.tag === 0x0c ? value.content.toString('utf8') : value.content.toString('latin1'))}`;
}

/** Section 2.4; control characters as bytes in hex, so that a name stays on its line. */
const escaped = (text: string): string =>
  text
    .replace(/[,+"\\<>;]/g, (character) => `\\${character}`)
    .replace(/^[ #]| $/g, (character) => `\\${character}`)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through.
    .replace(/[\u0000-\u001f\u007f]/g, (character) => `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
