import type { Body, BodyFlow, BodySink } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { MeshError } from '../../core/errors.js';
import type { Reply } from '../../core/reply.js';

/**
 * A body that can be had only once, on its way to whichever endpoint takes it. Until one reads it, nothing is lost by a connection that could not be
 * made: a transport that cancels the body because of that is not heard.
 */
class UnreadBody implements Body {
  #read = false;

  constructor(private readonly body: Body) {}

  get size(): number | undefined {
    return this.body.size;
  }

  get replayable(): boolean {
    return !this.#read;
  }

  pipe(sink: BodySink): BodyFlow {
    this.#read = true;
    return this.body.pipe(sink);
  }

  cancel(reason?: MeshError): void {
    if (this.#read || reason === undefined || reason.reached !== 'no') this.abandon(reason);
  }

  /** No endpoint takes it any more. */
  abandon(reason: MeshError | undefined): void {
    this.#read = true;
    this.body.cancel(reason);
  }
}

/** Makes an attempt that may go from one endpoint to another before the body is read. Bodies that can be had again need nothing. */
export function keepingBody(call: Call, attempt: (call: Call) => Promise<Reply>): Promise<Reply> {
  if (call.body === undefined || call.body.replayable) return attempt(call);
  const body = new UnreadBody(call.body);
  call.body = body;
  return attempt(call).catch((error: unknown) => {
    body.abandon(error as MeshError);
    throw error;
  });
}
