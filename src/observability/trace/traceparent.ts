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

/** The ids of a new root: 16 and 8 random bytes, never all zero. */
export function newTrace(random: Random): { readonly traceId: string; readonly spanId: string } {
  const a = random.int(WORD);
  const b = random.int(WORD);
  const c = random.int(WORD);
  const d = random.int(WORD);
  const e = random.int(WORD);
  const f = random.int(WORD);
  // Looking at the numbers, because comparing text that was just joined costs more than making it.
  return {
    traceId: hex(a) + hex(b) + hex(c) + hex((a | b | c | d) === 0 ? 1 : d),
    spanId: hex(e) + hex((e | f) === 0 ? 1 : f),
  };
}

/** One more than the largest number of 32 bits. */
const WORD = 4_294_967_296;
const HEX = Array.from({ length: 65_536 }, (_, value) => value.toString(16).padStart(4, '0'));

const hex = (bits: number): string => (HEX[bits >>> 16] as string) + (HEX[bits & 0xffff] as string);
