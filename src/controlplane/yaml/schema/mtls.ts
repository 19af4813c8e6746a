import type * as v from 'valibot';
import { oneOf, pattern } from './fields.js';

/** Istio's modes of PeerAuthentication, in lower case. */
export const mtlsMode = oneOf(['strict', 'permissive', 'disabled']);

export type MtlsMode = v.InferOutput<typeof mtlsMode>;

/** SPIFFE-ID section 2.1: "letters, digits, dots, dashes and underscores", lower case, of at most 255. */
export const trustDomain = pattern(
  /^[a-z0-9._-]{1,255}$/,
  'a SPIFFE trust domain: up to 255 lower-case letters, digits, ".", "-" and "_"',
);
