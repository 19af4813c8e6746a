import type { Body, BodySink } from '../../core/body.js';
import type { HeaderFields } from '../../core/headers.js';
import type { Reply } from '../../core/reply.js';

/** The reply, of which `whole` is told once its last byte has passed: what it was, if it was no more than `limit` bytes. */
export function recorded(
  reply: Reply,
  limit: number,
  whole: (bytes: Uint8Array, trailers: HeaderFields | undefined) => void,
): Reply {
  const { status, headers, body } = reply;
  return { status, headers, body: recordedBody(body, limit, whole), onEnd: (listener) => reply.onEnd(listener) };
}

const recordedBody = (body: Body, limit: number, whole: Parameters<typeof recorded>[2]): Body => ({
  size: body.size,
  replayable: false,
  cancel: (reason) => body.cancel(reason),
  pipe: (sink: BodySink) => {
    let chunks: Uint8Array[] | undefined = [];
    let size = 0;
    return body.pipe({
      write: (chunk) => {
        size += chunk.byteLength;
        if (size > limit) chunks = undefined;
        else chunks?.push(chunk);
        return sink.write(chunk);
      },
      end: (trailers) => {
        // A copy: a chunk may be a small part of a large buffer.
        if (chunks !== undefined) whole(Buffer.concat(chunks), trailers);
        sink.end(trailers);
      },
      fail: (error) => sink.fail(error),
    });
  },
});
