import type { Trust } from '../../core/identity.js';
import { fingerprint, readCertificates } from '../../identity/certificate.js';
import { parseWorkloadId } from '../../identity/spiffe-id.js';
import { Caretaker } from './caretaker.js';
import { MIN_LEAF_MS } from './constants.js';
import { CaError } from './errors.js';
import { Journal } from './journal.js';
import { openedState } from './opening.js';
import { mustBeFree } from './retiring.js';
import { type Named, namedBy, tellerOf } from './revoking.js';
import { type AuthorityOptions, type AuthoritySettings, authoritySettings } from './settings.js';
import { signed, signsElsewhere } from './signing.js';
import type { AuditEvent } from './store/audit.js';
import { CaFolder, type Turn } from './store/folder.js';
import type { IssuedRecord } from './store/issued.js';
import { type CaState, isRevokedIn, keepingEnded, keptFrom, type Revoked } from './store/state.js';
import { activeOf, beginRotation, nextStep, type Upkeep, upkept, withCrls } from './upkeep.js';
import { backdated } from './x509/certificates.js';
import type { RevocationReason } from './x509/crl.js';

/** What a certificate is asked for. Whoever calls has attested it. */
export interface IssueRequest {
  readonly spiffeId: string;
  /** SubjectPublicKeyInfo, DER; its owner has proved to have the key. */
  readonly publicKey: Uint8Array;
  /** PEM; a signer of somebody else's wants it. */
  readonly csr?: string | undefined;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  /** Default: `leafMs`. More than `maxLeafMs` is cut to it. */
  readonly lifetimeMs?: number | undefined;
  /** How its owner was attested, for the records: `token 3f…`, `mtls`, `cli`. */
  readonly by: string;
  /** Told of together with the certificate, or not at all. Rejecting withholds it. */
  readonly meanwhile?: (turn: Turn) => Promise<void>;
}

export interface IssuedCertificate extends IssuedRecord {
  /** PEM, leaf first, without the root. */
  readonly certificates: readonly [string, ...string[]];
}

/** What everybody is to know of the authority. */
export interface AuthorityNews {
  readonly trustDomain: string;
  /** PEM. */
  readonly roots: readonly string[];
  /** PEM, one for each that signs. */
  readonly crls: readonly string[];
}

/**
 * A certificate authority over a folder: makes its root and intermediate at the first start, or signs with what it is given; issues, records, revokes, rotates.
 * Whom it issues to is decided elsewhere (`attestation/`).
 */
export class CertificateAuthority {
  readonly #settings: AuthoritySettings;
  readonly #folder: CaFolder;
  readonly #journal: Journal;
  readonly #caretaker: Caretaker;
  readonly #listeners = new Set<(news: AuthorityNews) => void>();
  #news: { readonly state: CaState; readonly news: AuthorityNews } | undefined;
  #closing: Promise<void> | undefined;

  private constructor(settings: AuthoritySettings) {
    this.#settings = settings;
    const { directory, clock, logger } = settings;
    this.#folder = new CaFolder(directory, clock, logger, () => this.#changed());
    this.#journal = new Journal(this.#folder);
    this.#caretaker = new Caretaker(this.#folder, settings, (turn) => this.#tools(turn));
  }

