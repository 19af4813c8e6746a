import type { Meter } from '../../core/meter.js';
import type { EjectionType } from './ejection.js';

/** Outliers found so far, by what became of them. */
interface Count {
  enforced: number;
  /** Spared by chance: the enforcing share. */
  spared: number;
  /** Spared because enough were ejected already. */
  overflow: number;
}

/** Names of gRFC A91, with Envoy's kinds as detection methods, too. Each is described in docs/telemetry.md. */
export const EJECTIONS_ENFORCED = 'grpc.lb.outlier_detection.ejections_enforced';
export const EJECTIONS_UNENFORCED = 'grpc.lb.outlier_detection.ejections_unenforced';
/** Endpoints ejected now (Envoy `outlier_detection.ejections_active`). */
export const EJECTIONS_ACTIVE = 'mesh.cluster.ejections_active';

const METHOD = 'grpc.lb.outlier_detection.detection_method';
const REASON = 'grpc.lb.outlier_detection.unenforced_reason';

/** Counts of one cluster. They stay when its configuration changes; what is offered is what is configured. */
export class EjectionCounts {
  readonly #counts = new Map<EjectionType, Count>();
  #offered: (() => void)[] = [];

  constructor(
    private readonly meter: Pick<Meter, 'gauge'>,
    private readonly labels: Readonly<Record<string, string>>,
    private readonly active: () => number,
  ) {}

  of(type: EjectionType): Count {
    let count = this.#counts.get(type);
    if (count === undefined) {
      count = { enforced: 0, spared: 0, overflow: 0 };
      this.#counts.set(type, count);
    }
    return count;
  }

  /** Offers what these kinds count, in place of what was offered before. */
  offer(types: readonly EjectionType[]): void {
    this.withdraw();
    if (types.length > 0) this.#gauge(EJECTIONS_ACTIVE, {}, this.active);
    for (const type of types) {
      const count = this.of(type);
      this.#gauge(EJECTIONS_ENFORCED, { [METHOD]: type }, () => count.enforced);
      this.#gauge(EJECTIONS_UNENFORCED, { [METHOD]: type, [REASON]: 'enforcement_percentage' }, () => count.spared);
      this.#gauge(EJECTIONS_UNENFORCED, { [METHOD]: type, [REASON]: 'max_ejection_overflow' }, () => count.overflow);
    }
  }

  withdraw(): void {
    for (const stop of this.#offered.splice(0)) stop();
  }

  #gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number): void {
    this.#offered.push(this.meter.gauge(name, { ...this.labels, ...labels }, read));
  }
}
