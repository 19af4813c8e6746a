import { BytesBody } from '../../core/body.js';
import type { Call, Protocol } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { MeshError } from '../../core/errors.js';
import { copyHeaders, type HeaderFields, headerFields } from '../../core/headers.js';
import type { Logger } from '../../core/log.js';
import { localReply, type Reply } from '../../core/reply.js';
import type { Failure } from './failure.js';
import { grpcReply, messageOf } from './grpc-reply.js';
import type { Kind } from './kind.js';

/** What an application's fallback is told of the call that it answers for. */
export interface FallbackRequest {
  readonly protocol: Protocol;
  readonly authority: string;
  readonly method: string;
  /** Path and query as sent; for gRPC `/package.Service/Method`. */
  readonly path: string;
  /** A copy, by lower-case name. */
  readonly headers: Readonly<HeaderFields>;
  /** The request's body when it is all there, not a stream; for gRPC the message without its frame. */
  readonly body: Uint8Array | undefined;
  /** The error's code, the HTTP status or the name of the gRPC status. */
  readonly reason: string;
  /** Undefined: the destination answered, with a status that says that it cannot. */
  readonly error: MeshError | undefined;
}

/** What it answers; a standard `Response` will do as well, for calls over HTTP. */
export interface FallbackReply {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** For gRPC the message. Default empty. */
  readonly body?: string | Uint8Array;
  /** For gRPC in place of `status`. Default 0, OK. */
  readonly grpcStatus?: number;
  readonly grpcMessage?: string;
}

type Answer = Response | FallbackReply | undefined;

/** Undefined, or an exception: it has no answer either, and the next kind is asked. */
export type FallbackFunction = (request: FallbackRequest) => Answer | Promise<Answer>;

export interface FunctionEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the application, by name. */
  readonly fallbacks?: Readonly<Record<string, FallbackFunction>> | undefined;
}

/** Answers of one function that may be awaited at once; calls beyond have none. As many as Envoy's `max_requests`. */
export const MAX_FUNCTIONS_UNDER_WAY = 1_024;
/** A function that is missing or throws is told of so often, in milliseconds. */
const COMPLAIN_EVERY_MS = 60_000;
const NOTHING = new Uint8Array(0);

/** The application's own answer. */
export class FunctionKind implements Kind {
  readonly by = 'function';
  readonly takesTime = true;
  #underWay = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly name: string,
    private readonly env: FunctionEnv,
  ) {}

  answer(call: Call, failure: Failure): Promise<Reply | undefined> | undefined {
    const { fallbacks = {} } = this.env;
    const answer = Object.hasOwn(fallbacks, this.name) ? fallbacks[this.name] : undefined;
    if (answer === undefined) return this.#complain('the application gave no such function (MeshOptions.fallbacks)');
    if (this.#underWay >= MAX_FUNCTIONS_UNDER_WAY) return undefined;
    this.#underWay++;
    const answering = Promise.resolve()
      .then(() => answer(requestOf(call, failure)))
      .then((answered) => (answered === undefined ? undefined : replyFrom(call, answered)))
      .catch((error: unknown) => this.#complain(String(error)))
      .finally(() => {
        this.#underWay--;
      });
    return unlessCancelled(call, answering);
  }

  #complain(error: string): undefined {
    const now = this.env.clock.now();
    if (now - this.#complainedAt < COMPLAIN_EVERY_MS) return;
    this.#complainedAt = now;
    this.env.logger.warn('a fallback function has no answer', { function: this.name, error });
  }
}

const requestOf = (call: Call, { reason, error }: Failure): FallbackRequest => {
  const { protocol, authority, method, path, body } = call;
  const bytes = body instanceof BytesBody ? body.bytes : undefined;
  return {
    protocol,
    authority,
    method,
    path,
    headers: copyHeaders(call.headers),
    body: bytes !== undefined && protocol === 'grpc' ? messageOf(bytes) : bytes,
    reason,
    error,
  };
};

async function replyFrom(call: Call, answered: Response | FallbackReply): Promise<Reply> {
  if (answered instanceof Response) {
    const headers = headerFields(Object.fromEntries(answered.headers));
    const cookies = answered.headers.getSetCookie();
    if (cookies.length > 0) headers['set-cookie'] = cookies;
    return httpReply(call, answered.status, headers, new Uint8Array(await answered.arrayBuffer()));
  }
  const { status = 200, body = NOTHING, grpcStatus = 0, grpcMessage } = answered;
  const headers = headerFields(answered.headers);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return call.protocol === 'grpc'
    ? grpcReply(grpcStatus, bytes, headers, grpcMessage)
    : httpReply(call, status, headers, bytes);
}

function httpReply(call: Call, status: number, headers: HeaderFields, bytes: Uint8Array): Reply {
  if (bytes.byteLength > 0) headers['content-length'] = String(bytes.byteLength);
  return localReply(status, headers, call.method === 'HEAD' ? NOTHING : bytes);
}

/** Nobody waits longer than the call's deadline; what comes later is thrown away. */
function unlessCancelled(call: Call, answering: Promise<Reply | undefined>): Promise<Reply | undefined> {
  return new Promise((resolve) => {
    const cancelled = (): void => resolve(undefined);
    call.cancellation.add(cancelled);
    void answering.then((reply) => {
      call.cancellation.remove(cancelled);
      resolve(reply);
    });
  });
}
