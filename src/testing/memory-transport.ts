import { collect } from '../core/body.js';
import type { Call } from '../core/call.js';
import { MeshClosedError, MeshError, RequestBodyError } from '../core/errors.js';
import { isResponse } from '../core/platform.js';
import type { Reply } from '../core/reply.js';
import type { Transport, TransportFactory } from '../core/transport.js';
import { mockReply, replyOf } from './reply.js';

/** One request that reached a test service. */
export interface TestRequest {
  /** As a server sees it: path and headers after routing, the whole body. */
  readonly request: Request;
  /** Name of the service, and the number of its endpoint, from 0. */
  readonly service: string;
  readonly endpoint: number;
  /** 1 for the first attempt of a call. */
  readonly attempt: number;
  readonly call: Call;
}

/**
 * One endpoint. What it throws is what happens to the call: a MeshError as it is (`connectionRefused()` and the like), anything else as
 * a server that answers 500 with the error's text.
 */
export type TestHandler = (request: Request, info: TestRequest) => Response | Reply | Promise<Response | Reply>;

/** A request body of a test is held in memory: no more than this, in bytes. */
const MAX_BODY_BYTES = 67_108_864;

export interface MemoryEndpoint {
  readonly service: string;
  readonly index: number;
  readonly handler: TestHandler;
}

/** Connections to handlers in this process. `find` knows the endpoint behind `ip:port`; `seen` is told of every request. */
export const memoryTransport =
  (find: (key: string) => MemoryEndpoint, seen: (request: TestRequest) => void): TransportFactory =>
  ({ endpoint }) => {
    const target = find(endpoint.key);
    let closed = false;
    const transport: Transport = {
      connections: 1,
      call: (call) => (closed ? Promise.reject(new MeshClosedError()) : cancellable(call, serve(call, target, seen))),
      connect: () => (closed ? Promise.reject(new MeshClosedError()) : Promise.resolve()),
      close() {
        closed = true;
        return Promise.resolve();
      },
    };
    return transport;
  };

/** The reply, or the reason why the call was cancelled, whichever is first. A body under way breaks off when it is cancelled. */
function cancellable(call: Call, serving: Promise<Reply>): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let reply: Reply | undefined;
    const cancel = (reason: MeshError): void => {
      reply?.body.cancel(reason);
      reject(reason);
    };
    call.cancellation.add(cancel);
    serving.then(
      (served) => {
        if (call.cancellation.cancelled) return served.body.cancel(call.cancellation.reason);
        reply = served;
        served.onEnd(() => call.cancellation.remove(cancel));
        resolve(served);
      },
      (error: unknown) => {
        call.cancellation.remove(cancel);
        reject(error);
      },
    );
  });
}

async function serve(
  call: Call,
  { service, index, handler }: MemoryEndpoint,
  seen: (request: TestRequest) => void,
): Promise<Reply> {
  const request = await requestOf(call);
  const info: TestRequest = { request, service, endpoint: index, attempt: call.attempt, call };
  seen(info);
  try {
    const result = await handler(request, info);
    return isResponse(result) ? replyOf(result) : result;
  } catch (error) {
    if (error instanceof MeshError) throw error;
    return mockReply({ status: 500, headers: { 'content-type': 'text/plain' }, body: String(error) });
  }
}

async function requestOf(call: Call): Promise<Request> {
  const tooLarge = (limit: number): MeshError =>
    new RequestBodyError(`test services take bodies of at most ${limit} bytes`);
  const body = call.body === undefined ? undefined : await collect(call.body, MAX_BODY_BYTES, tooLarge);
  const headers = new Headers();
  for (const [name, value] of Object.entries(call.headers)) {
    for (const one of typeof value === 'string' ? [value] : value) headers.append(name, one);
  }
  const hasBody = body !== undefined && call.method !== 'GET' && call.method !== 'HEAD';
  return new Request(new URL(call.path, `${call.scheme}://${call.host}`), {
    method: call.method,
    headers,
    ...(hasBody ? { body: Uint8Array.from(body) } : {}),
  });
}
