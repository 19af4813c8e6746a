import { isIPv4 } from 'node:net';
import * as der from '../../src/identity/der/write.js';

/** Extensions of test certificates (RFC 5280 section 4.2), as DER. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

export type GeneralName =
  | { readonly type: 'uri' | 'dns' | 'ip' | 'email'; readonly value: string }
  | { readonly type: 'other'; readonly oid: string; readonly value: string };

/** `ip`: address and prefix length, `10.0.0.0/8`. */
export interface NameConstraints {
  readonly permitted?: readonly GeneralName[];
  readonly excluded?: readonly GeneralName[];
}

export const extensions = (list: readonly Extension[]): Buffer =>
  der.sequence(
    ...list.map(({ oid, critical, value }) =>
      der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value)),
    ),
  );

export const basicConstraints = (ca: boolean, pathLength?: number): Extension => ({
  oid: '2.5.29.19',
  critical: true,
  value: der.sequence(
    ...(ca ? [der.boolean(true)] : []),
    ...(pathLength === undefined ? [] : [der.integer(pathLength)]),
  ),
});

export const keyUsage = (bits: readonly number[]): Extension => ({
  oid: '2.5.29.15',
  critical: true,
  value: der.namedBits(bits),
});

/** None of the two: one for signing code, which nothing here asks for. */
export function extendedKeyUsage(usages: readonly ('server' | 'client')[]): Extension {
  const purposes = usages.map((usage) => (usage === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2'));
  const value = der.sequence(...(purposes.length === 0 ? ['1.3.6.1.5.5.7.3.3'] : purposes).map(der.oid));
  return { oid: '2.5.29.37', critical: false, value };
}

export const subjectAltName = (names: readonly GeneralName[], critical = false): Extension => ({
  oid: '2.5.29.17',
  critical,
  value: der.sequence(...names.map((name) => generalName(name))),
});

export function nameConstraints({ permitted = [], excluded = [] }: NameConstraints): Extension {
  const subtrees = (names: readonly GeneralName[]): Buffer[] => names.map((name) => der.sequence(generalName(name)));
  const value = der.sequence(
    ...(permitted.length === 0 ? [] : [der.explicit(0, ...subtrees(permitted))]),
    ...(excluded.length === 0 ? [] : [der.explicit(1, ...subtrees(excluded))]),
  );
  return { oid: '2.5.29.30', critical: true, value };
}

export const subjectKeyId = (id: Uint8Array): Extension => ({
  oid: '2.5.29.14',
  critical: false,
  value: der.octetString(id),
});

export const authorityKeyId = (id: Uint8Array): Extension => ({
  oid: '2.5.29.35',
  critical: false,
  value: der.sequence(der.implicit(0, id)),
});

export const crlNumber = (number: number): Extension => ({
  oid: '2.5.29.20',
  critical: false,
  value: der.integer(number),
});

/** RFC 5280 section 4.2.1.6. */
export function generalName(name: GeneralName): Buffer {
  switch (name.type) {
    case 'other':
      return der.explicit(0, der.oid(name.oid), der.explicit(0, der.utf8String(name.value)));
    case 'email':
      return der.implicit(1, Buffer.from(name.value, 'latin1'));
    case 'dns':
      return der.implicit(2, Buffer.from(name.value, 'latin1'));
    case 'uri':
      return der.implicit(6, Buffer.from(name.value, 'latin1'));
    case 'ip':
      return der.implicit(7, addressBytes(name.value));
  }
}

/** Of a subnet: the address and its mask. */
function addressBytes(text: string): Buffer {
  const [address = '', prefix] = text.split('/');
  const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
  if (prefix === undefined) return bytes;
  const mask = Buffer.alloc(bytes.length);
  for (let bit = 0; bit < Number(prefix); bit++) mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return Buffer.concat([bytes, mask]);
}

function ipv6Bytes(address: string): Buffer {
  const [before = '', after] = address.split('::');
  const groups = (part: string | undefined): string[] => (part ? part.split(':') : []);
  const [left, right] = [groups(before), groups(after)];
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}
