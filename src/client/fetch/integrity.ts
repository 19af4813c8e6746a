import { createHash } from 'node:crypto';

const ALGORITHMS = ['sha256', 'sha384', 'sha512'] as const;
type Algorithm = (typeof ALGORITHMS)[number];

interface Expected {
  readonly algorithm: Algorithm;
  readonly digest: string;
}

/**
 * Subresource Integrity: whether `bytes` match one of the digests of the strongest algorithm that `metadata` names. Metadata in
 * which nothing is understood matches everything, as the specification has it.
 */
export function matchesIntegrity(bytes: Uint8Array, metadata: string): boolean {
  const expected = parse(metadata);
  const strongest = ALGORITHMS.findLast((algorithm) => expected.some((item) => item.algorithm === algorithm));
  if (strongest === undefined) return true;
  const actual = createHash(strongest).update(bytes).digest('base64');
  return expected.some((item) => item.algorithm === strongest && item.digest === actual);
}

function parse(metadata: string): Expected[] {
  const found: Expected[] = [];
  for (const token of metadata.trim().split(/\s+/)) {
    const match = /^(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+={0,2})(?:\?.*)?$/.exec(token);
    if (match === null) continue;
    // base64url is allowed as well.
    const digest = Buffer.from(match[2] as string, 'base64').toString('base64');
    found.push({ algorithm: match[1] as Algorithm, digest });
  }
  return found;
}
