import type { Clock } from '../core/clock.js';
import { IdentityError, type IdentityTrouble, type MeshError } from '../core/errors.js';
import type { IdentitySource, X509Identity } from '../core/identity.js';
import { LastingTrouble } from '../core/lasting-trouble.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';

/**
 * Shares of a certificate's lifetime after which its owner is told that no new one has come. Sources renew at half of it, cert-manager at two thirds: who hears of
 * the first level has a third of the lifetime left at least to mend it. Past the last it has expired.
 */
export const EXPIRY_LEVELS = [0.7, 0.8, 0.9, 1] as const;
/** From this level on it is an error, before that a warning. */
const ERROR_FROM = 0.9;
/** How often the clocks are looked at, in milliseconds: timers do not see a wall clock that is set. */
const LOOK_MS = 60_000;
/** How bad it is: what is worse is logged at once, whatever was logged before. */
const WEIGHT: Readonly<Record<IdentityTrouble, number>> = { unavailable: 0, refused: 1, revoked: 2 };
/** What is logged of it: while there is nothing from before, and where that stays in use. */
const MESSAGES: Readonly<Record<'none' | 'kept', Readonly<Record<IdentityTrouble, string>>>> = {
  none: {
    unavailable: 'there is no identity yet: none can be had so far',
    refused: 'there is no identity: it is refused',
    revoked: 'there is no identity: it is refused',
  },
  kept: {
    unavailable: 'identity cannot be renewed; what was known before stays in use',
    refused: 'a new certificate is refused; the one that there is stays in use until it ends',
    revoked: 'the certificate of this workload was revoked: others refuse it, and it is not renewed',
  },
};

/** While no renewal is due it is not the certificate that anything is the matter with. */
const NOT_HEARD =
  'the source of the identity is not heard of; the certificate is good, and who is trusted or revoked is as it was';
/** Until when none is due, as a share of the lifetime; sources begin at half of it, ± 1 %. */
const NOT_DUE = 0.49;

interface ObserveEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: Meter;
}

/** Tells of a source's certificates: that there is a new one, that none can be had, and, long before it expires, that one is getting old. Until the result is called. */
export function observeIdentity(source: IdentitySource, env: ObserveEnv): () => void {
  const observer = new Observer(source, env);
  return () => observer.stop();
}

class Observer {
  #identity: X509Identity | undefined;
  #renewals = 0;
  #failures = 0;
  /** Levels of the present certificate that were told. */
  #told = 0;
  /** There was a first state, be it one without a certificate. */
  #known = false;
  /** The last trouble; undefined: none since the last state. */
  #trouble: MeshError | undefined;
  readonly #lasting: LastingTrouble;
  /** It was logged that the source is not heard of: that it is again, is logged at the same level. */
  #isLost = false;
  #cancelTimer: (() => void) | undefined;
  readonly #ends: (() => void)[];

  constructor(
    private readonly source: IdentitySource,
    private readonly env: ObserveEnv,
  ) {
    this.#lasting = new LastingTrouble(env.clock);
    const labels = { 'mesh.identity.source': source.name };
    const gauge = (name: string, read: () => number): (() => void) => env.meter.gauge(name, labels, read);
    this.#ends = [
      // Linkerd's names, once dots are underscores. A gauge without a number is left out.
      gauge('identity.cert.expiration.timestamp.seconds', () => (this.#identity?.notAfter ?? Number.NaN) / 1000),
      gauge('identity.cert.refresh.count', () => this.#renewals),
      gauge('identity.cert.refresh.failures', () => this.#failures),
      source.watch({ changed: ({ identity }) => this.#changed(identity), failed: (error) => this.#failed(error) }),
    ];
  }

  stop(): void {
    this.#cancelTimer?.();
    for (const end of this.#ends) end();
  }

  #changed(identity: X509Identity | undefined): void {
    // Whoever is refused is told whom to trust all the same.
    if (this.#trouble === undefined || weightOf(this.#trouble) === 0) this.#lasting.over();
    if (this.#isLost)
      this.env.logger.warn('the source of the identity is heard of again', { source: this.source.name });
    this.#isLost = false;
    this.#trouble = undefined;
    this.#known = true;
    // Only whom it trusts has changed.
    if (identity?.certificates[0] === this.#identity?.certificates[0]) return;
    this.#lasting.over();
    this.#identity = identity;
    this.#told = 0;
    if (identity === undefined) return;
    this.#renewals++;
    const { spiffeId, notAfter } = identity;
    this.env.meter.event({
      kind: 'identity:rotate',
      source: this.source.name,
      spiffeId,
      notAfter,
    });
    this.#look();
  }

  #failed(error: MeshError): void {
    this.#trouble = error;
    this.#failures++;
    const { meter, logger } = this.env;
    const source = this.source.name;
    const reason = reasonOf(error);
    const kept = this.#known;
    meter.event({ kind: 'identity:failed', source, reason, kept, detail: error.message });
    if (!this.#lasting.isToTell(WEIGHT[reason])) return;
    const isGood = reason === 'unavailable' && this.#identity !== undefined && this.#used(this.#identity) < NOT_DUE;
    const message = isGood ? NOT_HEARD : MESSAGES[kept ? 'kept' : 'none'][reason];
    const notAfter = this.#identity && new Date(this.#identity.notAfter).toISOString();
    const fields = { source, problem: error.message, ...(notAfter !== undefined && { notAfter }) };
    this.#isLost = reason === 'unavailable';
    if (this.#isLost) logger.warn(message, fields);
    else logger.error(message, fields);
  }

  #look(): void {
    this.#cancelTimer?.();
    const identity = this.#identity;
    if (identity === undefined) return;
    const { clock } = this.env;
    const lifetime = identity.notAfter - identity.notBefore;
    const used = this.#used(identity);
    const reached = EXPIRY_LEVELS.filter((level) => used >= level);
    if (reached.length > this.#told) this.#tell(identity, reached.at(-1) as number);
    this.#told = reached.length;
    // A wall clock that is set back makes none of it untrue, and what was told is told again when the time comes.
    const next = EXPIRY_LEVELS[reached.length];
    if (next === undefined) return;
    const delay = Math.min((next - used) * lifetime, LOOK_MS);
    this.#cancelTimer = clock.after(delay, () => this.#look(), { background: true });
  }

  /** Share of its lifetime that has passed. */
  #used({ notBefore, notAfter }: X509Identity): number {
    return notAfter > notBefore ? (this.env.clock.wallTime() - notBefore) / (notAfter - notBefore) : 1;
  }

  #tell({ spiffeId, notAfter }: X509Identity, level: number): void {
    const { clock, logger, meter } = this.env;
    const detail = this.#trouble?.message ?? `identity source "${this.source.name}" has not given a new one`;
    const expiresInMs = notAfter - clock.wallTime();
    meter.event({
      kind: 'identity:expiring',
      source: this.source.name,
      spiffeId,
      used: level,
      expiresInMs,
      detail,
    });
    const report = level >= ERROR_FROM ? logger.error.bind(logger) : logger.warn.bind(logger);
    report(expiresInMs > 0 ? 'the certificate is getting old and no new one has come' : 'the certificate has expired', {
      source: this.source.name,
      spiffeId,
      notAfter: new Date(notAfter).toISOString(),
      usedPercent: Math.round(level * 100),
      problem: detail,
    });
  }
}

const reasonOf = (error: MeshError): IdentityTrouble => (error instanceof IdentityError ? error.reason : 'unavailable');
const weightOf = (error: MeshError): number => WEIGHT[reasonOf(error)];
