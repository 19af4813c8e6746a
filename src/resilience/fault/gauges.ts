import type { Meter } from '../../core/meter.js';

/** Faults under way in one mesh, by policy; described in docs/telemetry.md. */
export const FAULTS_ACTIVE = 'mesh.faults.active';

/** Policies that can be read at once. Of more, which only updates of the configuration bring about, those go that came first and have nothing under way. */
const MAX_POLICIES = 1_000;

interface UnderWay {
  count: number;
  readonly stop: () => void;
}

/** Offers the gauge of each policy from its first fault on. */
class FaultGauges {
  readonly #byPolicy = new Map<string, UnderWay>();

  constructor(private readonly meter: Pick<Meter, 'gauge'>) {}

  begin(policy: string): void {
    const known = this.#byPolicy.get(policy) ?? this.#offer(policy);
    known.count++;
  }

  /** Once per `begin`. */
  end(policy: string): void {
    const known = this.#byPolicy.get(policy);
    if (known !== undefined) known.count--;
  }

  #offer(policy: string): UnderWay {
    if (this.#byPolicy.size >= MAX_POLICIES) this.#forgetOne();
    const made: UnderWay = {
      count: 0,
      stop: this.meter.gauge(FAULTS_ACTIVE, { 'mesh.fault.policy': policy }, () => made.count),
    };
    this.#byPolicy.set(policy, made);
    return made;
  }

  #forgetOne(): void {
    for (const [policy, { count, stop }] of this.#byPolicy) {
      if (count > 0) continue;
      stop();
      this.#byPolicy.delete(policy);
      return;
    }
  }
}

const meshes = new WeakMap<object, FaultGauges>();

/** Those of the mesh whose meter it is. */
export function faultGauges(meter: Pick<Meter, 'gauge'>): FaultGauges {
  let known = meshes.get(meter);
  if (known === undefined) {
    known = new FaultGauges(meter);
    meshes.set(meter, known);
  }
  return known;
}
