import { AsyncLocalStorage } from 'node:async_hooks';
import type { Cancellation } from './cancellation.js';

/** What a request brought with it, for the calls made while it is served. Set by `server/`, read by the client's stack. */
export interface Ambient {
  /** Monotonic milliseconds after which the caller no longer waits; Infinity for none. */
  readonly deadline: number;
  /** Fired when the caller went away. */
  readonly cancellation: Cancellation | undefined;
  /** W3C headers as they came, already validated. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly baggage: string | undefined;
  /** The request is itself a repetition, or was made for one: what is called for it is not tried again (core/retry-mark.ts). Absent: it is none. */
  readonly retried?: boolean | undefined;
}

const storage = new AsyncLocalStorage<Ambient>();
let used = false;

/** The request being served, or undefined outside of one. Costs nothing until a server has been set up. */
export const ambient = (): Ambient | undefined => (used ? storage.getStore() : undefined);

/** Runs `serve` with `context` for it and for all that it starts. */
export function withAmbient<T>(context: Ambient, serve: () => T): T {
  used = true;
  return storage.run(context, serve);
}
