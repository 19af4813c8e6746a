import type { Call } from '../../core/call.js';
import { classifyError, classifyReply } from '../../core/classify.js';
import { MeshError } from '../../core/errors.js';
import type { BreakerConfig } from '../../core/model/breaker.js';
import type { Reply } from '../../core/reply.js';
import type { Filter, Service } from '../../core/service.js';
import { Breaker, type BreakerEnv } from './breaker.js';
import { loadOpossum } from './circuit.js';

/** The breaker of a destination, made when opossum is there: the first calls to the first destination of the process that has one wait for that. */
export class DestinationBreaker {
  /** Undefined until it is loaded. */
  breaker: Breaker | undefined;
  #loading: Promise<Breaker> | undefined;

  constructor(
    private config: BreakerConfig,
    private readonly env: BreakerEnv,
  ) {}

  update(config: BreakerConfig): void {
    if (JSON.stringify(config) === JSON.stringify(this.config)) return;
    this.config = config;
    this.breaker?.update(config);
  }

  load(): Promise<Breaker> {
    this.#loading ??= loadOpossum().then((Class) => {
      this.breaker = new Breaker(Class, this.config, this.env);
      return this.breaker;
    });
    return this.#loading;
  }

  /** Whether a call would be refused. */
  refuses(now: number): boolean {
    return this.breaker?.refuses(now) ?? false;
  }
}

/**
 * Asks the breaker before each attempt, and tells it how the attempt ended. What is refused is no failure of an endpoint, nor tried again: it would meet the
 * same (`origin: mesh`).
 */
export const breaking = (destination: DestinationBreaker | undefined): Filter | undefined =>
  destination === undefined
    ? undefined
    : (next) => (call) => {
        const { breaker } = destination;
        if (breaker !== undefined) return guard(breaker, next, call);
        return destination.load().then((made) => guard(made, next, call));
      };

function guard(breaker: Breaker, next: Service, call: Call): Promise<Reply> {
  const epoch = breaker.admit();
  if (epoch === undefined) return Promise.reject(breaker.refusal());
  return next(call).then(
    (reply) => {
      reply.onEnd((end) => breaker.report(epoch, classifyReply(call, reply, end)));
      return reply;
    },
    (error: unknown) => {
      breaker.report(epoch, error instanceof MeshError ? classifyError(error) : 'ignored');
      throw error;
    },
  );
}
