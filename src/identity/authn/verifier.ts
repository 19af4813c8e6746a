import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import type { JwtProvider } from '../../core/model/authentication.js';
import { checkAudience, checkIdentity, checkTimes } from './check-claims.js';
import { failure, type TokenFailure } from './failure.js';
import { importedKey, type KeySet } from './key-set.js';
import type { Keys } from './keys.js';
import { type Claims, isFailure, MAX_TOKEN_LENGTH, type ParsedToken, parseToken } from './token.js';

type Jose = typeof import('jose');
let loading: Promise<Jose> | undefined;

/** A token whose signature and claims are good. */
export interface VerifiedToken {
  readonly provider: JwtProvider;
  readonly claims: Claims;
  /** The payload as it came, in base64url. */
  readonly payload: string;
}

/** Remembered of a token: by which keys it was verified, as those of later may not have its key any more. */
interface Known {
  readonly token: VerifiedToken;
  readonly keys: KeySet;
}

/** Verifies tokens of one provider. Those that it has verified it knows by their hash, until they expire or the keys change. */
export class Verifier {
  readonly #known = new Map<string, Known>();

  constructor(
    readonly provider: JwtProvider,
    private readonly keys: Keys,
    private readonly clock: Pick<Clock, 'wallTime'>,
  ) {}

  /** At once for one that is known or cannot be good; else a promise. Never rejects. `audiences`: in place of the provider's. */
  verify(
    text: string,
    audiences: readonly string[] = this.provider.audiences,
  ): VerifiedToken | TokenFailure | Promise<VerifiedToken | TokenFailure> {
    const { provider, clock } = this;
    const keys = this.keys.current();
    const hash = provider.cacheSize > 0 && text.length <= MAX_TOKEN_LENGTH ? hashOf(text) : undefined;
    const known = hash === undefined ? undefined : this.#known.get(hash);
    if (hash !== undefined && known !== undefined) {
      if (known.keys === keys) return this.#still(hash, known.token, audiences);
      if (keys !== undefined) this.#known.delete(hash);
    }
    const token = parseToken(text);
    if (isFailure(token)) return token;
    if (!provider.algorithms.includes(token.algorithm))
      return failure('algorithm', `algorithm ${token.algorithm} is not one of ${provider.algorithms.join(', ')}`);
    // Before the signature, which costs more; nobody is told which it was.
    const wrong =
      checkIdentity(token.claims, provider) ??
      checkAudience(token.claims, audiences) ??
      checkTimes(token.claims, provider, clock.wallTime());
    return wrong ?? this.#prove(token, hash, keys);
  }

  #still(hash: string, token: VerifiedToken, audiences: readonly string[]): VerifiedToken | TokenFailure {
    const late = checkTimes(token.claims, this.provider, this.clock.wallTime());
    if (late !== undefined) this.#known.delete(hash);
    return late ?? checkAudience(token.claims, audiences) ?? token;
  }

  async #prove(
    token: ParsedToken,
    hash: string | undefined,
    now: KeySet | undefined,
  ): Promise<VerifiedToken | TokenFailure> {
    const keys = now ?? (await this.keys.soon());
    if (keys === undefined) return failure('keys_unavailable', `keys from ${this.keys.name}: ${this.keys.trouble}`);
    loading ??= import('jose');
    const jose = await loading;
    let good: KeySet | undefined = keys;
    let result = await signedBy(token, keys, jose);
    if (result === 'unknown') {
      // The issuer may have new keys.
      good = await this.keys.newerThan(keys);
      if (good !== undefined) result = await signedBy(token, good, jose);
    }
    if (result === 'good' && good !== undefined) {
      const verified: VerifiedToken = {
        provider: this.provider,
        claims: deepFreeze(token.claims),
        payload: token.payload,
      };
      if (hash !== undefined) this.#remember(hash, { token: verified, keys: good });
      return verified;
    }
    return result === 'bad'
      ? failure('signature', 'the signature is not that of the key')
      : failure(
          'unknown_key',
          `no key from ${this.keys.name} is for this kid and algorithm, or has made this signature`,
        );
  }

  #remember(hash: string, known: Known): void {
    // The oldest goes.
    if (this.#known.size >= this.provider.cacheSize) {
      for (const first of this.#known.keys()) {
        this.#known.delete(first);
        break;
      }
    }
    this.#known.set(hash, known);
  }
}

/** `unknown`: no key of that id says otherwise, and other keys may. */
export async function signedBy(token: ParsedToken, keys: KeySet, jose: Jose): Promise<'good' | 'bad' | 'unknown'> {
  let named = false;
  for (const key of keys.candidates(token.algorithm, token.keyId)) {
    named ||= key.id !== undefined && key.id === token.keyId;
    const imported = await importedKey(key, token.algorithm, jose.importJWK);
    if (imported === undefined) continue;
    try {
      await jose.compactVerify(token.text, imported, { algorithms: [token.algorithm] });
      return 'good';
    } catch {
      // Another key of the same id, or one without, may be the one.
    }
  }
  return named ? 'bad' : 'unknown';
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64');

/** What handlers hold is what others decide by. Depth is bounded by JSON.parse's own. */
function deepFreeze<T>(value: T): T {
  const waiting: unknown[] = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    Object.freeze(next);
    for (const inner of Object.values(next)) if (typeof inner === 'object' && inner !== null) waiting.push(inner);
  }
  return value;
}
