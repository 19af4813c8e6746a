import type { Call } from '../../core/call.js';
import type { Reply } from '../../core/reply.js';
import type { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import type { UnderWay } from './under-way.js';

export interface WaitingRoom {
  /** Whose `max_pending_requests` bounds the room. */
  readonly limits: CircuitLimits;
  readonly underWay: UnderWay;
  /** Where those who wait are called when something changed. */
  readonly bells: readonly Set<() => void>[];
  /** Whether the call may go on: there are endpoints, or there never will be. */
  open(): boolean;
}

/** "wait_for_ready": the call stays until the room opens, and goes on with `next`, or its deadline passes. */
export function waitFor(room: WaitingRoom, call: Call, next: () => Promise<Reply>): Promise<Reply> {
  const { limits, underWay, bells } = room;
  if (!limits.tryWait()) return Promise.reject(limits.overflow());
  return new Promise((resolve, reject) => {
    const place = underWay.begin(call);
    const leave = (): void => {
      for (const bell of bells) bell.delete(wake);
      underWay.end(place);
      call.cancellation.remove(cancelled);
      limits.waited();
    };
    const wake = (): void => {
      if (!room.open()) return;
      leave();
      resolve(next());
    };
    const cancelled = (reason: Error): void => {
      leave();
      reject(reason);
    };
    for (const bell of bells) bell.add(wake);
    call.cancellation.add(cancelled);
  });
}
