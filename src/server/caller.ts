import { withAmbient } from '../core/ambient.js';
import type { Protocol } from '../core/call.js';
import { DecodeError, shown } from '../core/decode.js';
import type { InboundContext } from './context.js';
import type { Gate } from './gate.js';
import type { InboundView } from './view.js';

/** Who makes a request, as far as it has been verified. */
export interface Caller {
  /** SPIFFE ID, or whatever the application calls its callers by. */
  readonly principal?: string | undefined;
  /** Of a verified token. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  /** `<iss>/<sub>` of a token that the mesh itself has verified (Istio `requestPrincipals`). */
  readonly requestPrincipal?: string | undefined;
}

/** A request, to say who makes it. */
export interface CallerRequest extends Pick<InboundView, 'method' | 'path' | 'host' | 'headers'> {
  readonly protocol: Protocol;
  /** What the server has: a request of node:http or node:http2, a web `Request`, or grpc-js's `Metadata`. */
  readonly raw: object;
}

/** Says who makes a request; undefined is nobody in particular. An error is that too: limits then count the request with others of that kind. */
export type CallerOf = (request: CallerRequest) => Caller | undefined | PromiseLike<Caller | undefined>;

/** Throws DecodeError for what cannot be asked. */
export function callerOf(given: CallerOf | undefined, path = 'caller'): CallerOf | undefined {
  if (given === undefined || typeof given === 'function') return given;
  throw new DecodeError(path, `must be a function that is given the request, got ${shown(given)}`);
}

/** Finds out who makes a request, for the gates that come after. Asks once for each. */
export class CallerGate implements Gate {
  readonly #asked = new WeakSet<InboundContext>();

  constructor(private readonly callerOf: CallerOf) {}

  refusal(context: InboundContext): undefined | Promise<undefined> {
    const { view } = context;
    if (view === undefined || this.#asked.has(context)) return undefined;
    this.#asked.add(context);
    let caller: ReturnType<CallerOf>;
    try {
      // What it calls for that is done for the request.
      caller = withAmbient(context, () => this.callerOf(view));
    } catch {
      return undefined;
    }
    if (!isPromise(caller)) {
      context.caller = caller;
      return undefined;
    }
    // A knex query or a mongoose one is a promise only in that it can be waited for; who waits here knows real ones.
    return Promise.resolve(caller).then(
      (found) => {
        context.caller = found;
        return undefined;
      },
      () => undefined,
    );
  }
}

const isPromise = (value: ReturnType<CallerOf>): value is PromiseLike<Caller | undefined> =>
  typeof (value as Partial<PromiseLike<unknown>> | undefined)?.then === 'function';
