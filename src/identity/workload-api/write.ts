import { textField } from '../../core/wire-write.js';

/** `JWTSVIDRequest`. An empty `spiffeId`: every identity of the caller. */
export const writeJwtSvidRequest = (audience: readonly string[], spiffeId: string): Uint8Array =>
  Buffer.concat([...audience.map((it) => textField(1, it)), textField(2, spiffeId)]);

/** `ValidateJWTSVIDRequest`. */
export const writeValidateJwtRequest = (audience: string, token: string): Uint8Array =>
  Buffer.concat([textField(1, audience), textField(2, token)]);

/** Requests without parameters: `X509SVIDRequest`, `X509BundlesRequest`, `JWTBundlesRequest`. */
export const EMPTY_REQUEST = new Uint8Array(0);
