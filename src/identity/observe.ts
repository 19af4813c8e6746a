import type { Clock } from '../core/clock.js';
import type { MeshError } from '../core/errors.js';
import type { IdentitySource, X509Identity } from '../core/identity.js';
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
/** The same trouble is logged once, then every so often while it lasts, in milliseconds. */
const REPEAT_MS = 300_000;

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
  /** The last trouble, and when it was logged; undefined: none since the last state. */
  #trouble: MeshError | undefined;
  #logged: { readonly message: string; readonly at: number } | undefined;
  #cancelTimer: (() => void) | undefined;
  readonly #ends: (() => void)[];

  constructor(
    private readonly source: IdentitySource,
    private readonly env: ObserveEnv,
  ) {
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
    this.#trouble = undefined;
    this.#logged = undefined;
    // Only whom it trusts has changed.
    if (identity?.certificates[0] === this.#identity?.certificates[0]) return;
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
    const now = this.env.clock.now();
    this.env.meter.event({
      kind: 'identity:failed',
      source: this.source.name,
      detail: error.message,
    });
    if (this.#logged?.message === error.message && now - this.#logged.at < REPEAT_MS) return;
    this.#logged = { message: error.message, at: now };
    this.env.logger.warn('identity cannot be renewed; what was known before stays in use', {
      source: this.source.name,
      problem: error.message,
    });
  }

  #look(): void {
    this.#cancelTimer?.();
    const identity = this.#identity;
    if (identity === undefined) return;
    const { clock } = this.env;
    const lifetime = identity.notAfter - identity.notBefore;
    const used = lifetime > 0 ? (clock.wallTime() - identity.notBefore) / lifetime : 1;
    const reached = EXPIRY_LEVELS.filter((level) => used >= level);
    if (reached.length > this.#told) this.#tell(identity, reached.at(-1) as number);
    this.#told = reached.length;
    // A wall clock that is set back makes none of it untrue, and what was told is told again when the time comes.
    const next = EXPIRY_LEVELS[reached.length];
    if (next === undefined) return;
    const delay = Math.min((next - used) * lifetime, LOOK_MS);
    this.#cancelTimer = clock.after(delay, () => this.#look(), { background: true });
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
