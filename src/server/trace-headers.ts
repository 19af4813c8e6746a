import { parseTraceparent } from '../core/traceparent.js';

/**
 * What of the trace headers of a request may travel on. They come from outside: a header that is not as its standard says is dropped
 * here, once, so that nothing behind has to look again.
 */

/** Length of version 00, the only one whose length is fixed. */
const TRACEPARENT_LENGTH = 55;

/**
 * A `traceparent` that is valid (W3C Trace Context, 3.2), else undefined. One of a higher version is cut to what version 00 has: "parse it
 * as … version 00", and "vendors … MUST NOT" send what they cannot parse.
 */
export function validTraceparent(value: string | undefined): string | undefined {
  if (value === undefined || value.length > 512 || parseTraceparent(value) === undefined) return undefined;
  return value.startsWith('00') ? value : `00${value.slice(2, TRACEPARENT_LENGTH)}`;
}

/** Trace Context, 3.3.1.3: `key` is 1 to 256 characters, also `tenant@system`; `value` is printable, without comma and equals sign. */
const TRACESTATE_MEMBER =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
/** "There can be a maximum of 32 list-members in a list." */
const TRACESTATE_MEMBERS = 32;
/** "Vendors SHOULD propagate at least 512 characters of a combined header." */
const TRACESTATE_LENGTH = 512;

/** A `tracestate` that is valid and not too long, else undefined: "If the vendor failed to parse tracestate, it MUST be discarded". */
export function validTracestate(value: string | undefined): string | undefined {
  if (value === undefined || value.length > 8_192) return undefined;
  const members = value
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  if (members.length === 0 || members.length > TRACESTATE_MEMBERS) return undefined;
  const keys = new Set<string>();
  for (const member of members) {
    const key = member.slice(0, member.indexOf('='));
    if (!TRACESTATE_MEMBER.test(member) || keys.has(key)) return undefined;
    keys.add(key);
  }
  return shortened(members);
}

/** "Entries larger than 128 characters long SHOULD be removed first. Then entries SHOULD be removed starting from the end". */
function shortened(members: string[]): string | undefined {
  const length = (list: readonly string[]): number => list.reduce((sum, member) => sum + member.length + 1, -1);
  let kept = members;
  if (length(kept) > TRACESTATE_LENGTH) kept = kept.filter((member) => member.length <= 128);
  while (length(kept) > TRACESTATE_LENGTH) kept = kept.slice(0, -1);
  return kept.length === 0 ? undefined : kept.join(',');
}

/** W3C Baggage, 3.2.1: a token, `=`, octets without space, quote, comma, semicolon and backslash, then properties after semicolons. */
const BAGGAGE_MEMBER =
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*=[ \t]*[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*=[ \t]*[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*)?)*$/;
/** "64 list-members or less" and "8192 bytes or less" must be propagated whole; more need not be. */
const BAGGAGE_MEMBERS = 64;
const BAGGAGE_LENGTH = 8_192;

/** The valid members of a `baggage` header, up to the limits of the standard; undefined when none is left. */
export function validBaggage(value: string | undefined): string | undefined {
  // Longer than this it is not even split: the excess is not worth the time.
  if (value === undefined || value.length > 4 * BAGGAGE_LENGTH) return undefined;
  const kept: string[] = [];
  let length = -1;
  for (const part of value.split(',')) {
    const member = part.replace(/^[ \t]+|[ \t]+$/g, '');
    if (!BAGGAGE_MEMBER.test(member)) continue;
    if (kept.length === BAGGAGE_MEMBERS || length + member.length + 1 > BAGGAGE_LENGTH) break;
    kept.push(member);
    length += member.length + 1;
  }
  return kept.length === 0 ? undefined : kept.join(',');
}
