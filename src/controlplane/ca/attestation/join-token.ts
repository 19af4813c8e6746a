import { createHash, randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../../core/clock.js';
import { parseSpiffeId, parseWorkloadId } from '../../../identity/spiffe-id.js';
import type { CertificateAuthority } from '../authority.js';
import { MAX_TOKEN_MS } from '../constants.js';
import { CaError } from '../errors.js';
import type { Attestor } from './attestor.js';
import { type StoredToken, TokenFile } from './token-file.js';

/** `<id>.<secret>.<SHA-256 of the root's certificate>`: the last part lets who joins know the authority before it trusts anything. */
const TOKEN = /^([0-9a-f]{12})\.([A-Za-z0-9_-]{43})\.([0-9a-f]{64})$/;
/** Tokens that have neither ended nor been used, at most. */
const MAX_TOKENS = 10_000;
/** When whose first request is not recorded yet may ask again, in milliseconds. */
const UNDER_WAY_MS = 1_000;
/** Milliseconds. */
export const DEFAULT_TOKEN_MS = 3_600_000;

/**
 * For so long a token that was used is good once more for the very key that it was used for, in milliseconds: a connection that was cut when the certificate had been
 * recorded has used it up, and nobody has the certificate. A workload asks again within its time limit and its longest pause (`RENEWAL_TIMEOUT_MS`, `RETRY`).
 */
export const REPEAT_MS = 300_000;

export interface NewToken extends Omit<StoredToken, 'hash' | 'usedFor'> {
  /** To be handed over once: it is not kept. */
  readonly token: string;
}

export interface ParsedToken {
  readonly id: string;
  readonly secret: string;
  /** SHA-256 of the root's certificate (DER), hex. */
  readonly rootHash: string;
}

/** Undefined where the text is no join token. */
export function parseJoinToken(text: string): ParsedToken | undefined {
  const [, id, secret, rootHash] = (text.length <= 128 && TOKEN.exec(text)) || [];
  return id === undefined || secret === undefined || rootHash === undefined ? undefined : { id, secret, rootHash };
}

const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest();

/** Tokens that let a workload join: each is good for one certificate, and ends. Kept in the authority's folder. */
export class JoinTokens {
  readonly #file: TokenFile;

  constructor(
    private readonly authority: CertificateAuthority,
    private readonly clock: Pick<Clock, 'wallTime'>,
  ) {
    this.#file = new TokenFile(join(authority.directory, 'tokens.json'));
  }

  /** `spiffeId`: of this trust domain; `…/*`: whoever joins names one below it. */
  async create(spiffeId: string, lifetimeMs = DEFAULT_TOKEN_MS): Promise<NewToken> {
    const { trustDomain } = spiffeId.endsWith('/*')
      ? parseSpiffeId(spiffeId.slice(0, -2), 'spiffeId')
      : parseWorkloadId(spiffeId, 'spiffeId');
    if (trustDomain !== this.authority.trustDomain)
      throw new CaError('bad_request', `${spiffeId} is not of the trust domain ${this.authority.trustDomain}`);
    if (!(lifetimeMs > 0 && lifetimeMs <= MAX_TOKEN_MS))
      throw new CaError('bad_request', 'a join token lives for 30 days at most');
    const root = this.#root();
    const now = this.clock.wallTime();
    const id = randomBytes(6).toString('hex');
    const secret = randomBytes(32).toString('base64url');
    const kept = { id, spiffeId, createdAt: now, expiresAt: now + lifetimeMs, usedAt: undefined };
    await this.#change(async (tokens, turn) => {
      if (tokens.length >= MAX_TOKENS)
        throw new CaError('too_many', `there are ${MAX_TOKENS} join tokens: remove some`);
      turn.audit({ event: 'token-made', token: id, spiffeId, expires: new Date(kept.expiresAt).toISOString() });
      return [...tokens, { ...kept, hash: sha256(secret).toString('hex') }];
    });
    return { ...kept, token: `${id}.${secret}.${sha256(root.raw).toString('hex')}` };
  }

  /** Those that have not ended; the used ones as well, until then. */
  async list(): Promise<readonly StoredToken[]> {
    return this.#alive(await this.#file.read());
  }

  async remove(id: string): Promise<void> {
    await this.#change(async (tokens, turn) => {
      if (!tokens.some((token) => token.id === id)) throw new CaError('not_found', `there is no join token ${id}`);
      turn.audit({ event: 'token-removed', token: id });
      return tokens.filter((token) => token.id !== id);
    });
  }

  attestor(): Attestor {
    return {
      name: 'join-token',
      // 256 bits of chance, and the file is read only where it was changed.
      unguessable: true,
      attest: async ({ token: text }) => {
        const parsed = text === undefined ? undefined : parseJoinToken(text);
        if (parsed === undefined) return undefined;
        const { id, spiffeId } = await this.#verified(parsed);
        const below = spiffeId.endsWith('/*') ? spiffeId.slice(0, -1) : undefined;
        const by = `token ${id}`;
        /** Serial numbers that it was good for before; undefined: it had not been used when that was looked at. */
        let earlier: readonly string[] | undefined;
        return {
          by,
          spiffeId: below === undefined ? spiffeId : undefined,
          allows: (wanted) => (below === undefined ? wanted === spiffeId : wanted.startsWith(below)),
          checkKey: async (wanted, publicKey) => {
            const used = this.#good(await this.#file.read(), id, useOf(wanted, publicKey)).usedAt !== undefined;
            earlier = used ? await this.#serialsOf(by) : undefined;
          },
          meanwhile: async (turn, wanted, publicKey) => {
            // Somebody else may have been faster, here or in another process; or it was taken back, or has ended.
            const tokens = await this.#file.newest();
            const used = { usedAt: this.clock.wallTime(), usedFor: useOf(wanted, publicKey) };
            const again = this.#good(tokens, id, used.usedFor).usedAt !== undefined;
            if (again && earlier === undefined)
              throw new CaError('unavailable', 'the same request is under way: ask again', UNDER_WAY_MS);
            // Whoever was revoked may not come back by what he joined with.
            if (earlier?.some((serial) => turn.isRevoked(serial))) throw refused();
            turn.audit({ event: 'token-used', token: id, ...(again && { detail: 'again, for the same key' }) });
            if (again) return;
            await this.#file.write(tokens.map((token) => (token.id === id ? { ...token, ...used } : token)));
          },
        };
      },
    };
  }

  /** One message for all: which part was wrong helps only who guesses. */
  async #verified({ id, secret }: ParsedToken): Promise<StoredToken> {
    const found = (await this.#file.read()).find((token) => token.id === id);
    // The same work for one that is not there.
    const hash = Buffer.from(found?.hash ?? '0'.repeat(64), 'hex');
    const same = timingSafeEqual(hash, sha256(secret));
    if (!same || found === undefined || !isGood(found, this.clock.wallTime())) throw refused();
    return found;
  }

  /** The token, where it is good for this use. Throws otherwise. */
  #good(tokens: readonly StoredToken[], id: string, use: string): StoredToken {
    const found = tokens.find((token) => token.id === id);
    if (found === undefined || !isGood(found, this.clock.wallTime())) throw refused();
    if (found.usedAt !== undefined && found.usedFor !== use) throw refused();
    return found;
  }

  async #serialsOf(by: string): Promise<readonly string[]> {
    const serials: string[] = [];
    for await (const record of this.authority.issued()) if (record.by === by) serials.push(record.serial);
    return serials;
  }

  #alive(tokens: readonly StoredToken[]): readonly StoredToken[] {
    const now = this.clock.wallTime();
    return tokens.filter(({ expiresAt }) => expiresAt > now);
  }

  #root(): X509Certificate {
    const root = this.authority.signingRoot;
    if (root === undefined) throw new CaError('unavailable', 'the authority has no root yet');
    return new X509Certificate(root);
  }

  async #change(
    work: (
      tokens: readonly StoredToken[],
      turn: Parameters<Parameters<CertificateAuthority['noted']>[0]>[0],
    ) => Promise<readonly StoredToken[]>,
  ): Promise<void> {
    await this.authority.noted(async (turn) =>
      this.#file.write(await work(this.#alive(await this.#file.newest()), turn)),
    );
  }
}

const refused = (): CaError =>
  new CaError('unauthenticated', 'the join token is not good, was used before, or has ended');

/** Of one that was used, for whom is not looked at. */
const isGood = ({ usedAt, usedFor, expiresAt }: StoredToken, now: number): boolean =>
  expiresAt > now && (usedAt === undefined || (usedFor !== undefined && Math.abs(now - usedAt) < REPEAT_MS));

const useOf = (spiffeId: string, publicKey: Uint8Array): string =>
  createHash('sha256').update(spiffeId).update('\0').update(publicKey).digest('hex');
