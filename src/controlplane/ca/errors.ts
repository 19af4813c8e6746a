/** Why the authority did not do what it was asked to. The message is for whoever asked; it tells nothing of others. */
export type CaRefusal =
  | 'bad_request'
  | 'unauthenticated'
  | 'forbidden'
  | 'too_many'
  | 'unavailable'
  | 'not_found'
  | 'state';

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