  /** Opens the folder, and makes what is missing in it. Two that do so at once, in one process or two, get the same authority. */
  static async open(options: AuthorityOptions): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(authoritySettings(options));
    try {
      await authority.#open();
    } catch (error) {
      await authority.close();
      throw error;
    }
    return authority;
  }

  get directory(): string {
    return this.#settings.directory;
  }

  get trustDomain(): string {
    return this.#folder.state.trustDomain;
  }

  get state(): CaState {
    return this.#folder.state;
  }

  /** Times that something could not be recorded, and so was not done. */
  get recordFailures(): number {
    return this.#folder.recordFailures;
  }

  get news(): AuthorityNews {
    const { state } = this.#folder;
    if (this.#news?.state !== state) {
      const { trustDomain, roots, crls, signerCrls = [] } = state;
      const news = {
        trustDomain,
        roots: roots.map(({ certificate }) => certificate),
        crls: [...crls.map(({ pem }) => pem), ...signerCrls],
      };
      this.#news = { state, news };
    }
    return this.#news.news;
  }

  /** Certificates that ended no earlier may be renewed still, wall-clock milliseconds; infinite: none that has ended. What ended before it was allowed may have been revoked, and nobody knows. */
  get endedFrom(): number {
    const { clock, renewalAfterExpiryMs } = this.#settings;
    if (renewalAfterExpiryMs === 0) return Number.POSITIVE_INFINITY;
    return Math.max(clock.wallTime() - renewalAfterExpiryMs, this.state.endedKept?.since ?? Number.POSITIVE_INFINITY);
  }

  /** The root that what is issued now ends in, PEM. Undefined: a plug-in signs, and has not told yet. */
  get signingRoot(): string | undefined {
    const { roots } = this.#folder.state;
    const active = activeOf(this.#folder.state);
    return (roots.find(({ id }) => id === active?.root) ?? roots[0])?.certificate;
  }

  /** Whether what an intermediate signed ends in the root that what is issued now ends in; false while the root is being replaced, of those under the old one. */
  signsUnderRootOf(intermediate: string): boolean {
    const { state } = this;
    return state.intermediates.find(({ id }) => id === intermediate)?.root === activeOf(state)?.root;
  }

  get trust(): Trust {
    return { kind: 'spiffe', bundles: new Map([[this.trustDomain, this.news.roots]]) };
  }

  /** Tells of the present news at once and of each change after it, those that other processes make included, until the result is called. */
  watch(listener: (news: AuthorityNews) => void): () => void {
    const own = (news: AuthorityNews): void => listener(news);
    this.#listeners.add(own);
    own(this.news);
    return () => void this.#listeners.delete(own);
  }

  /** Certifies a key. Resolves when it is recorded. */
  async issue(request: IssueRequest): Promise<IssuedCertificate> {
    this.#mustBeOpen();
    const { clock, leafMs, maxLeafMs } = this.#settings;
    const { spiffeId, publicKey, csr, dns = [], ips = [], by } = request;
    const { trustDomain } = parseWorkloadId(spiffeId, 'spiffeId');
    if (trustDomain !== this.trustDomain)
      throw new CaError('forbidden', `${spiffeId} is not of this authority's trust domain, ${this.trustDomain}`);
    const lifetime = Math.max(MIN_LEAF_MS, Math.min(request.lifetimeMs ?? leafMs, maxLeafMs));
    const now = clock.wallTime();
    // Whole seconds are what a certificate can say; it is not to end before it is over.
    const wanted = { notBefore: backdated(now, lifetime), notAfter: Math.ceil((now + lifetime) / 1_000) * 1_000 };
    const asked = { spiffeId, dns, ips, csr, publicKey, ...wanted };
    const { certificates, issuer } = await signed(asked, this.#folder, this.#settings);
    const { der, serialNumber, notBefore, notAfter } = readCertificates(certificates[0])[0];
    const record: IssuedRecord = {
      serial: serialNumber.toLowerCase(),
      spiffeId,
      fingerprint: fingerprint(der),
      issuer,
      notBefore,
      notAfter,
      at: now,
      by,
    };
    await this.#journal.record(record, request.meanwhile);
    return { ...record, certificates };
  }

  /** Writes down that somebody was refused. */
  refused(detail: Omit<AuditEvent, 'event'>): Promise<void> {
    return this.#journal.audit({ event: 'refuse', ...detail });
  }

  /** Something else for the records, alone in its turn. */
  async noted(work: (turn: Turn) => Promise<void>): Promise<void> {
    await this.#folder.change(async (state, turn) => {
      await work(turn);
      return state;
    });
  }

  /** Certificates that have not ended. */
  async *issued(): AsyncGenerator<IssuedRecord & { readonly revoked: Revoked | undefined }> {
    const revoked = new Map(this.state.revoked.map((entry) => [entry.serial, entry]));
    for await (const record of this.#folder.issuedLog.records(this.#settings.clock.wallTime()))
      yield { ...record, revoked: revoked.get(record.serial) };
  }

  /** Whether a certificate of this authority was revoked. */
  isRevoked(serial: string): boolean {
    return isRevokedIn(this.state, serial);
  }

  /**
   * Revokes by serial number, by fingerprint (SHA-256), or all that a SPIFFE ID has, and tells everybody. Resolves with those that were not revoked before; rejects where
   * there is none of that name that has not ended, and where a signer could not be told: ask again then; renewal is refused from the first time on.
   */
  async revoke(what: string, reason: RevocationReason = 'unspecified'): Promise<readonly Revoked[]> {
    this.#mustBeOpen();
    const { signer, clock } = this.#settings;
    const tell = signer === undefined ? undefined : tellerOf(signer);
    let named: Named = { all: [], added: [] };
    await this.#folder.change(async (state, turn) => {
      if (state === undefined) return state;
      // It would look done, and nobody would heed it.
      if (state.active === undefined && signer === undefined) throw signsElsewhere(this.directory);
      const now = clock.wallTime();
      named = await namedBy(what, reason, state, this.#folder.issuedLog.records(keptFrom(state, now)), now);
      const { added } = named;
      if (added.length === 0) return state;
      for (const { serial, spiffeId } of added) turn.audit({ event: 'revoke', serial, spiffeId, reason });
      const changed = new Set(added.map(({ issuer }) => issuer));
      return withCrls({ ...state, revoked: [...state.revoked, ...added] }, this.#tools(turn), changed);
    });
    if (tell !== undefined) {
      // Without the lock: a signer is as slow as it likes. All of them: the time before it may not have heard of some.
      for (const serial of named.all) await tell(serial, reason);
      await this.#caretaker.askSigner();
    }
    return named.added;
  }

  /**
   * Begins to rotate the root; the other steps come by themselves (docs: identity). `next`: takes the next step now; rejects where that would have certificates refused
   * that have not ended, unless `force` says so.
   */
  async rotateRoot(step: 'begin' | 'next' = 'begin', force = false): Promise<CaState['rotation']> {
    this.#mustBeOpen();
    await this.#folder.change(async (state, turn) => {
      if (state === undefined) return state;
      const tools = this.#tools(turn);
      if (step === 'begin') return upkept(await beginRotation(state, tools), tools);
      if (!force) await mustBeFree(state, this.#folder.issuedLog.records(tools.now));
      return upkept(await nextStep(state, tools, true), tools);
    });
    return this.state.rotation;
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#listeners.clear();
      await this.#caretaker.close();
      await this.#journal.close();
      await this.#folder.close();
      await this.#settings.signer?.close();
    })();
    return this.#closing;
  }

  async #open(): Promise<void> {
    await this.#folder.open();
    await this.#folder.change(async (state, turn) => {
      const tools = this.#tools(turn);
      const opened = await openedState(state, this.#settings, tools);
      return upkept(keepingEnded(opened, this.#settings.renewalAfterExpiryMs, tools.now), tools);
    });
    this.#folder.watch();
    await this.#caretaker.start();
  }

  #tools(turn: Turn): Upkeep {
    const { clock, rootMs, intermediateMs, distributeMs } = this.#settings;
    const now = clock.wallTime();
    const { keys, issuedLog } = this.#folder;
    return {
      now,
      keys,
      rootMs,
      intermediateMs,
      distributeMs,
      audit: turn.audit,
      async lastLeaf(intermediates) {
        let last = 0;
        for await (const { issuer, notAfter } of issuedLog.records(now))
          if (intermediates.has(issuer)) last = Math.max(last, notAfter);
        return last;
      },
    };
  }

  #changed(): void {
    if (this.#closing !== undefined) return;
    for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) listener(this.news);
    this.#caretaker.changed();
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw new CaError('unavailable', 'the authority is closed');
  }
}
