import { NothingToShow } from './ca-refusal.js';

/** A join token as our CA makes them: `<id>.<secret>.<SHA-256 of the root, hex>`. The last part tells its bearer whom it may be shown to. */
export interface JoinToken {
  readonly text: string;
  /** SHA-256 of the root certificate's DER, hex, lower case. Undefined: the token is of another kind, as Kubernetes' are, and pins nothing. */
  readonly rootFingerprint: string | undefined;
}

const JOIN_TOKEN = /^[\w-]+\.[\w-]+\.([0-9a-f]{64})$/;

/** It goes into a header, which is printable ASCII (gRPC over HTTP2, "ASCII-Value"), and has no spaces in it. */
const ONE_WORD = /^[\x21-\x7e]{1,16384}$/;

/** Any word is a token; one of ours says more. What it is stands in no error. */
export function readJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (!ONE_WORD.test(trimmed))
    throw new NothingToShow('a join token must be one word of at most 16384 characters, all printable ASCII');
  return { text: trimmed, rootFingerprint: JOIN_TOKEN.exec(trimmed)?.[1] };
}
