import type { Call, Priority } from '../../core/call.js';
import type { Service } from '../../core/service.js';
import type { Fallback } from '../../resilience/fallback/fallback.js';

/** What a route sends calls to: a cluster, or an aggregate of some. */
export interface Upstream {
  /** Name for statistics and logs. */
  readonly statName: string;
  /** Retries under way at once. `budgeted`: by a budget of their own, in place of `budget`. */
  readonly limits: {
    tryRetry(priority: Priority | undefined): boolean;
    retryDone(priority: Priority | undefined): void;
    readonly budgeted: boolean;
  };
  /** Shared by all calls to it; an update may replace it. */
  readonly budget: { deposit(): void; tryWithdraw(): boolean; refund(withdrawnAt: number): void };
  /** Whether the call may go to an endpoint whose key is not among these, as things are. */
  others(tried: readonly string[], call: Call): boolean;
  /** Whether the hash of a call says where it goes. */
  readonly hashes: boolean;
  /** What stands in when there is no answer. An update may replace it. */
  readonly fallback: Fallback | undefined;
  /** Has the mesh end the call when it closes, though no attempt of it is under way. The result lets go of it. */
  hold(call: Call): () => void;
  /** Settled when the connections that it wants ahead of calls are open, or cannot be had for now. */
  warmed(): Promise<unknown>;
  /** One attempt. An update may replace it: look it up for each. */
  readonly service: Service;
}
