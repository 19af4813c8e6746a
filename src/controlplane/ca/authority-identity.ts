import { createPublicKey } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource, X509Identity } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import { sourceOf, Watchers } from '../../identity/watchers.js';
import type { CertificateAuthority } from './authority.js';
import { DEFAULT_ALGORITHM, type KeyAlgorithm, newKey } from './x509/algorithms.js';

export interface AuthorityIdentityOptions {
  readonly spiffeId: string;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  readonly algorithm?: KeyAlgorithm;
  /** Default: the authority's. */
  readonly lifetimeMs?: number | undefined;
  /** For the records. */
  readonly by: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Share of the lifetime that passes before it is renewed, and how much chance there is about it (Istio's grace period ratio and its jitter). */
const RENEWAL = 0.5;
const RENEWAL_JITTER = 0.01;
/** When renewing failed: again after this, doubling, up to the limit; milliseconds. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/**
 * An identity that whoever holds the authority gives to itself: its own key, never written down, under the authority's signature. Trust and lists are the authority's, at once when
 * they change; a certificate that was revoked, or whose root is gone, is replaced at once as well.
 */
export class AuthorityIdentity {
  readonly source: IdentitySource;
  readonly #watchers: Watchers;
  #identity: X509Identity | undefined;
  #serial: string | undefined;
  #cancelTimer: (() => void) | undefined;
  #renewing: Promise<void> | undefined;
  #failures = 0;
  readonly #unwatch: () => void;

  constructor(
    private readonly authority: CertificateAuthority,
    private readonly options: AuthorityIdentityOptions,
  ) {
    this.#watchers = new Watchers(`ca ${authority.directory}`);
    this.source = sourceOf(this.#watchers, () => this.#close());
    this.#unwatch = authority.watch(() => this.#news());
    this.#renew();
  }

  #news(): void {
    if (this.#identity === undefined) return;
    this.#publish();
    if (this.#serial !== undefined && this.authority.isRevoked(this.#serial)) this.#renew();
  }

  #publish(): void {
    const { trust, news } = this.authority;
    this.#watchers.changed({ identity: this.#identity, trust, crls: news.crls });
  }

  #renew(): void {
    this.#renewing ??= this.#obtain().then(
      () => {
        this.#renewing = undefined;
      },
      (error: unknown) => {
        this.#renewing = undefined;
        this.#failed(error);
      },
    );
  }

  async #obtain(): Promise<void> {
    const { spiffeId, dns = [], ips = [], algorithm = DEFAULT_ALGORITHM, lifetimeMs, by, clock, random } = this.options;
    const privateKey = await newKey(algorithm);
    const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    const issued = await this.authority.issue({ spiffeId, publicKey, dns, ips, lifetimeMs, by });
    if (this.#watchers.closed) return;
    const { certificates, notBefore, notAfter, serial } = issued;
    this.#failures = 0;
    this.#serial = serial;
    this.#identity = { spiffeId, certificates, privateKey, notBefore, notAfter };
    this.#publish();
    const share = RENEWAL * (1 + RENEWAL_JITTER * (2 * random.next() - 1));
    this.#plan(Math.max(0, notBefore + (notAfter - notBefore) * share - clock.wallTime()));
  }

  #failed(error: unknown): void {
    if (this.#watchers.closed) return;
    const { spiffeId, logger } = this.options;
    logger.warn('no certificate could be issued', { spiffeId, error: String(error) });
    this.#watchers.failed(new IdentityError(`${this.source.name}: ${(error as Error).message}`, { cause: error }));
    this.#plan(Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** this.#failures++));
  }

  #plan(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.options.clock.after(delayMs, () => this.#renew(), { background: true });
  }

  async #close(): Promise<void> {
    this.#unwatch();
    await this.#renewing;
    this.#cancelTimer?.();
  }
}
