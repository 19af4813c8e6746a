import { type Body, BytesBody } from './body.js';
import type { MeshError } from './errors.js';
import { type HeaderFields, headerFields } from './headers.js';
import { throwAll } from './throw-all.js';

/** How a reply came to its end: the last byte or the trailers, or what broke it off. */
export interface ReplyEnd {
  /** Undefined when the reply ended as it should. */
  readonly error: MeshError | undefined;
  readonly trailers: HeaderFields | undefined;
  /** Body bytes as they were on the wire, without framing of the protocol. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export type EndListener = (end: ReplyEnd) => void;

/**
 * What comes back, in two phases: the head, on which the retry decision is made before any byte is handed on, and the end,
 * on which the call is judged and accounted. gRPC fails in trailers, so the head alone says nothing (linkerd2-proxy,
 * http/classify).
 */
export interface Reply {
  /** HTTP status, 200 to 599; informational ones are not delivered. */
  readonly status: number;
  readonly headers: HeaderFields;
  readonly body: Body;
  /** `listener` runs once, synchronously, at the end; at once when the end has passed. Never skipped, whoever reads the body. */
  onEnd(listener: EndListener): void;
  /**
   * `listener` runs once, when the connection that the reply came over takes no new calls any more, or is lost; soon when it is so already, and whether the
   * reply has ended or not. The result takes it back. Absent where connections are not told apart.
   */
  readonly onDisconnect?: ((listener: () => void) => () => void) | undefined;
}

/** The bookkeeping of `onEnd`, for all that make replies. */
export class ReplyEnding {
  #end: ReplyEnd | undefined;
  #first: EndListener | undefined;
  #more: EndListener[] | undefined;

  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** Listeners run in the order in which they were added: the innermost filter first. */
  onEnd(listener: EndListener): void {
    if (this.#end !== undefined) listener(this.#end);
    else if (this.#first === undefined) this.#first = listener;
    else {
      this.#more ??= [];
      this.#more.push(listener);
    }
  }

  /** The first settlement counts, later ones are ignored. */
  settle(end: ReplyEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    const more = this.#more;
    const first = this.#first;
    this.#first = undefined;
    this.#more = undefined;
    if (more === undefined) first?.(end);
    else settleAll([first as EndListener, ...more], end);
  }
}

/** Each keeps accounts of its own: one that throws keeps no other from closing them. */
function settleAll(listeners: readonly EndListener[], end: ReplyEnd): void {
  const errors: unknown[] = [];
  for (const listener of listeners) {
    try {
      listener(end);
    } catch (error) {
      errors.push(error);
    }
  }
  throwAll(errors, 'listeners of the end of a reply');
}

/** A reply that the mesh makes itself: a redirect, a direct response, a fallback. */
export function localReply(
  status: number,
  headers: HeaderFields = headerFields(),
  body: Uint8Array = new Uint8Array(0),
): Reply {
  const end: ReplyEnd = { error: undefined, trailers: undefined, bytesSent: 0, bytesReceived: 0 };
  return { status, headers, body: new BytesBody(body), onEnd: (listener) => listener(end) };
}
