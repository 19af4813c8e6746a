import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { FaultConfig, FaultGuard } from '../../core/model/fault.js';
import { Guard } from './guard.js';

export type ExperimentConfig = NonNullable<FaultConfig['experiment']>;

/** Who is told of experiments. */
export interface ExperimentEnv {
  readonly meter: Pick<Meter, 'event'>;
  readonly logger: Logger;
}

/** Experiments that a mesh remembers. Beyond that the one that stopped first is forgotten; where all run, another one does not begin. */
export const MAX_EXPERIMENTS = 1_000;

/**
 * Faults for a time, under guard. It stops once, for good: by its time, or when a guard is crossed. Then its faults cease at once, those under way too.
 * No timer: it looks at the clock whenever a request comes by.
 */
export class Experiment {
  /** Monotonic milliseconds. */
  readonly #startedAt: number;
  #config: ExperimentConfig;
  #guards: readonly Guard[];
  #stopped = false;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly policy: string,
    config: ExperimentConfig,
    now: number,
  ) {
    this.#startedAt = now;
    this.#config = config;
    this.#guards = config.guards.map((guard) => new Guard(guard));
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Monotonic milliseconds at which its time is over. */
  get endsAt(): number {
    return this.#startedAt + this.#config.durationMs;
  }

  /** The same text, configured anew: guards that stay as they are keep what they have seen. It does not begin again. */
  configure(config: ExperimentConfig, env: ExperimentEnv): void {
    if (config === this.#config) return;
    if (this.#stopped && !isSame(config, this.#config)) {
      env.logger.warn(`experiment "${this.policy}" has changed and stays stopped; ${AGAIN}`);
    }
    this.#config = config;
    const left = [...this.#guards];
    this.#guards = config.guards.map((guard) => {
      const same = left.findIndex((known) => isSame(known.config, guard));
      return same < 0 ? new Guard(guard) : (left.splice(same, 1)[0] as Guard);
    });
  }

  /** Whether its faults befall requests now. */
  running(now: number, env: ExperimentEnv): boolean {
    if (!this.#stopped && now >= this.endsAt) {
      this.#stop('time', env);
      env.logger.info(`experiment "${this.policy}" stopped: its time is over; ${AGAIN}`);
    }
    return !this.#stopped;
  }

  /** A request of one of its routes has ended, whether a fault befell it or not. */
  ended(success: boolean, durationMs: number, now: number, env: ExperimentEnv): void {
    if (!this.running(now, env)) return;
    let crossed: Guard | undefined;
    for (const guard of this.#guards) if (guard.ended(success, durationMs, now)) crossed ??= guard;
    if (crossed === undefined) return;
    this.#stop(crossed.config.kind, env);
    env.logger.warn(`experiment "${this.policy}" stopped: ${crossed.found(now)}; ${AGAIN}`);
  }

  /** `listener` runs once, when it is stopped. The result takes it back. */
  onStop(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #stop(reason: FaultGuard['kind'] | 'time', { meter }: ExperimentEnv): void {
    this.#stopped = true;
    meter.event({ kind: 'experiment:stopped', policy: this.policy, reason });
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

/** By `FaultPolicy.spec.experiment.run`; over xDS it is part of `id`. */
const AGAIN = 'change "run" to start it again';

const isSame = (a: FaultGuard | ExperimentConfig, b: FaultGuard | ExperimentConfig): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

/** Those of one mesh, by their text. They outlive the configuration that names them: what has stopped does not begin again when it is read again. */
export class Experiments {
  readonly #known = new Map<string, Experiment>();

  get size(): number {
    return this.#known.size;
  }

  /** Undefined: there is no room for another. */
  take(
    policy: string,
    config: ExperimentConfig,
    clock: Pick<Clock, 'now'>,
    env: ExperimentEnv,
  ): Experiment | undefined {
    const known = this.#known.get(config.id);
    if (known !== undefined) {
      known.configure(config, env);
      return known;
    }
    const now = clock.now();
    if (this.#known.size >= MAX_EXPERIMENTS && !this.#forgetOne(now)) return undefined;
    const made = new Experiment(policy, config, now);
    this.#known.set(config.id, made);
    return made;
  }

  #forgetOne(now: number): boolean {
    for (const [id, experiment] of this.#known) {
      if (!experiment.stopped && now < experiment.endsAt) continue;
      this.#known.delete(id);
      return true;
    }
    return false;
  }
}
