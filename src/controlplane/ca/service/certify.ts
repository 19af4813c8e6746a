import type { Clock } from '../../../core/clock.js';
import { LastingTrouble } from '../../../core/lasting-trouble.js';
import type { Logger } from '../../../core/log.js';
import type { CertificateRequest, CertificateResponse } from '../../../identity/sources/ca-protocol.js';
import { attest } from '../attestation/attest.js';
import type { Attested, Attestor, Evidence } from '../attestation/attestor.js';
import { Guesses } from '../attestation/guesses.js';
import { Allowance } from './allowance.js';
import type { CertificateAuthority } from '../authority.js';
import { MAX_CSR_BYTES } from '../constants.js';
import { CaError, SignerError } from '../errors.js';
import { checkCsr } from '../x509/csr.js';
import type { CaMetrics } from '../metrics.js';
import type { SigningQueue } from './queue.js';

export interface CertifierOptions {
  readonly authority: CertificateAuthority;
  /** Asked in this order; the first that knows the kind of evidence decides. */
  readonly attestors: readonly Attestor[];
  readonly queue: SigningQueue;
  /** Default: nobody counts. */
  readonly metrics?: CaMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is known by now of whoever asks. Written as it is found out. */
interface Who {
  /** Name of who knows his kind of evidence. */
  attestor: string | undefined;
  attested: Attested | undefined;
}

/** What is between a request and the authority: who asks, whether it is his turn, and what he may be called. */
export class Certifier {
  readonly #options: CertifierOptions;
  readonly #guesses: Guesses;
  readonly #strangers: Allowance;
  readonly #signerTrouble: LastingTrouble;

  constructor(options: CertifierOptions) {
    this.#options = options;
    this.#guesses = new Guesses(options.clock);
    this.#strangers = new Allowance(options.clock);
    this.#signerTrouble = new LastingTrouble(options.clock);
  }

  /** `address`: of the caller, without its port. Rejects with a CaError. */
  async certify(request: CertificateRequest, evidence: Evidence, address: string): Promise<CertificateResponse> {
    const waitMs = this.#guesses.waitFor(address);
    const who: Who = { attestor: undefined, attested: undefined };
    try {
      const known = await this.#attest(who, evidence, address, waitMs);
      if (request.csr.length > MAX_CSR_BYTES)
        throw new CaError('bad_request', `a CSR has ${MAX_CSR_BYTES} bytes at most`);
      return await this.#options.queue.run(known.spiffeId ?? known.by, () => this.#issue(request, known, who));
    } catch (error) {
      if (error instanceof CaError) await this.#refused(error, who, address);
      throw error;
    }
  }

  /** `waitMs`: for how long an address is not asked for what may be guessed. What cannot is let in then as well: many share an address, and one of them may try a stale token. */
  async #attest(who: Who, evidence: Evidence, address: string, waitMs: number): Promise<Attested> {
    const { attestors } = this.#options;
    const asked = waitMs > 0 ? attestors.filter(({ unguessable }) => unguessable) : attestors;
    const found = await attest(asked, evidence, this.#options);
    who.attestor = found.by?.name;
    if ('attested' in found) {
      who.attested = found.attested;
      return found.attested;
    }
    const { by, refusal } = found;
    if (by === undefined && waitMs > 0)
      throw new CaError('too_many', 'too many requests of this address were refused', waitMs);
    const guess = refusal.reason === 'unauthenticated' || refusal.reason === 'forbidden';
    if (guess && !by?.unguessable) this.#guesses.refused(address);
    throw refusal;
  }

  /** The names of a CSR are wishes: its SPIFFE ID must be one that attestation allows, and other names are not given. */
  async #issue(
    { csr: pem, validitySeconds }: CertificateRequest,
    attested: Attested,
    { attestor = '' }: Who,
  ): Promise<CertificateResponse> {
    const { authority, metrics } = this.#options;
    const csr = checkCsr(pem);
    if (csr.uris.length > 1) throw new CaError('bad_request', 'the CSR asks for several URIs: an SVID has exactly one');
    const spiffeId = csr.uris[0] ?? attested.spiffeId;
    if (spiffeId === undefined)
      throw new CaError(
        'bad_request',
        'this token is good for several identities: name one in the CSR (a URI in subjectAltName)',
      );
    if (!attested.allows(spiffeId))
      throw new CaError('forbidden', 'the identity that the CSR asks for is not the one that was attested');
    await attested.checkKey?.(spiffeId, csr.publicKey);
    const { certificates, serial, notAfter } = await authority
      .issue({
        spiffeId,
        publicKey: csr.publicKey,
        csr: pem,
        lifetimeMs: validitySeconds > 0 ? validitySeconds * 1_000 : undefined,
        by: attested.by,
        ...(attested.meanwhile && {
          meanwhile: (turn) => attested.meanwhile?.(turn, spiffeId, csr.publicKey) ?? Promise.resolve(),
        }),
      })
      .catch((error: unknown) => this.#signerFailed(error));
    this.#signerTrouble.over();
    metrics?.issued(attestor, spiffeId, serial, notAfter);
    const root = authority.signingRoot;
    return { chain: root === undefined ? certificates : [...certificates, root] };
  }

  /** What is wrong with the signer is for our log, and not for those who wait for it. */
  #signerFailed(error: unknown): never {
    if (!(error instanceof SignerError)) throw error;
    const { logger } = this.#options;
    const log = this.#signerTrouble.isToTell() ? logger.error : logger.debug;
    log('the signer of the CA certifies nothing', { error: error.message });
    throw new CaError('unavailable', 'the authority cannot certify now: ask again', error.retryAfterMs);
  }

  /** Whoever is turned away because there is no room has done nothing wrong. */
  async #refused(
    { reason, message: detail, cause }: CaError,
    { attestor, attested }: Who,
    address: string,
  ): Promise<void> {
    this.#options.metrics?.refused(attestor, reason);
    if (reason === 'too_many' || reason === 'unavailable') return;
    const omitted = attested === undefined ? this.#strangers.next() : 0;
    if (omitted === undefined) return;
    const { authority, logger } = this.#options;
    const event = { address, reason, detail, by: attested?.by, ...(omitted > 0 && { omitted }) };
    // Why exactly is for us alone: it may say how far a forger got.
    const why = reason === 'unauthenticated' && cause !== undefined ? { cause: String(cause) } : {};
    logger.warn('a certificate was refused', { ...event, ...why });
    await authority
      .refused(event)
      .catch((problem: unknown) =>
        logger.error('the audit log of the CA cannot be written', { error: String(problem) }),
      );
  }
}
