import { type FaultStatus, grpcAbortStatus, httpAbortStatus } from '../resilience/fault/abort.js';
import { type Fate, FaultInjector } from '../resilience/fault/injector.js';
import type { FaultEnv } from '../resilience/fault/fault.js';
import type { FaultConfig } from '../core/model/fault.js';
import type { Clock } from '../core/clock.js';
import type { InboundContext } from './context.js';
import type { Gate, Passage } from './gate.js';
import { NOBODY_WAITS, type Refusal } from './refusal.js';

/** Makes requests go wrong on purpose, before their handlers run: a delay, a status in place of an answer, a cut connection. */
export class FaultsGate implements Gate {
  readonly #injector: FaultInjector;
  readonly #clock: Clock;
  readonly #seen = new WeakSet<InboundContext>();
  /** Whose connection was cut: nobody else knows that from one whose caller left. */
  readonly #cut = new WeakSet<InboundContext>();

  constructor(configs: readonly FaultConfig[], env: FaultEnv) {
    this.#injector = new FaultInjector(configs, env);
    this.#clock = env.clock;
  }

  refusal(context: InboundContext): Passage | Promise<Passage> {
    const { view } = context;
    if (view === undefined || this.#seen.has(context)) return undefined;
    this.#seen.add(context);
    if (this.#injector.measures) this.#measure(context);
    const fate = this.#injector.meet(view, context.cancellation);
    const met = (known: Fate | undefined): Passage => {
      const passage = struck(known);
      if (passage?.reset === true) this.#cut.add(context);
      return passage;
    };
    if (!(fate instanceof Promise)) return met(fate);
    return fate.then(met, () => NOBODY_WAITS);
  }

  /** Experiments are told how requests end, whether something befell them or not. */
  #measure(context: InboundContext): void {
    const startedAt = this.#clock.now();
    context.onOver(() => {
      // Of those who left while a fault held them up the injector has seen itself.
      const left = context.cancellation.cancelled && !this.#cut.has(context);
      const success = !context.failed && !this.#cut.has(context);
      this.#injector.ended(left ? undefined : success, this.#clock.now() - startedAt);
    });
  }
}

/** Bodies of replies are the application's on a server: they come as it sends them, and faults of bodies are for those who call. */
const OF_BODIES = ['throttle', 'truncate'] as const;

/** The faults that a server sees to. `leave` is told of those that it leaves out. */
export function faultsOfServer(
  configs: readonly FaultConfig[],
  leave: (policy: string, faults: readonly string[]) => void,
): readonly FaultConfig[] {
  return configs.flatMap((config) => {
    const left = OF_BODIES.filter((fault) => config[fault] !== undefined);
    if (left.length === 0) return [config];
    leave(config.name, left);
    const { throttle: _, truncate: __, ...rest } = config;
    return [rest.delay, rest.abort, rest.reset].some((fault) => fault !== undefined) ? [rest] : [];
  });
}

function struck(fate: Fate | undefined): Passage {
  const ending = fate?.ending;
  if (ending === undefined) return undefined;
  if (ending instanceof Error) {
    const { code, flag, httpStatus, grpcStatus, message } = ending;
    return { status: httpStatus, grpcStatus, code, flag, message, reset: true };
  }
  return aborted(ending);
}

const aborted = (ending: FaultStatus): Refusal => ({
  status: httpAbortStatus(ending),
  grpcStatus: grpcAbortStatus(ending),
  code: 'FAULT_INJECTED',
  flag: 'FI',
  message: 'aborted on purpose (fault injection)',
});
