import { Destinations } from '../../../src/client/destinations.js';
import { ConnectError } from '../../../src/client/transport/errors.js';
import type { Call } from '../../../src/core/call.js';
import type { ConfigWatcher } from '../../../src/core/config-source.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { CancelledError } from '../../../src/core/errors.js';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import { type Random, seededRandom } from '../../../src/core/random.js';
import type { Reply } from '../../../src/core/reply.js';
import type { Transport, TransportOptions } from '../../../src/core/transport.js';
import { hash64 } from '../../support/balancing.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aForward, aRoute, aTarget } from '../../support/targets.js';
import { EventClock } from './event-clock.js';

/** What a backend does with a call: answers after so many milliseconds, or cannot be reached. */
export type Answer =
  | { readonly afterMs: number; readonly status?: number; readonly headers?: Record<string, string> }
  | 'refused';

/** What became of one call. */
export interface Outcome {
  readonly startedAt: number;
  readonly tookMs: number;
  readonly ok: boolean;
}

/** One attempt, when it reached its backend. */
export interface Arrival {
  readonly endpoint: string;
  readonly at: number;
}

/**
 * Who keeps the limit: the mesh by its deadline; the caller, who gives up (an AbortSignal, a cancelled gRPC call); or nobody: the reply comes late and
 * counts as failed. Default the mesh.
 */
export type LimitBy = 'deadline' | 'caller' | 'nobody';

export interface SimulationOptions {
  readonly cluster: ClusterConfig;
  /** Calls under way at the backend, this one included, are in `inflight`. */
  readonly backend: (endpoint: string, now: number, random: Random, inflight: number) => Answer;
  /** Limit of a whole call, in milliseconds. */
  readonly timeoutMs: number;
  readonly limitBy?: LimitBy | undefined;
  readonly seed: number;
}

/** Longer than any backend takes. */
const DRAIN_MS = 10_000;

/**
 * A whole client, from deadline and route to accounting, in virtual time: real but for the sockets, and the same for the same seed. Calls are tried once, so
 * that what is seen is the balancer's doing and not retry's.
 */
export class Simulation {
  readonly clock = new EventClock();
  readonly outcomes: Outcome[] = [];
  readonly arrivals: Arrival[] = [];
  readonly #destinations: Destinations;
  readonly #random: Random;
  readonly #inflight = new Map<string, number>();
  #watcher: ConfigWatcher | undefined;
  #cluster: ClusterConfig;

  constructor(private readonly options: SimulationOptions) {
    this.#cluster = options.cluster;
    this.#random = seededRandom(options.seed);
    const connect = (transport: TransportOptions): Transport => this.#transport(transport.endpoint.key);
    const { clock } = this;
    const env = {
      ...memoryEnv().env,
      clock,
      deadlines: new Deadlines(clock),
      random: seededRandom(options.seed + 1),
      hash64,
      transports: { http1: connect, http2: connect },
    };
    const watch = (_: string, watcher: ConfigWatcher): (() => void) => {
      this.#watcher = watcher;
      this.configure(this.#cluster);
      return () => {};
    };
    this.#destinations = new Destinations({ watch }, env, { policy: () => 'deny', resolve: async () => [] });
  }

  /** The control plane has something new to say of the cluster. */
  configure(cluster: ClusterConfig): void {
    this.#cluster = cluster;
    const { limitBy = 'deadline', timeoutMs } = this.options;
    const retry = { on: new Set<never>(), statusCodes: new Set<number>(), maxRetries: 0, perTryTimeoutMs: undefined };
    const action = aForward(
      { [cluster.name]: 1 },
      {
        timeoutMs: limitBy === 'deadline' ? timeoutMs : 0,
        retry: { ...retry, baseMs: 25, maxMs: 250, regardlessOfMethod: false },
      },
    );
    this.#watcher?.changed(aTarget([aRoute({ action })], [cluster]));
  }

  /** Calls at `perSecond`, at random and not in step, until `untilMs`; then those under way end. */
  async load(perSecond: number, untilMs: number): Promise<void> {
    const { clock } = this;
    const next = (): void => {
      if (clock.now() >= untilMs) return;
      this.#call();
      clock.after((-Math.log(1 - this.#random.next()) * 1_000) / perSecond, next);
    };
    clock.after(0, next);
    await clock.run(untilMs);
    await clock.run(untilMs + DRAIN_MS);
  }

  close(): Promise<void> {
    return this.#destinations.close();
  }

  #call(): void {
    const startedAt = this.clock.now();
    const ended = (ok: boolean): void => {
      this.outcomes.push({ startedAt, tookMs: this.clock.now() - startedAt, ok });
    };
    const call = aCall();
    const { limitBy, timeoutMs } = this.options;
    if (limitBy === 'caller')
      this.clock.after(timeoutMs, () => call.cancellation.cancel(new CancelledError('gave up')));
    this.#destinations.service(call).then(
      (reply) => ended(reply.status < 500 && this.clock.now() - startedAt <= timeoutMs),
      () => ended(false),
    );
  }

  #transport(endpoint: string): Transport {
    return {
      connections: 1,
      call: (call) => this.#answer(endpoint, call),
      connect: () => this.#connect(endpoint),
      close: async () => {},
    };
  }

  #connect(endpoint: string): Promise<void> {
    const answer = this.options.backend(endpoint, this.clock.now(), this.#random, this.#inflight.get(endpoint) ?? 0);
    return answer === 'refused' ? Promise.reject(new ConnectError(endpoint, 'refused')) : Promise.resolve();
  }

  #answer(endpoint: string, call: Call): Promise<Reply> {
    const inflight = (this.#inflight.get(endpoint) ?? 0) + 1;
    const answer = this.options.backend(endpoint, this.clock.now(), this.#random, inflight);
    if (answer === 'refused') return Promise.reject(new ConnectError(endpoint, 'refused'));
    this.arrivals.push({ endpoint, at: this.clock.now() });
    this.#inflight.set(endpoint, inflight);
    return new Promise((resolve, reject) => {
      call.cancellation.add(reject);
      // A caller who gives up does not make the backend do so.
      this.clock.after(answer.afterMs, () => {
        this.#inflight.set(endpoint, (this.#inflight.get(endpoint) as number) - 1);
        resolve(aReply(answer.status ?? 200, answer.headers));
      });
    });
  }
}

/** The value that this share of them do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
