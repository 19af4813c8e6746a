import { FrameReader } from '../../../src/client/grpc/framing.js';
import type { Body } from '../../../src/core/body.js';
import type { Service } from '../../../src/core/service.js';

/** What passed on the wire, message by message: whether it was compressed. */
export interface Tapped {
  readonly sent: boolean[];
  readonly received: boolean[];
  requestEncoding: string | undefined;
  replyEncoding: string | undefined;
}

export const newTap = (): Tapped => ({ sent: [], received: [], requestEncoding: undefined, replyEncoding: undefined });

function tapBody(body: Body, flags: boolean[]): Body {
  const reader = new FrameReader(-1);
  return {
    size: body.size,
    replayable: body.replayable,
    cancel: (reason) => body.cancel(reason),
    pipe: (sink) =>
      body.pipe({
        write(chunk) {
          reader.push(chunk, (frame) => flags.push(frame.compressed));
          return sink.write(chunk);
        },
        end: (trailers) => sink.end(trailers),
        fail: (error) => sink.fail(error),
      }),
  };
}

/** Notes what goes through `service`, and changes nothing. */
export const tap =
  (tapped: Tapped) =>
  (service: Service): Service =>
  async (call) => {
    if (call.body !== undefined) call.body = tapBody(call.body, tapped.sent);
    tapped.requestEncoding = call.headers['grpc-encoding'] as string | undefined;
    const reply = await service(call);
    tapped.replyEncoding = reply.headers['grpc-encoding'] as string | undefined;
    return {
      status: reply.status,
      headers: reply.headers,
      body: tapBody(reply.body, tapped.received),
      onEnd: (listener) => reply.onEnd(listener),
    };
  };
