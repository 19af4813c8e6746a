import type { Call } from '../../core/call.js';
import { type Clock, keepAlive } from '../../core/clock.js';
import { MeshError } from '../../core/errors.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import type { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import { NoEndpointError } from './errors.js';
import type { UnderWay } from './under-way.js';
import { keepingBody } from './unread-body.js';
import { mayMove, neverLeft } from './unsent.js';

/** Least time between two calls of a room that look whether they can be served though nothing has changed, in milliseconds. */
const LOOK_AGAIN_MS = 100;

export interface WaitingRoomEnv {
  readonly clock: Clock;
  /** Whose `max_pending_requests` bounds the room. */
  readonly limits: Pick<CircuitLimits, 'tryWait' | 'waited' | 'overflow'>;
  readonly underWay: UnderWay;
  /** Monotonic milliseconds at which a call may find served what was not, though nothing is heard of; Infinity: only by news. */
  lookAgainAt(): number;
}

/**
 * gRPC's wait_for_ready: a call that could not be sent, as there was nobody to send it to or nobody could be reached, waits until that changes, or
 * its time is up ("RPCs SHOULD be queued until ... the channel becomes READY" - grpc/doc/wait-for-ready.md). News let all go on; while there are none,
 * one at a time looks whether an endpoint is back, at the pace of the endpoints' back-off.
 */
export class WaitingRoom {
  /** Those who wait, the one who came first first. */
  readonly #waiting = new Set<() => void>();
  #news = 0;
  #stopTimer: (() => void) | undefined;

  constructor(private readonly env: WaitingRoomEnv) {}

  /** `attempt` is made again as often as the call may go on. */
  serve(call: Call, attempt: Service): Promise<Reply> {
    return keepingBody(call, () => this.#try(call, attempt));
  }

  /** Something has changed. */
  news(): void {
    this.#news++;
    for (const wake of [...this.#waiting]) wake();
  }

  async #try(call: Call, attempt: Service): Promise<Reply> {
    const { limits } = this.env;
    let waiting = false;
    for (;;) {
      const heard = this.#news;
      const attempted = attempt(call);
      // Not before: until it counts as a request, the place is what keeps the cluster.
      if (waiting) limits.waited(call.priority);
      waiting = false;
      try {
        return await attempted;
      } catch (error) {
        if (!mayWait(call, error)) throw error;
      } finally {
        this.#schedule();
      }
      if (heard !== this.#news) continue;
      if (!limits.tryWait(call.priority)) throw limits.overflow(call.priority);
      waiting = true;
      await this.#wait(call);
      const given = call.cancellation.reason;
      if (given === undefined) continue;
      // It was given up in the turn in which it may go on.
      limits.waited(call.priority);
      throw given;
    }
  }

  /** Rejects, and gives its place back, when the call is given up. */
  #wait(call: Call): Promise<void> {
    const { clock, limits, underWay } = this.env;
    const waiting = new Promise<void>((resolve, reject) => {
      const place = underWay.begin(call);
      const leave = (): void => {
        this.#waiting.delete(wake);
        if (this.#waiting.size === 0) this.#stop();
        underWay.end(place);
        call.cancellation.remove(cancelled);
      };
      const wake = (): void => {
        leave();
        resolve();
      };
      const cancelled = (reason: Error): void => {
        leave();
        limits.waited(call.priority);
        reject(reason);
      };
      this.#waiting.add(wake);
      call.cancellation.add(cancelled);
    });
    this.#schedule();
    return keepAlive(clock, waiting);
  }

  #schedule(): void {
    this.#stop();
    if (this.#waiting.size === 0) return;
    const at = this.env.lookAgainAt();
    if (at === Number.POSITIVE_INFINITY) return;
    const { clock } = this.env;
    this.#stopTimer = clock.after(Math.max(LOOK_AGAIN_MS, at - clock.now()), () => {
      const [first] = this.#waiting;
      first?.();
    });
  }

  #stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }
}

/** Nobody to send it to, or nobody who could be reached. Not when it was refused, dropped or given up. */
function mayWait(call: Call, error: unknown): boolean {
  if (!(error instanceof MeshError) || !mayMove(call)) return false;
  return error instanceof NoEndpointError || neverLeft(error);
}
