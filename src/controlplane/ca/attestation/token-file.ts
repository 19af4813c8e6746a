import { stat } from 'node:fs/promises';
import { CaError } from '../errors.js';
import { readIfThere, writeAtomically } from '../store/files.js';

/** A token as it is kept: what it opens, and the hash of its secret. */
export interface StoredToken {
  readonly id: string;
  /** SHA-256 of the secret, hex. The secret has 256 bits of chance: it needs no salt and no slow hash. */
  readonly hash: string;
  /** A SPIFFE ID, or one that ends in `/*`: whatever is below. */
  readonly spiffeId: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly usedAt: number | undefined;
  /** What it was used for: SHA-256 of the SPIFFE ID and the key that were certified, hex. Absent: it was not. */
  readonly usedFor?: string | undefined;
}

/** The file of the join tokens. Replaced as a whole, under the lock of the authority's folder. */
export class TokenFile {
  #known: { readonly version: string; readonly tokens: readonly StoredToken[] } | undefined;

  constructor(private readonly path: string) {}

  /** Parsed again where it was changed, by whichever process: whoever tries tokens has it looked up, and no more. */
  async read(): Promise<readonly StoredToken[]> {
    const version = await this.#version();
    if (version === undefined) return [];
    if (this.#known?.version !== version) this.#known = { version, tokens: await this.newest() };
    return this.#known.tokens;
  }

  /** As it is on the disk: what is decided under the lock is decided by it. */
  async newest(): Promise<readonly StoredToken[]> {
    const text = await readIfThere(this.path);
    if (text === undefined) return [];
    try {
      const tokens: unknown = JSON.parse(text);
      if (Array.isArray(tokens)) return tokens as StoredToken[];
    } catch {
      // Told below.
    }
    throw new CaError('state', `${this.path} is damaged: remove it, and make tokens anew`);
  }

  async write(tokens: readonly StoredToken[]): Promise<void> {
    await writeAtomically(this.path, `${JSON.stringify(tokens)}\n`);
  }

  /** Another one for each file that took this one's place; undefined: there is none. */
  async #version(): Promise<string | undefined> {
    try {
      const { ino, mtimeNs, size } = await stat(this.path, { bigint: true });
      return `${ino} ${mtimeNs} ${size}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}
