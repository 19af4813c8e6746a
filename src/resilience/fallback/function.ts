import { BytesBody } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import {
  type FallbackFunction,
  type FallbackReply,
  type FallbackRequest,
  readFallbackReply,
} from '../../core/fallback.js';
import { DecodeError, shown } from '../../core/decode.js';
import { copyHeaders, headerFields } from '../../core/headers.js';
import type { Logger } from '../../core/log.js';
import { isResponse } from '../../core/platform.js';
import type { Reply } from '../../core/reply.js';
import type { Failure } from './failure.js';
import { grpcReply, messageOf } from './grpc-reply.js';
import { httpReply } from './http-reply.js';
import type { Kind } from './kind.js';

export interface FunctionEnv {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the application, by name. */
  readonly fallbacks?: Readonly<Record<string, FallbackFunction>> | undefined;
}

/** Answers of one function that may be awaited at once; calls beyond have none. As many as Envoy's `max_requests`. */
export const MAX_FUNCTIONS_UNDER_WAY = 1_024;
/**
 * How long a function is awaited where the call has no deadline, in milliseconds: as a service is to which nobody gave a limit (Envoy's
 * `RouteAction.timeout` default).
 */
export const FUNCTION_LIMIT_MS = 15_000;
/** A function that is missing or throws is told of so often, in milliseconds. */
const COMPLAIN_EVERY_MS = 60_000;
const NOTHING = new Uint8Array(0);

/** Asks functions of the application. */
export class Functions {
  #underWay = 0;
  #complainedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly env: Pick<FunctionEnv, 'clock' | 'logger'>) {}

  /**
   * Undefined: it has no answer. `name`: what it is called where that is told of. `call`: as it was sent; `waiting`: whose end is the end of the wait,
   * which is the same call but where only the sending had a limit.
   */
  ask(
    name: string,
    answer: FallbackFunction,
    call: Call,
    failure: Failure,
    waiting = call,
  ): Promise<Reply | undefined> | undefined {
    if (this.#underWay >= MAX_FUNCTIONS_UNDER_WAY) return undefined;
    this.#underWay++;
    const answering = Promise.resolve()
      .then(() => answer(requestOf(call, failure)))
      .then((answered) => (answered === undefined ? undefined : replyFrom(call, answered)))
      .catch((error: unknown) => this.complain(name, said(error)))
      .finally(() => {
        this.#underWay--;
      });
    return this.#wait(name, waiting, answering);
  }

  /** Nobody waits longer than the call's deadline, or the limit where there is none; what comes later is thrown away. */
  #wait(name: string, call: Call, answering: Promise<Reply | undefined>): Promise<Reply | undefined> {
    return new Promise((resolve) => {
      const late = (): void => settle(this.complain(name, `it has none after ${FUNCTION_LIMIT_MS} ms`));
      const unlimited = call.deadline === Number.POSITIVE_INFINITY;
      const stop = unlimited ? this.env.clock.after(FUNCTION_LIMIT_MS, late) : undefined;
      const settle = (reply: Reply | undefined): void => {
        stop?.();
        call.cancellation.remove(cancelled);
        resolve(reply);
      };
      const cancelled = (): void => settle(undefined);
      call.cancellation.add(cancelled);
      void answering.then(settle);
    });
  }

  complain(name: string, error: string): undefined {
    const now = this.env.clock.now();
    if (now - this.#complainedAt < COMPLAIN_EVERY_MS) return;
    this.#complainedAt = now;
    this.env.logger.warn('a fallback function has no answer', { function: name, error });
  }
}

/** The application's own answer, by the name that the configuration gives it. */
export class FunctionKind implements Kind {
  readonly by = 'function';
  readonly takesTime = true;
  readonly #functions: Functions;

  constructor(
    private readonly name: string,
    private readonly env: FunctionEnv,
  ) {
    this.#functions = new Functions(env);
  }

  answer(call: Call, failure: Failure): Promise<Reply | undefined> | undefined {
    const { fallbacks = {} } = this.env;
    const answer = Object.hasOwn(fallbacks, this.name) ? fallbacks[this.name] : undefined;
    if (answer !== undefined) return this.#functions.ask(this.name, answer, call, failure);
    return this.#functions.complain(this.name, 'the application gave no such function (MeshOptions.fallbacks)');
  }
}

/** Anything can be thrown, and not all of it can be said. */
function said(error: unknown): string {
  try {
    return String(error);
  } catch {
    return shown(error);
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
  if (!isResponse(answered)) return replyAs(call, readFallbackReply(answered, 'the answer'));
  if (call.protocol === 'grpc')
    throw new DecodeError('the answer', 'a Response answers over HTTP: give { body, grpcStatus }');
  const headers: Record<string, string | readonly string[]> = Object.fromEntries(answered.headers);
  const cookies = answered.headers.getSetCookie();
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  const { status } = answered;
  const body = new Uint8Array(await answered.arrayBuffer());
  // Also for `Response.error()`, whose status is 0.
  return replyAs(call, readFallbackReply({ status, headers, body }, 'the answer'));
}

/** What the application says, as a reply to this call. */
export function replyAs(call: Call, said: FallbackReply): Reply {
  const { status = 200, body = NOTHING, grpcStatus = 0, grpcMessage } = said;
  const headers = headerFields(said.headers);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return call.protocol === 'grpc'
    ? grpcReply(grpcStatus, bytes, headers, grpcMessage)
    : httpReply(call, status, headers, bytes);
}
