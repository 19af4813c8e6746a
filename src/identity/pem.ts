/** PEM as RFC 7468 has it: text around the blocks is explanatory and not read. */

/** Of one file or message. Hundreds of roots, or a revocation list of ten thousand entries, fit. */
export const MAX_PEM_BYTES = 4 * 1024 * 1024;
/** Blocks in one text. */
const MAX_BLOCKS = 4096;

/** Text that is no PEM, or has not got what is asked for. Shows nothing of the text, which may hold a key. */
export class PemError extends Error {
  override readonly name = 'PemError';
}

/** The blocks with that label, as bytes, in their order; blocks with others are left out. Empty: there is none. */
export function readPem(text: string, label: string): Buffer[] {
  if (text.length > MAX_PEM_BYTES) throw new PemError(`PEM of ${text.length} characters: ${MAX_PEM_BYTES} at most`);
  const blocks: Buffer[] = [];
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  for (let at = text.indexOf(begin); at !== -1; at = text.indexOf(begin, at)) {
    const from = at + begin.length;
    const to = text.indexOf(end, from);
    if (to === -1) throw new PemError(`PEM: "${label}" number ${blocks.length + 1} has no end`);
    if (blocks.length === MAX_BLOCKS) throw new PemError(`PEM: more than ${MAX_BLOCKS} blocks of "${label}"`);
    blocks.push(fromBase64(text.slice(from, to), label, blocks.length + 1));
    at = to + end.length;
  }
  return blocks;
}

function fromBase64(text: string, label: string, index: number): Buffer {
  const digits = text.replace(/[\s]/g, '');
  // Buffer.from skips whatever is no base64, and half of what is damaged would pass.
  if (digits.length === 0 || digits.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(digits)) {
    throw new PemError(`PEM: "${label}" number ${index} is not base64`);
  }
  return Buffer.from(digits, 'base64');
}

export function writePem(label: string, bytes: Uint8Array): string {
  const digits = Buffer.from(bytes).toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < digits.length; at += 64) lines.push(digits.slice(at, at + 64));
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

export const CERTIFICATE = 'CERTIFICATE';
export const CRL = 'X509 CRL';
export const CSR = 'CERTIFICATE REQUEST';
