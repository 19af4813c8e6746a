/** A join token as our CA makes them: `<id>.<secret>.<SHA-256 of the root, hex>`. The last part tells its bearer whom it may be shown to. */
export interface JoinToken {
  readonly text: string;
  /** SHA-256 of the root certificate's DER, hex, lower case. Undefined: the token is of another kind, as Kubernetes' are, and pins nothing. */
  readonly rootFingerprint: string | undefined;
}

const JOIN_TOKEN = /^[\w-]+\.[\w-]+\.([0-9a-f]{64})$/;

/** Any text without white space is a token; one of ours says more. */
export function readJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (trimmed === '' || /\s/.test(trimmed) || trimmed.length > 16_384)
    throw new TypeError('a join token must be one word of at most 16384 characters');
  return { text: trimmed, rootFingerprint: JOIN_TOKEN.exec(trimmed)?.[1] };
}
