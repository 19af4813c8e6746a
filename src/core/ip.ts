import { isIPv4, isIPv6 } from 'node:net';
import type { CidrRange } from './model/server.js';

/** An IP address as a number. An IPv4 address is one however it was written: `::ffff:10.0.0.1` is 10.0.0.1. */
export interface Ip {
  /** Width of the address: 32 for IPv4, 128 for IPv6. */
  readonly bits: 32 | 128;
  readonly value: bigint;
}

/** A network: the addresses of one family that begin with the same bits. */
export interface Network {
  readonly bits: 32 | 128;
  readonly prefixLength: number;
  /** The bits of the prefix, without those after it. */
  readonly prefix: bigint;
}

/** `::ffff:0:0/96`, the prefix of IPv4-mapped addresses (RFC 4291 section 2.5.5.2), as the bits before the last 32. */
const MAPPED = 0xffffn;

/** Undefined when the text is no IP address. A zone (`%eth0`) does not count. */
export function parseIp(text: string): Ip | undefined {
  const address = text.split('%', 1)[0] as string;
  if (isIPv4(address)) return { bits: 32, value: ipv4(address) };
  if (!isIPv6(address)) return undefined;
  const value = ipv6(address);
  return value >> 32n === MAPPED ? { bits: 32, value: value & 0xffff_ffffn } : { bits: 128, value };
}

/** Undefined when the range's address is none. One of IPv4-mapped addresses is an IPv4 range in the model already. */
export function parseNetwork({ address, prefixLength }: CidrRange): Network | undefined {
  const ip = parseIp(address);
  if (ip === undefined) return undefined;
  return { bits: ip.bits, prefixLength, prefix: ip.value >> BigInt(ip.bits - prefixLength) };
}

/** "a CIDR with prefix_len of 0 is not the same as an unspecified CIDR, because it still matches a network type" - gRFC A36. */
export const contains = ({ bits, prefixLength, prefix }: Network, ip: Ip): boolean =>
  ip.bits === bits && ip.value >> BigInt(bits - prefixLength) === prefix;

/** 127.0.0.0/8 (RFC 1122 section 3.2.1.3) and ::1 (RFC 4291 section 2.5.3). */
export const isLoopback = ({ bits, value }: Ip): boolean => (bits === 32 ? value >> 24n === 127n : value === 1n);

export const sameIp = (a: Ip, b: Ip): boolean => a.bits === b.bits && a.value === b.value;

const ipv4 = (text: string): bigint => text.split('.').reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);

/** `text` is an IPv6 address. */
function ipv6(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = new Array<bigint>(8 - before.length - after.length).fill(0n);
  return [...before, ...zeros, ...after].reduce((value, group) => (value << 16n) | group, 0n);
}

/** The last group may be an IPv4 address, which stands for two (RFC 4291 section 2.2). */
function groups(text: string): bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)];
    const value = ipv4(group);
    return [value >> 16n, value & 0xffffn];
  });
}
