import { isIP } from 'node:net';
import type { CidrRange } from '../../core/model/server.js';
import type { Message } from './message.js';

/**
 * `core.v3.CidrRange`, normalised as gRFC A36 has it: `prefix_len` "adjusted to the valid range", an absent one 0, and the bits beyond it
 * cleared. IPv4-mapped IPv6 is IPv4, as addresses of connections are.
 */
export function cidrRange(range: Message): CidrRange {
  const text = range.text('address_prefix');
  const bytes = addressBytes(text);
  if (bytes === undefined) throw range.error('address_prefix', `must be an IP address, got "${text.slice(0, 80)}"`);
  const bits = bytes.length * 8;
  const length = Math.min(range.uint32Value('prefix_len') ?? 0, bits);
  if (length >= MAPPED.length * 8 && MAPPED.every((byte, i) => bytes[i] === byte)) {
    const offset = MAPPED.length * 8;
    return { address: textOf(masked(bytes.slice(MAPPED.length), length - offset)), prefixLength: length - offset };
  }
  return { address: textOf(masked(bytes, length)), prefixLength: length };
}

/** ::ffff:0:0/96 (RFC 4291 section 2.5.5.2). */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** 4 or 16 bytes; undefined when it is no address. A zone (`%eth0`) says where, not which, and is none. */
function addressBytes(text: string): number[] | undefined {
  switch (text.includes('%') ? 0 : isIP(text)) {
    case 4:
      return text.split('.').map(Number);
    case 6:
      return groups(text).flatMap((group) => [group >> 8, group & 0xff]);
    default:
      return undefined;
  }
}

/** The eight groups of an IPv6 address. */
function groups(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const before = parts(head);
  if (tail === undefined) return before;
  const after = parts(tail);
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function parts(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function masked(bytes: readonly number[], length: number): number[] {
  return bytes.map((byte, i) => byte & (0xff << Math.min(8, Math.max(0, 8 - (length - i * 8)))) & 0xff);
}

/** Canonical: IPv6 as RFC 5952 section 4 has it. */
function textOf(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const hex = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] ?? 0) * 256 + (bytes[i * 2 + 1] ?? 0)).toString(16));
  // The longest run of zeros, two or more, the first of several.
  let [start, length] = [0, 1];
  for (let i = 0; i < hex.length; i++) {
    let end = i;
    while (hex[end] === '0') end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  if (length === 1) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
