/** Why the authority did not do what it was asked to. The message is for whoever asked; it tells nothing of others. */
export type CaRefusal =
  | 'bad_request'
  | 'unauthenticated'
  | 'forbidden'
  | 'too_many'
  | 'unavailable'
  | 'not_found'
  | 'state';

/** When a signer that failed may be asked again, in milliseconds. */
const RETRY_MS = 1_000;

export class CaError extends Error {
  override readonly name = 'CaError';

  constructor(
    readonly reason: CaRefusal,
    message: string,
    /** When it may be asked again, in milliseconds from now. Only with `too_many` and `unavailable`. */
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Whoever signs in the authority's place did not, or not what he was asked to: no fault of who asks for a certificate, and nothing for him to know. */
export class SignerError extends CaError {
  constructor(signer: string, cause: unknown) {
    const { message } = cause as Error;
    super('unavailable', message.includes(signer) ? message : `${signer}: ${message}`, RETRY_MS, { cause });
  }
}
