import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import type { CertificateAuthority } from './authority.js';
import type { CaRefusal } from './errors.js';
import type { SigningQueue } from './service/queue.js';
import { activeOf } from './upkeep.js';

/** What the authority offers to be read; docs/telemetry.md has a row for each. What are counters are sums that only grow, as of other parts of the mesh that are read. */
export const CA_GAUGES = {
  issued: 'mesh.ca.certificates.issued',
  refused: 'mesh.ca.certificates.refused',
  waiting: 'mesh.ca.queue.waiting',
  longestWait: 'mesh.ca.queue.longest_wait.seconds',
  served: 'mesh.ca.queue.served',
  waited: 'mesh.ca.queue.waited.seconds',
  rootEnds: 'mesh.ca.root.expiration.timestamp.seconds',
  intermediateEnds: 'mesh.ca.intermediate.expiration.timestamp.seconds',
  revoked: 'mesh.ca.revoked',
  recordFailures: 'mesh.ca.record.failures',
} as const;

/** Who attested somebody that nobody attested. */
const NOBODY = 'none';
/** Combinations of attestor and reason that are counted; an application has some attestors, and there are seven reasons. */
const MAX_SERIES = 100;

/** Counts what an authority does, and tells of it. Attestors and reasons are few, whoever asks. */
export class CaMetrics {
  readonly #counts = new Map<string, { value: number }>();
  readonly #ends: (() => void)[] = [];

  constructor(
    private readonly meter: Meter,
    authority: CertificateAuthority,
    queue: SigningQueue,
    clock: Pick<Clock, 'now'>,
  ) {
    const gauge = (name: string, read: () => number): void => void this.#ends.push(meter.gauge(name, {}, read));
    // A gauge without a number is left out: who signs in the authority's place has told no root yet, or has an intermediate of his own.
    const seconds = (at: number | undefined): number => (at ?? Number.NaN) / 1_000;
    gauge(CA_GAUGES.waiting, () => queue.waiting);
    gauge(CA_GAUGES.longestWait, () => queue.longestWaitMs(clock.now()) / 1_000);
    gauge(CA_GAUGES.served, () => queue.served);
    gauge(CA_GAUGES.waited, () => queue.waitedMs / 1_000);
    gauge(CA_GAUGES.rootEnds, () => {
      const { roots } = authority.state;
      const active = activeOf(authority.state);
      return seconds((roots.find(({ id }) => id === active?.root) ?? roots[0])?.notAfter);
    });
    gauge(CA_GAUGES.intermediateEnds, () => seconds(activeOf(authority.state)?.notAfter));
    gauge(CA_GAUGES.revoked, () => authority.state.revoked.length);
    gauge(CA_GAUGES.recordFailures, () => authority.recordFailures);
  }

  issued(attestor: string, spiffeId: string, serial: string, notAfter: number): void {
    this.#count(CA_GAUGES.issued, { 'mesh.ca.attestor': attestor });
    this.meter.event({ kind: 'ca:issued', attestor, spiffeId, serial, notAfter });
  }

  /** `attestor` undefined: nobody knows the kind of evidence. */
  refused(attestor: string | undefined, reason: CaRefusal): void {
    this.#count(CA_GAUGES.refused, { 'mesh.ca.attestor': attestor ?? NOBODY, 'mesh.ca.reason': reason });
    this.meter.event({ kind: 'ca:refused', attestor: attestor ?? NOBODY, reason });
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  #count(name: string, labels: Readonly<Record<string, string>>): void {
    const key = [name, ...Object.values(labels)].join('\0');
    let count = this.#counts.get(key);
    if (count === undefined) {
      if (this.#counts.size >= MAX_SERIES) return;
      const made = { value: 0 };
      count = made;
      this.#counts.set(key, made);
      this.#ends.push(this.meter.gauge(name, labels, () => made.value));
    }
    count.value++;
  }
}
