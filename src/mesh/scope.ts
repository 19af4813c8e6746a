import { setMaxListeners } from 'node:events';
import { type Ambient, ambient, derivedAmbient, withAmbient } from '../core/ambient.js';
import type { Clock } from '../core/clock.js';
import { callersContext } from '../core/context.js';
import { shown } from '../core/decode.js';
import type { Deadlines } from '../core/deadlines.js';
import type { MeshError } from '../core/errors.js';
import { DeadlineExceededError } from '../resilience/deadline/errors.js';
import { workDeadline } from '../resilience/deadline/reserve.js';

/** What an application says about the work that it does for a request, where the request's own rules do not fit. */
export interface Scope {
  /**
   * Runs `work` without the deadline of the request being served, and regardless of whether its caller is still there: for what has to be done all the same,
   * after the answer perhaps. Calls keep the request's trace and priority.
   */
  detach<T>(work: () => T): T;
  /**
   * Runs `work` with `ms` milliseconds for it and for all that it calls, together. Only narrows: what is left to the request, or to a `withDeadline` around
   * this one, stays the limit where it is less.
   */
  withDeadline<T>(ms: number, work: () => T): T;
  /**
   * For work that is no call of the mesh (a query, a computation in steps): fires when the caller of the request being served goes away, or the time for
   * it is up, `withDeadline` included; the reason is a MeshError. Not any more once the request has been answered. Never outside of a request. The same one
   * however often it is asked for.
   */
  signal(): AbortSignal;
}

interface ScopeEnv {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly reserveMs?: number | undefined;
}

export function createScope({ clock, deadlines, reserveMs }: ScopeEnv): Scope {
  const signals = new WeakMap<Ambient, AbortSignal>();
  return {
    detach: (work) => withAmbient(derivedAmbient(DETACHED), work),
    withDeadline: (ms, work) => {
      if (typeof ms !== 'number' || !(ms > 0))
        throw new TypeError(`withDeadline(ms, work): ms must be a number above 0, got ${shown(ms)}`);
      const narrowedTo = Math.min(ambient()?.narrowedTo ?? Number.POSITIVE_INFINITY, clock.now() + ms);
      return withAmbient(derivedAmbient({ narrowedTo }), work);
    },
    signal: () => {
      const context = ambient();
      if (context === undefined) return new AbortController().signal;
      let signal = signals.get(context);
      if (signal === undefined) {
        signal = signalOf(context, workDeadline(context, reserveMs), deadlines);
        signals.set(context, signal);
      }
      return signal;
    },
  };
}

/** Fires at `until`, or when the context is cancelled. What it listens to is let go of when nothing can come any more. */
function signalOf({ cancellation, lifetime }: Ambient, until: number, deadlines: Deadlines): AbortSignal {
  const controller = new AbortController();
  const { signal } = controller;
  // Many calls may share it, and it does not outlive them.
  setMaxListeners(0, signal);
  // Those who listen are told in the context of the request, not in that of a timer.
  const context = callersContext();
  const fire = (reason: MeshError): void => {
    stop();
    context.runInAsyncScope(controller.abort, controller, reason);
  };
  const expired = (): void => fire(new DeadlineExceededError('the time for the request being served is up', 'maybe'));
  const entry = until === Number.POSITIVE_INFINITY ? undefined : deadlines.watch(until, expired);
  const stop = (): void => {
    entry?.stop();
    cancellation?.remove(fire);
    lifetime?.offOver(stop);
  };
  cancellation?.add(fire);
  if (!signal.aborted) lifetime?.onOver(stop);
  return signal;
}

const DETACHED: Partial<Ambient> = {
  deadline: Number.POSITIVE_INFINITY,
  allowedMs: undefined,
  narrowedTo: undefined,
  cancellation: undefined,
  lifetime: undefined,
};
