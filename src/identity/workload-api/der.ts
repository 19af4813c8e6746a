import { CERTIFICATE, writePem } from '../pem.js';

/** Certificates of one field: a chain has a few, a bundle of an old trust domain some dozens. */
const MAX_CERTIFICATES = 500;
const SEQUENCE = 0x30;

/** Takes apart certificates that stand one after the other (DER), and gives them in PEM. Undefined: they are none, or too many. What is inside of each is not looked at. */
export function pemsOf(bytes: Uint8Array): readonly string[] | undefined {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = endOfSequence(bytes, at);
    if (end === undefined || found.length >= MAX_CERTIFICATES) return undefined;
    found.push(writePem(CERTIFICATE, bytes.subarray(at, end)));
    at = end;
  }
  return found;
}

/** X.690 section 8.1.3: one byte of length up to 127; beyond it, how many bytes the length has. */
function endOfSequence(bytes: Uint8Array, at: number): number | undefined {
  const first = bytes[at + 1];
  if (bytes[at] !== SEQUENCE || first === undefined) return undefined;
  let length = first;
  let content = at + 2;
  if (first >= 0x80) {
    const count = first - 0x80;
    // Three bytes are 16 MiB: more than a message may have.
    if (count === 0 || count > 3) return undefined;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[content++] ?? Number.NaN);
  }
  const end = content + length;
  return end <= bytes.length ? end : undefined;
}
