/** What is wrong with a request's token. */
export type TokenProblem =
  | 'missing'
  | 'several'
  | 'malformed'
  | 'too_large'
  | 'algorithm'
  | 'critical'
  | 'issuer'
  | 'subject'
  | 'audience'
  | 'expired'
  | 'not_yet_valid'
  | 'lifetime'
  | 'unknown_key'
  | 'signature'
  | 'keys_unavailable';

/** Why a token will not do. `detail` is for us and never holds the token, nor any part of it that its bearer could not have made up. */
export interface TokenFailure {
  readonly problem: TokenProblem;
  readonly detail: string;
}

export const failure = (problem: TokenProblem, detail: string): TokenFailure => ({ problem, detail });
