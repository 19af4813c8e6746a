import type { Random } from '../../core/random.js';

/** A `traceparent` header taken apart. */
export interface TraceParent {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero: the span that is the parent. */
  readonly spanId: string;
  /** Bit 0 is sampled, bit 1 says that the trace id is random. */
  readonly flags: number;
}

const FORMAT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);

/** Reads a `traceparent` (W3C Trace Context, section 3.2); undefined when it is not valid. A higher version is read as far as we know it. */
export function parseTraceparent(text: string): TraceParent | undefined {
  const match = FORMAT.exec(text);
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  // "Version ff is forbidden"; version 00 has nothing after the flags.
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) };
}

/** A new root: random ids, sampled as told. */
export function newTraceparent(random: Random, sampled: boolean): string {
  // Flags: 02 says that the trace id is random (Trace Context level 2), 01 that the trace is recorded.
  return `00-${randomHex(random, 4)}-${randomHex(random, 2)}-${sampled ? '03' : '02'}`;
}

const HEX = Array.from({ length: 65_536 }, (_, value) => value.toString(16).padStart(4, '0'));

/** `words` times 32 random bits as hex digits, never all zero. */
function randomHex(random: Random, words: number): string {
  let text = '';
  let any = 0;
  for (let i = 0; i < words; i++) {
    const bits = random.int(4_294_967_296);
    any |= bits;
    text += (HEX[bits >>> 16] as string) + (HEX[bits & 0xffff] as string);
  }
  return any === 0 ? `${text.slice(0, -1)}1` : text;
}
