import { type Body, BytesBody, collect } from '../../core/body.js';
import { Call } from '../../core/call.js';
import { copyHeaders } from '../../core/headers.js';
import { isRequest } from '../../core/platform.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import { formatXdsTarget } from '../../core/xds-target.js';
import { offAbort, onAbort } from './abort.js';
import { decoded } from './decode.js';
import { AbortedError, FetchError, failedFetch, ReplyTooLargeError } from './errors.js';
import { applyHostHeader } from './headers.js';
import { matchesIntegrity } from './integrity.js';
import { loadResponse, makeResponse } from './make-response.js';
import { isRedirect, MAX_REDIRECTS, redirected, type Hop } from './redirect.js';
import { type FetchInput, type FetchRequest, type MeshRequestInit, readRequest, readRequestObject } from './request.js';
import type { ResponseInfo } from './response.js';

export interface FetchEnv {
  /** For what is not http or https (`data:`, `blob:`), and for calls that bring a dispatcher of their own. Default: the fetch of now. */
  readonly platformFetch?: typeof fetch;
}

/** `fetch`, with one option more: `init.mesh`. */
export type MeshFetch = (input: FetchInput, init?: MeshRequestInit) => Promise<Response>;

/**
 * A `fetch` that sends its requests into `service`. Standard semantics as far as a service's code relies on them; what belongs to
 * browsers (CORS, cookies, cache, referrer, blocked ports) is accepted and has no effect.
 */
