import { AsyncLocalStorage } from 'node:async_hooks';
import type { Priority } from './call.js';
import type { Cancellation } from './cancellation.js';
import type { PeerIdentity } from './identity.js';

/** What a request brought with it, for the calls made while it is served. Set by `server/`, read by the client's stack. */
export interface Ambient {
  /** Monotonic milliseconds after which the caller no longer waits; Infinity for none. */
  readonly deadline: number;
  /** Milliseconds that there were until `deadline` when the request came; a share of them is kept back from calls made for it. Absent: none is. */
  readonly allowedMs?: number | undefined;
  /** Monotonic milliseconds by which the application wants this work done (`mesh.withDeadline`); nothing of it is kept back. Absent: no such wish. */
  readonly narrowedTo?: number | undefined;
  /** Fired when the caller went away. */
  readonly cancellation: Cancellation | undefined;
  /** W3C headers as they came, already validated. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly baggage: string | undefined;
  /** How important the request is, and what is called for it. Absent: nobody said. */
  readonly priority?: Priority | undefined;
  /** Who is at the other end of the connection that the request came by, verified. Absent: nobody knows; or this context was derived, and `request` says. */
  readonly peer?: PeerIdentity | undefined;
  /** The context of the request itself, where this one was derived from it. Absent: this is it. */
  readonly request?: Ambient | undefined;
  /** For whom the request is made. Absent: nobody in particular. */
  readonly caller?: { readonly claims?: Claims | undefined } | undefined;
  /** Absent: nobody can tell when the request is over, or this work may go on after it. */
  readonly lifetime?: Lifetime | undefined;
  /** The request is itself a repetition, or was made for one: what is called for it is not tried again (core/retry-mark.ts). Absent: it is none. */
  readonly retried?: boolean | undefined;
}

/** How long a request is being served. */
export interface Lifetime {
  /** Runs `listener` once the request has been answered, or its caller is gone; at once if that is so already. */
  onOver(listener: () => void): void;
  offOver(listener: () => void): void;
}

const storage = new AsyncLocalStorage<Ambient>();
let used = false;

/** The request being served, or undefined outside of one. Costs nothing until a server has been set up. */
export const ambient = (): Ambient | undefined => (used ? storage.getStore() : undefined);

/** Who makes the request that is being served, by its certificate. */
export function ambientPeer(): PeerIdentity | undefined {
  const now = ambient();
  return (now?.request ?? now)?.peer;
}

/** Claims of a verified token, as its JSON has them. */
export type Claims = Readonly<Record<string, unknown>>;

/** What the verified token of the request that is being served says. */
export function ambientClaims(): Claims | undefined {
  const now = ambient();
  return (now?.request ?? now)?.caller?.claims;
}

/** Runs `serve` with `context` for it and for all that it starts. */
export function withAmbient<T>(context: Ambient, serve: () => T): T {
  used = true;
  return storage.run(context, serve);
}

/** The context of now with some of it changed, for work that is not under the same rules as the request that it is done for. */
export function derivedAmbient(changes: Partial<Ambient>): Ambient {
  const base = ambient() ?? NOTHING;
  return {
    deadline: base.deadline,
    allowedMs: base.allowedMs,
    narrowedTo: base.narrowedTo,
    cancellation: base.cancellation,
    traceparent: base.traceparent,
    tracestate: base.tracestate,
    baggage: base.baggage,
    priority: base.priority,
    retried: base.retried,
    request: base === NOTHING ? undefined : (base.request ?? base),
    lifetime: base.lifetime,
    ...changes,
  };
}

/** Outside of a request. */
const NOTHING: Ambient = {
  deadline: Number.POSITIVE_INFINITY,
  cancellation: undefined,
  traceparent: undefined,
  tracestate: undefined,
  baggage: undefined,
};
