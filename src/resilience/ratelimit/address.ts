/** The bits of an address that count, as text of one form; undefined for what is no IP address. IPv4 in IPv6 (`::ffff:10.0.0.1`) is IPv4. */
export function maskedAddress(text: string, v4Bits: number, v6Bits: number): string | undefined {
  const zone = text.indexOf('%');
  const address = zone < 0 ? text : text.slice(0, zone);
  const groups = address.includes(':') ? ipv6(address) : undefined;
  if (groups === undefined) {
    const v4 = ipv4(address);
    return v4 === undefined ? undefined : v4Text(v4, v4Bits);
  }
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return v4Text((((groups[6] as number) << 16) | (groups[7] as number)) >>> 0, v4Bits);
  const masked = groups.map((group, i) => group & mask16(v6Bits - 16 * i));
  return ipv6Text(masked);
}

function ipv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

/** Eight groups (RFC 4291 section 2.2). */
function ipv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] as string);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  for (const part of text.split(':')) {
    if (part.includes('.')) {
      const v4 = ipv4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4 >>> 16, v4 & 0xffff);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** RFC 5952: the longest run of two zero groups or more, the first of several, is left out. */
function ipv6Text(groups: readonly number[]): string {
  let [from, length] = [0, 0];
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === 0) end++;
    if (end - i > length) [from, length] = [i, end - i];
    i = Math.max(i, end);
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return length < 2 ? text(groups) : `${text(groups.slice(0, from))}::${text(groups.slice(from + length))}`;
}

function v4Text(value: number, bits: number): string {
  const masked = bits <= 0 ? 0 : (value & (0xffffffff << (32 - Math.min(bits, 32)))) >>> 0;
  return `${masked >>> 24}.${(masked >>> 16) & 255}.${(masked >>> 8) & 255}.${masked & 255}`;
}

/** The upper `bits` of 16. */
const mask16 = (bits: number): number => (bits >= 16 ? 0xffff : bits <= 0 ? 0 : (0xffff << (16 - bits)) & 0xffff);