export function createFetch(service: Service, env: FetchEnv = {}): MeshFetch {
  const platformFetch = env.platformFetch ?? globalThis.fetch;
  let started = false;
  const start = (
    request: FetchRequest | undefined,
    input: FetchInput,
    init: MeshRequestInit | undefined,
  ): Promise<Response> => (request === undefined ? platformFetch(input, init) : new Fetching(service, request).start());

  return (input, init) => {
    try {
      if (!started) {
        started = true;
        void loadResponse();
      }
      if (init?.dispatcher !== undefined) return platformFetch(input, init);
      if (!isRequest(input)) return start(readRequest(input, init), input, init);
      if (!isHttp(input.url)) return platformFetch(input, init);
      if (init === undefined && (input.bodyUsed || input.body?.locked === true)) {
        throw new TypeError('Cannot construct a Request with a Request object that has already been used.');
      }
      const request = init === undefined ? input : new Request(input, init);
      return readRequestObject(request, init?.mesh).then((read) => start(read, input, init));
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

const isHttp = (url: string): boolean => url.startsWith('http:') || url.startsWith('https:');

/** Replies that have no body, whatever the server sends (Fetch, "null body status"). */
const isBodiless = (method: string, status: number): boolean =>
  method === 'HEAD' || status === 204 || status === 205 || status === 304;

/** A body that must be whole before it is handed on is held in memory: no more than this. 256 MiB. */
const MAX_CHECKED_BYTES = 268_435_456;
/** As much of an unwanted body is read to keep the connection; of a longer one the connection is closed. */
const DRAIN_BYTES = 65_536;

/** One fetch: a call, and one more for each redirect. */
class Fetching {
  #hop: Hop;
  #redirects = 0;
  #call: Call | undefined;
  #resolve!: (response: Response | Promise<Response>) => void;
  #reject!: (error: unknown) => void;

  constructor(
    private readonly service: Service,
    private readonly request: FetchRequest,
  ) {
    this.#hop = request;
  }

  start(): Promise<Response> {
    return new Promise((resolve, reject) => {
      const { signal } = this.request;
      if (signal?.aborted === true) {
        this.request.body?.cancel();
        reject(signal.reason);
        return;
      }
      this.#resolve = resolve;
      this.#reject = reject;
      if (signal !== undefined) onAbort(signal, this.#onAbort);
      this.#send();
    });
  }

  #send(): void {
    const { url, method, headers, body } = this.#hop;
    const { xdsAuthority } = this.request;
    const call = new Call({
      protocol: 'http',
      scheme: url.scheme,
      authority: url.authority,
      target: xdsAuthority === undefined ? undefined : formatXdsTarget({ xdsAuthority, name: url.authority }),
      method,
      path: url.path,
      // The mesh writes into them, and a redirect starts from what the application gave.
      headers: this.request.redirect === 'follow' ? copyHeaders(headers) : headers,
      body,
      timeoutMs: this.request.timeoutMs,
      idempotent: this.request.idempotent,
      priority: this.request.priority,
      policy: this.request.policy,
      fallback: this.request.fallback,
    });
    applyHostHeader(call);
    this.#call = call;
    this.service(call).then(this.#onReply, this.#onError);
  }

  readonly #onReply = (reply: Reply): void => {
    try {
      this.#replied(reply);
    } catch (error) {
      reply.body.cancel();
      this.#onError(error);
    }
  };

  readonly #onError = (error: unknown): void => {
    this.#settled();
    // Nobody below may have taken it: a host that is denied, a route that is missing.
    this.#hop.body?.cancel();
    this.#reject(failedFetch(error));
  };

  readonly #onAbort = (reason: unknown): void => {
    this.#call?.cancel(new AbortedError(reason));
    this.#reject(reason);
  };

  #replied(reply: Reply): void {
    const { signal } = this.request;
    if (signal?.aborted === true) {
      reply.body.cancel();
      return;
    }
    if (isRedirect(reply.status) && this.request.redirect !== 'manual' && this.#redirect(reply)) return;
    if (signal !== undefined) reply.onEnd(() => offAbort(signal, this.#onAbort));
    const { method } = this.#hop;
    const info: ResponseInfo = {
      status: reply.status,
      fields: reply.headers,
      url: this.#hop.url.href,
      redirected: this.#redirects > 0,
      signal,
    };
    if (isBodiless(method, reply.status)) {
      reply.body.cancel();
      this.#resolve(makeResponse(info, null));
      return;
    }
    const body = reply.headers['content-encoding'] === undefined ? reply.body : decoded(reply.body, reply.headers);
    if (this.request.integrity === undefined) this.#resolve(makeResponse(info, body));
    else this.#check(info, body, this.request.integrity);
  }

  #settled(): void {
    if (this.request.signal !== undefined) offAbort(this.request.signal, this.#onAbort);
  }

  /** Whether the reply was dealt with here. */
  #redirect(reply: Reply): boolean {
    if (this.request.redirect === 'error') return this.#refuse(reply, new Error('unexpected redirect'));
    const next = redirected(this.#hop, reply.status, reply.headers.location);
    if (next === undefined) return false;
    if (next instanceof Error) return this.#refuse(reply, next);
    if (++this.#redirects > MAX_REDIRECTS) return this.#refuse(reply, new Error('redirect count exceeded'));
    drain(reply.body);
    this.#hop = next;
    this.#send();
    return true;
  }

  #refuse(reply: Reply, cause: Error): true {
    drain(reply.body);
    this.#settled();
    this.#reject(new FetchError('fetch failed', cause));
    return true;
  }

  #check(info: ResponseInfo, body: Body, integrity: string): void {
    const tooLarge = (limit: number) =>
      new ReplyTooLargeError(`integrity is checked for replies of up to ${limit} bytes`);
    collect(body, MAX_CHECKED_BYTES, tooLarge).then((bytes) => {
      if (matchesIntegrity(bytes, integrity)) this.#resolve(makeResponse(info, new BytesBody(bytes)));
      else this.#reject(new FetchError('fetch failed', new Error('integrity mismatch')));
    }, this.#onError);
  }
}

/** Lets a body go that nobody reads: a short one to its end, so that the connection can be used again. */
function drain(body: Body): void {
  let size = 0;
  body.pipe({
    write(chunk) {
      size += chunk.byteLength;
      if (size > DRAIN_BYTES) body.cancel();
      return true;
    },
    end() {},
    fail() {},
  });
}
