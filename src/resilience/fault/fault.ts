import type { Call } from '../../core/call.js';
import type { Cancellation } from '../../core/cancellation.js';
import type { Clock } from '../../core/clock.js';
import type { MeshError } from '../../core/errors.js';
import { headerValue } from '../../core/headers.js';
import type { Logger } from '../../core/log.js';
import type { MeshEvent, Meter } from '../../core/meter.js';
import type { FaultConfig } from '../../core/model/fault.js';
import type { HeaderMatch } from '../../core/model/match.js';
import type { Random } from '../../core/random.js';
import type { FaultStatus } from './abort.js';
import {
  ABORT_PERCENTAGE,
  abortAskedFor,
  capped,
  DELAY,
  DELAY_PERCENTAGE,
  DOWNSTREAM_NODE,
  THROUGHPUT_PERCENTAGE,
  throughputAskedFor,
  wholeNumber,
} from './control.js';
import { befalls, drawDelay } from './draw.js';
import type { Experiment } from './experiment.js';
import { faultGauges } from './gauges.js';
import { activeFaults, experimentsOf } from './process.js';

/** What of a request faults look at: of one that leaves, or of one that came in. */
export type FaultRequest = Pick<Call, 'protocol' | 'scheme' | 'method' | 'path' | 'host' | 'headers'>;

export interface FaultEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  /** Told of experiments that stop. */
  readonly logger: Logger;
  /** Compiles header matches: whether a request fits any of them. */
  readonly headers: { ofRequest(matches: readonly HeaderMatch[]): (request: FaultRequest) => boolean };
  /** Name of the cluster that calls go to; undefined on a server. */
  readonly cluster?: string | undefined;
}

type Kind = Extract<MeshEvent, { readonly kind: 'fault' }>['fault'];

/** What befalls one request by one policy. It holds a place among the faults under way, until `end`. */
export interface Befallen {
  readonly delayMs: number;
  /** After the delay, in place of an answer. */
  readonly ending: 'reset' | FaultStatus | undefined;
  /** Of the reply's body. */
  readonly bytesPerSecond: number | undefined;
  readonly afterBytes: number | undefined;
}

/** One policy's faults, compiled. */
export class Fault {
  readonly experiment: Experiment | undefined;
  readonly #active;
  readonly #gauges;
  readonly #concerns: (request: FaultRequest) => boolean;
  /** False: there was no room for its experiment. */
  readonly #begun: boolean;

  constructor(
    private readonly config: FaultConfig,
    private readonly env: FaultEnv,
  ) {
    this.#active = activeFaults(env.clock);
    this.#gauges = faultGauges(env.meter);
    const { experiment, name } = config;
    this.experiment = experiment && experimentsOf(env.meter).take(name, experiment, env.clock, env);
    this.#begun = experiment === undefined || this.experiment !== undefined;
    this.#concerns = concerns(config, env);
  }

  get policy(): string {
    return this.config.name;
  }

  /** Whether there are faults now: there is no experiment, or it goes on. */
  get running(): boolean {
    const { experiment, env } = this;
    return experiment === undefined ? this.#begun : experiment.running(env.clock.now(), env);
  }

  /** Rolls the dice, for each kind of fault by itself ("using a different random number each time", gRFC A33). Undefined: nothing befalls the request. */
  befall(request: FaultRequest): Befallen | undefined {
    if (!this.running || !this.#concerns(request)) return undefined;
    const bytesPerSecond = this.#throttle(request);
    const afterBytes = this.#truncate();
    const delayMs = this.#delay(request);
    const ending = this.#ending(request);
    if (bytesPerSecond === undefined && afterBytes === undefined && delayMs === 0 && ending === undefined) {
      return undefined;
    }
    if (!this.#active.tryBegin(this.config.maxActive)) {
      this.tell('overflow');
      return undefined;
    }
    this.#gauges.begin(this.policy);
    if (delayMs > 0) this.tell('delay');
    return { delayMs, ending, bytesPerSecond, afterBytes };
  }

  /** Nothing of it is under way any more: once per befallen request. */
  end(): void {
    this.#active.end();
    this.#gauges.end(this.policy);
  }

  tell(fault: Kind): void {
    this.env.meter.event({ kind: 'fault', policy: this.policy, fault });
  }

  /** Runs `listener` once, when its experiment is stopped. The result takes it back. */
  onStop(listener: () => void): () => void {
    return this.experiment?.onStop(listener) ?? (() => {});
  }

  /** Resolves after `delayMs`, or when the experiment ends; rejects with the reason when the request is given up: its deadline, its caller, its mesh. */
  wait(delayMs: number, cancellation: Cancellation | undefined): Promise<void> {
    const { clock } = this.env;
    const left = this.experiment === undefined ? delayMs : Math.min(delayMs, this.experiment.endsAt - clock.now());
    return new Promise((resolve, reject) => {
      const over = (): void => {
        stop();
        forget();
        cancellation?.remove(cancelled);
      };
      const done = (): void => {
        over();
        resolve();
      };
      const cancelled = (reason: MeshError): void => {
        over();
        reject(reason);
      };
      const stop = clock.after(left, done);
      const forget = this.onStop(done);
      cancellation?.add(cancelled);
    });
  }

  #throttle({ headers }: FaultRequest): number | undefined {
    const { throttle } = this.config;
    if (throttle === undefined) return undefined;
    const fixed = throttle.kind === 'fixed';
    const bytesPerSecond = fixed ? throttle.bytesPerSecond : throughputAskedFor(headers);
    if (bytesPerSecond === undefined) return undefined;
    const share = fixed ? throttle.share : capped(throttle, headers, THROUGHPUT_PERCENTAGE);
    return befalls(share, this.env.random) ? bytesPerSecond : undefined;
  }

  #truncate(): number | undefined {
    const { truncate } = this.config;
    return truncate !== undefined && befalls(truncate.share, this.env.random) ? truncate.afterBytes : undefined;
  }

  #delay({ headers }: FaultRequest): number {
    const { delay } = this.config;
    const { random } = this.env;
    if (delay === undefined) return 0;
    if (delay.kind !== 'header') return befalls(delay.share, random) ? drawDelay(delay, random) : 0;
    const asked = wholeNumber(headers, DELAY) ?? 0;
    return asked > 0 && befalls(capped(delay, headers, DELAY_PERCENTAGE), random) ? asked : 0;
  }

  #ending({ headers }: FaultRequest): Befallen['ending'] {
    const { abort, reset } = this.config;
    const { random } = this.env;
    if (reset !== undefined && befalls(reset.share, random)) return 'reset';
    if (abort === undefined) return undefined;
    if (abort.kind !== 'header') {
      return befalls(abort.share, random) ? { kind: abort.kind, status: abort.status } : undefined;
    }
    const asked = abortAskedFor(headers);
    return asked !== undefined && befalls(capped(abort, headers, ABORT_PERCENTAGE), random) ? asked : undefined;
  }
}

/** Which requests a policy is about. */
function concerns(
  { headers, downstreamNodes, cluster }: FaultConfig,
  env: FaultEnv,
): (request: FaultRequest) => boolean {
  if (cluster !== undefined && cluster !== env.cluster) return () => false;
  const tests = headers.map((match) => env.headers.ofRequest([match]));
  if (downstreamNodes !== undefined && downstreamNodes.length > 0) {
    tests.push(({ headers: fields }) => {
      const node = headerValue(fields, DOWNSTREAM_NODE);
      return node !== undefined && downstreamNodes.includes(node);
    });
  }
  return (request) => tests.every((test) => test(request));
}
