import { BytesBody } from '../../core/body.js';
import { Call } from '../../core/call.js';
import { grpcStatusOf } from '../../core/classify.js';
import { CancelledError } from '../../core/errors.js';
import { grpcStatusName } from '../../core/grpc-status.js';
import { type HeaderFields, headerFields, headerValue } from '../../core/headers.js';
import type { Reply, ReplyEnd } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import { VERSION } from '../../core/version.js';
import { encodeFrame, FrameReader } from './framing.js';
import { decodeMessage } from './status.js';

export interface UnaryRequest {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** As an application would name it. */
  readonly authority: string;
  /** The request, encoded. */
  readonly message: Uint8Array;
  /** Limit of the whole call in milliseconds, attempts and all. */
  readonly timeoutMs: number;
  /** Bytes that the answer may have. */
  readonly maxMessageBytes: number;
  /** Besides. Absent: none. */
  readonly metadata?: HeaderFields | undefined;
  /** `Call.asksLimits`. */
  readonly asksLimits?: boolean | undefined;
}

/** The service answered, but not with the one message that was asked for. What fails on the way is a MeshError. */
export class UnaryFailure extends Error {
  override readonly name = 'UnaryFailure';
}

const USER_AGENT = `inmesh/${VERSION}`;

/**
 * One message asked and one answered, through the pipeline: for what the mesh itself asks of one of its services, whose calls are balanced, limited and
 * counted like any other. Rejects with a MeshError or a UnaryFailure.
 */
export function unary(service: Service, request: UnaryRequest): Promise<Uint8Array> {
  const call = new Call({
    protocol: 'grpc',
    scheme: 'http',
    authority: request.authority,
    method: 'POST',
    path: request.path,
    headers: headerFields({
      ...request.metadata,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': USER_AGENT,
    }),
    body: new BytesBody(encodeFrame(request.message, false)),
    timeoutMs: request.timeoutMs,
    asksLimits: request.asksLimits,
  });
  return service(call).then((reply) => answer(call, reply, request));
}

function answer(call: Call, reply: Reply, { authority, path, maxMessageBytes }: UnaryRequest): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const frames = new FrameReader(maxMessageBytes);
    const messages: Uint8Array[] = [];
    const refuse = (detail: string): void => {
      reject(new UnaryFailure(`${authority}${path}: ${detail}`));
    };
    const giveUp = (detail: string): void => {
      refuse(detail);
      call.cancel(new CancelledError(detail, 'yes'));
    };
    // The end may be known before the body has been read, and the body read before the trailers are there.
    let read = false;
    let ended: ReplyEnd | undefined;
    const over = (): void => {
      if (!read || ended === undefined) return;
      const detail = trouble(reply, ended, messages.length, frames.betweenMessages);
      if (detail === undefined) resolve(messages[0] as Uint8Array);
      else refuse(detail);
    };
    reply.body.pipe({
      write(chunk) {
        try {
          frames.push(chunk, ({ compressed, bytes }) => {
            // No encoding was offered (grpc-accept-encoding).
            if (compressed) giveUp('the answer is compressed, which was not offered');
            else if (messages.push(bytes) > 1) giveUp('it answered with more than one message');
          });
        } catch (error) {
          giveUp((error as Error).message);
        }
        return true;
      },
      end() {
        read = true;
        over();
      },
      fail: reject,
    });
    reply.onEnd((end) => {
      ended = end;
      // A status outweighs how the connection fared after it.
      if (end.error !== undefined && grpcStatusOf(reply, end) === undefined) reject(end.error);
      else over();
    });
  });
}

/** What is wrong with an answer that is over; undefined when nothing is. */
function trouble(reply: Reply, end: ReplyEnd, messages: number, complete: boolean): string | undefined {
  const status = grpcStatusOf(reply, end);
  if (status === undefined) return `it answered with HTTP status ${reply.status}, and no gRPC status`;
  if (status !== 0) {
    const text = headerValue(end.trailers ?? reply.headers, 'grpc-message') ?? '';
    return `it answered ${grpcStatusName(status) ?? `gRPC status ${status}`}: ${decodeMessage(text)}`;
  }
  if (messages !== 1 || !complete) return `it answered with ${messages} whole messages, not one`;
  return undefined;
}
