import { readFile } from 'node:fs/promises';
import { type Backoff, spreadJitter } from '../../../core/backoff.js';
import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import type { Random } from '../../../core/random.js';
import { expiryOf } from './jwt.js';

/** "the cache expiration time to be 30 seconds before the expiration time encoded in the token" - A97 */
export const TOKEN_SKEW_MS = 30_000;
/** "will expire within some fixed refresh interval (typically 1 minute)" - A97 */
export const TOKEN_REFRESH_MS = 60_000;
/** Between reads that failed: grpc/doc/connection-backoff.md, as A97 asks. */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };

const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** Why a stream gets no token: the gRPC status that it fails with. */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  constructor(
    readonly code: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface TokenFileOptions {
  readonly file: string;
  readonly clock: Pick<Clock, 'now' | 'wallTime'>;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * JwtTokenFileCallCredentials of gRFC A97: a token that is read when somebody needs it, kept until it is about to expire, and read anew a
 * minute before, so that nobody waits. No timers: "no attempt should be started until and unless a data plane RPC is started".
 */
export class JwtTokenFile {
  /** Written by a read that went well; stays, expired or not, until the next. */
  #cached: { readonly token: string; readonly expiresAt: number } | undefined;
  /** The read under way, which all who need its result share. */
  #reading: Promise<string> | undefined;
  /** The last read when it failed; a good one resets it. `retryAt` is monotonic. */
  #failed: { readonly error: TokenError; readonly times: number; readonly retryAt: number } | undefined;

  constructor(private readonly options: TokenFileOptions) {}

  /** The token. Rejects with a TokenError. */
  token(): Promise<string> {
    const cached = this.#cached;
    const left = cached === undefined ? 0 : cached.expiresAt - this.options.clock.wallTime();
    if (left < TOKEN_REFRESH_MS) this.#read();
    // "the cached token value will still be used for that data plane RPC" - A97
    if (cached !== undefined && left > 0) return Promise.resolve(cached.token);
    // "while in backoff delay, it will be failed with the status from the last attempt" - A97
    return this.#reading ?? Promise.reject(this.#failed?.error);
  }

  /** Starts a read, unless one is under way or the wait after a failure is not over. */
  #read(): void {
    const { clock } = this.options;
    if (this.#reading !== undefined || clock.now() < (this.#failed?.retryAt ?? 0)) return;
    this.#reading = this.#load().finally(() => {
      this.#reading = undefined;
    });
    // Of a read ahead of time nobody hears but the log.
    this.#reading.catch(() => {});
  }

  async #load(): Promise<string> {
    const { file, clock, random, logger } = this.options;
    try {
      const token = await readToken(file);
      this.#cached = token;
      this.#failed = undefined;
      return token.token;
    } catch (error) {
      const times = (this.#failed?.times ?? 0) + 1;
      const retryInMs = spreadJitter(BACKOFF, times, random);
      this.#failed = { error: error as TokenError, times, retryAt: clock.now() + retryInMs };
      logger.warn('no token for the control plane', {
        error: (error as Error).message,
        retryInMs: Math.round(retryInMs),
      });
      throw error;
    }
  }
}

/** Throws a TokenError. */
async function readToken(file: string): Promise<{ readonly token: string; readonly expiresAt: number }> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    // "If reading the file fails, all queued data plane RPCs will be failed with UNAVAILABLE status." - A97
    throw new TokenError(UNAVAILABLE, `jwt_token_file cannot be read: ${(cause as Error).message}`, { cause });
  }
  const token = text.trim();
  const expiry = expiryOf(token);
  // "If the exp field cannot be extracted" … "status UNAUTHENTICATED" - A97
  if (expiry === undefined)
    throw new TokenError(UNAUTHENTICATED, `jwt_token_file (${file}) must hold a JWT with "exp"`);
  return { token, expiresAt: expiry - TOKEN_SKEW_MS };
}
