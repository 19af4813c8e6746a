import type { Reply } from '../core/reply.js';
import type { TestHandler } from './memory-transport.js';
import { mockReply } from './reply.js';

/** A method of a generated service definition, as grpc-js and its code generators have it. */
export interface GrpcMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: never) => Buffer;
}

/** What a method answers to the messages of its request; for a method with a stream of answers, an iterable of them. */
// biome-ignore lint/suspicious/noExplicitAny: the types of messages are those of the generated code, unknown here
export type GrpcMethodHandler = (request: any, requests: readonly any[]) => unknown;

/** A failure with a gRPC status, for a handler to throw. */
export class GrpcFailure extends Error {
  override readonly name = 'GrpcFailure';
  constructor(
    /** 1 to 16 (grpc/doc/statuscodes.md). */
    readonly code: number,
    readonly details: string,
  ) {
    super(`${code}: ${details}`);
  }
}

/**
 * An endpoint that serves a generated gRPC service. The whole request is read before a handler is called: for tests of a conversation
 * in both directions start a real server.
 *
 * ```ts
 * testMesh({ services: { reviews: grpcService(ReviewsService, { list: ({ id }) => ({ reviews: [] }) }) } });
 * ```
 */
export function grpcService<D extends Readonly<Record<string, GrpcMethod>>>(
  definition: D,
  handlers: { readonly [M in keyof D]?: GrpcMethodHandler },
): TestHandler {
  const methods = new Map(
    Object.entries(definition).map(([name, method]) => [method.path, { method, handler: handlers[name] }]),
  );
  return async (request) => {
    const found = methods.get(new URL(request.url).pathname);
    if (found?.handler === undefined) return trailersOnly(12, `not implemented in this test: ${request.url}`);
    const { method, handler } = found;
    try {
      const requests = messagesOf(Buffer.from(await request.arrayBuffer())).map((bytes) =>
        method.requestDeserialize(bytes),
      );
      const result = await handler(requests[0], requests);
      const values = method.responseStream ? [...(result as Iterable<unknown>)] : [result];
      const body = Buffer.concat(values.map((value) => framed(method.responseSerialize(value as never))));
      return mockReply({ headers: HEADERS, body, trailers: { 'grpc-status': '0' } });
    } catch (error) {
      // What is no GrpcFailure is UNKNOWN, as servers have it.
      return error instanceof GrpcFailure ? trailersOnly(error.code, error.details) : trailersOnly(2, String(error));
    }
  };
}

const HEADERS = { 'content-type': 'application/grpc' };

const trailersOnly = (status: number, message: string): Reply =>
  mockReply({ headers: { ...HEADERS, 'grpc-status': String(status), 'grpc-message': encodeURIComponent(message) } });

/** A message behind its five bytes of prefix, not compressed (gRPC over HTTP/2: Length-Prefixed-Message). */
function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(5 + message.byteLength);
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, 5);
  return frame;
}

function messagesOf(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    if (body[at] !== 0) throw new GrpcFailure(12, 'test services do not decompress messages: call without compression');
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
