import type { Random } from './random.js';

/** A `traceparent` header taken apart. */
export interface TraceParent {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero: the span that is the parent. */
  readonly spanId: string;
  /** Bit 0 is sampled, bit 1 says that the trace id is random. */
  readonly flags: number;
}

const FORMAT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s;
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

export interface NewTrace {
  readonly traceId: string;
  readonly spanId: string;
  /** The header that says so. */
  readonly traceparent: string;
}

/** A new root: 16 and 8 random bytes, never all zero. Flag 02: the trace id is random (Trace Context level 2). Flag 01: it is recorded. */
export function newTrace(random: Random, sampled = true): NewTrace {
  const a = random.int(WORD);
  const b = random.int(WORD);
  const c = random.int(WORD);
  const d = random.int(WORD);
  const e = random.int(WORD);
  const f = random.int(WORD);
  writeHex(TRACE_AT, a);
  writeHex(TRACE_AT + 8, b);
  writeHex(TRACE_AT + 16, c);
  writeHex(TRACE_AT + 24, (a | b | c | d) === 0 ? 1 : d);
  writeHex(SPAN_AT, e);
  writeHex(SPAN_AT + 8, (e | f) === 0 ? 1 : f);
  draft[FLAGS_AT] = DIGITS[sampled ? 3 : 2] as number;
  const traceparent = draft.toString('latin1');
  return {
    traceId: traceparent.slice(TRACE_AT, TRACE_AT + 32),
    spanId: traceparent.slice(SPAN_AT, SPAN_AT + 16),
    traceparent,
  };
}

/** One more than the largest number of 32 bits. */
const WORD = 4_294_967_296;
const TRACE_AT = 3;
const SPAN_AT = 36;
const FLAGS_AT = 54;
const DIGITS = Buffer.from('0123456789abcdef', 'latin1');
/** The header as bytes, written over for each one: a text in one piece costs half of one that is joined of pieces and flattened later. */
const draft = Buffer.from(`00-${NO_TRACE}-${NO_SPAN}-02`, 'latin1');

function writeHex(at: number, bits: number): void {
  for (let shift = 28, to = at; shift >= 0; shift -= 4) draft[to++] = DIGITS[(bits >>> shift) & 15] as number;
}
