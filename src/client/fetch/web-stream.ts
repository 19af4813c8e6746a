import type { ReadableByteStreamController, UnderlyingByteSource } from 'node:stream/web';
import type { Body, BodyFlow } from '../../core/body.js';
import { callersContext } from '../../core/context.js';
import { brokenBody } from './errors.js';

/** A pushed body as a web byte stream. Nothing is asked for beyond what the reader pulls; cancelling it frees the connection. */
export function toWebStream(body: Body): ReadableStream<Uint8Array> {
  let flow: BodyFlow | undefined;
  let over = false;
  const source: UnderlyingByteSource = {
    type: 'bytes',
    pull(controller: ReadableByteStreamController) {
      if (flow !== undefined) {
        flow.resume();
        return;
      }
      // Transforms of the application run in what is told to the controller; whoever pulled first is who they belong to.
      const context = callersContext();
      flow = body.pipe({
        write(chunk) {
          if (over) return true;
          // A copy, because the stream takes the memory away, and chunks share theirs.
          if (chunk.byteLength > 0) context.runInAsyncScope(controller.enqueue, controller, new Uint8Array(chunk));
          return (controller.desiredSize ?? 1) > 0;
        },
        end() {
          if (over) return;
          over = true;
          context.runInAsyncScope(controller.close, controller);
          // A pending BYOB read is answered only so (Streams, "readableByteStreamControllerRespondInClosedState").
          controller.byobRequest?.respond(0);
        },
        fail(error) {
          if (over) return;
          over = true;
          context.runInAsyncScope(controller.error, controller, brokenBody(error));
        },
      });
    },
    cancel() {
      over = true;
      body.cancel();
    },
  };
  return new ReadableStream(source);
}
