import { isIPv4, isIPv6 } from 'node:net';
import type { FormatRequest, Value } from './values.js';

/** A value that is an `ip:port`, as Envoy prints it; with the commands for its parts. */
export function address(of: (request: FormatRequest) => string | undefined): {
  readonly whole: Value;
  /** `%…_WITHOUT_PORT%`, or `%…_WITHOUT_PORT(16)%` for the network of so many bits. Throws for what is no such number. */
  readonly withoutPort: (argument: string | undefined) => Value;
  readonly port: Value;
} {
  return {
    whole: of,
    withoutPort: (argument) => {
      const bits = argument === undefined ? undefined : prefixLength(argument);
      return (request) => {
        const text = of(request);
        if (text === undefined) return undefined;
        return bits === undefined ? hostOf(text) : network(hostOf(text), bits);
      };
    },
    port: (request) => {
      const text = of(request);
      return text === undefined ? undefined : text.slice(text.lastIndexOf(':') + 1);
    },
  };
}

/** Without the port; an IPv6 address without its brackets too, as Envoy has it. */
export function hostOf(text: string): string {
  const host = text.slice(0, text.lastIndexOf(':'));
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

function prefixLength(argument: string): number {
  if (!/^\d{1,3}$/.test(argument) || Number(argument) > 128) throw new Error(`must be 0 to 128, got "${argument}"`);
  return Number(argument);
}

/** `10.1.0.0/16`; undefined when the address has not so many bits, or is none. */
function network(host: string, bits: number): string | undefined {
  if (isIPv4(host) && bits <= 32) {
    const number = host.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
    const kept = masked(number, bits, 32);
    return `${[24n, 16n, 8n, 0n].map((shift) => (kept >> shift) & 255n).join('.')}/${bits}`;
  }
  if (!isIPv6(host)) return undefined;
  const kept = masked(ipv6Number(host), bits, 128);
  const groups = Array.from({ length: 8 }, (_, i) => ((kept >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  // RFC 5952 section 4.2: the longest run of zeros, the first of equals, is "::".
  return `${new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)}/${bits}`;
}

const masked = (number: bigint, bits: number, of: number): bigint => {
  const shift = BigInt(of - bits);
  return (number >> shift) << shift;
};

function ipv6Number(host: string): bigint {
  // Written out by the URL parser: no zone, no dotted end, "::" at most once.
  const text = new URL(`http://[${host.split('%')[0]}]/`).hostname.slice(1, -1);
  const [head = '', tail] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}
