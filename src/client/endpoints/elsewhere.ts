import type { Clock } from '../../core/clock.js';
import type { Call } from '../../core/call.js';
import type { MeshError } from '../../core/errors.js';
import type { Reply } from '../../core/reply.js';
import type { Elsewhere } from './accounting.js';
import { setOff } from './carry.js';
import type { Endpoint } from './endpoint.js';
import type { Level } from './level.js';

/**
 * How many endpoints of a level an attempt tries that are known to be unreachable, when there are no others: enough to find one that has just come
 * back, few enough that calls to a cluster that is down are not a storm of connections.
 */
const LAST_RESORTS = 3;

/** What the search needs of the cluster. */
export interface Surroundings {
  /** By priority, as they are now: an update may replace them. */
  levels(): readonly Level[];
  readonly clock: Clock;
  send(endpoint: Endpoint, elsewhere: Elsewhere): Promise<Reply>;
  /** Monotonic milliseconds from which on no endpoint is tried that is known to be unreachable: a call waits for one of them, not for each. */
  readonly until: number;
}

/**
 * Takes an attempt that never left to the other endpoints, each at most once. "the picker only picks READY subchannels": gRPC never gives a call to an
 * endpoint that it is not connected to, so one that cannot be reached fails no call while another can (gRFC A6 calls what never left the client
 * a transparent retry: it counts neither as an attempt nor against the budget). We connect on demand, and make up for it here.
 */
export class Search {
  readonly #failed = new Set<Endpoint>();
  /** Keys of those that failed and are still the balancer's to choose: busy ones, or reached since. */
  readonly #avoid: string[] = [];
  readonly #resorts = new Map<Level, number>();

  constructor(private readonly around: Surroundings) {}

  /** The endpoint could not be had. */
  readonly elsewhere: Elsewhere = (call, endpoint, error) => {
    this.#failed.add(endpoint);
    if (endpoint.reach !== 'unreachable') this.#avoid.push(endpoint.key);
    const { clock } = this.around;
    // What is left is less than what the last one would have been told.
    const late = setOff(call, clock);
    if (late !== undefined) return giveUp(call, late);
    const now = clock.now();
    const next = this.#usable(call, now) ?? this.#lastResort(now);
    return next === undefined ? giveUp(call, error) : this.around.send(next, this.elsewhere);
  };

  #usable(call: Call, now: number): Endpoint | undefined {
    const levels = this.around.levels();
    for (const level of levels) {
      if (levels.length > 1 && !level.usable(now)) {
        level.look(call, this.around.clock);
        continue;
      }
      const endpoint = this.#other(level, call);
      if (endpoint === undefined) continue;
      level.taken(now);
      return endpoint;
    }
    return undefined;
  }

  /** The balancer's choice among those that have not failed; those that earlier attempts went to are better than none. */
  #other(level: Level, { tried, hash, affinity, subset, headers }: Call): Endpoint | undefined {
    let earlier = tried ?? [];
    for (;;) {
      const picked = level.pickUsable({ tried: [...this.#avoid, ...earlier], hash, affinity, subset, headers });
      if (picked === undefined || !this.#failed.has(picked)) return picked;
      if (!this.#avoid.includes(picked.key)) this.#avoid.push(picked.key);
      else if (earlier.length > 0) earlier = [];
      else return undefined;
    }
  }

  #lastResort(now: number): Endpoint | undefined {
    if (now >= this.around.until) return undefined;
    for (const level of this.around.levels()) {
      const resorts = this.#resorts.get(level) ?? 0;
      const endpoint = resorts < LAST_RESORTS ? level.lastResort(this.#failed) : undefined;
      if (endpoint === undefined) continue;
      this.#resorts.set(level, resorts + 1);
      return endpoint;
    }
    return undefined;
  }
}

/** For a call that only one endpoint will do for. */
export const nowhereElse: Elsewhere = (call, _endpoint, error) => giveUp(call, error);

function giveUp(call: Call, error: MeshError): Promise<Reply> {
  call.record.raise(error.flag);
  return Promise.reject(error);
}
