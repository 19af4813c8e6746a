import type { Socket } from 'node:net';
import type { BodyFlow, BodySink } from '../core/body.js';
import { Call } from '../core/call.js';
import { failedHead, grpcStatusOf } from '../core/classify.js';
import type { MeshError } from '../core/errors.js';
import { peerOf } from '../core/identity.js';
import { endToEndHeaders, type HeaderFields, headerFields } from '../core/headers.js';
import { PRIORITY_HEADER } from '../core/mesh-headers.js';
import { localReply, type Reply } from '../core/reply.js';
import { defaultReserveMs } from '../resilience/deadline/reserve.js';
import type { Ended, Permit } from '../resilience/shedding/shedder.js';
import type { InboundContext } from '../server/context.js';
import { downstreamOf } from '../server/downstream.js';
import { isEventStream } from '../server/event-stream.js';
import { isEncrypted } from '../server/tls/carrier.js';
import { forwardedClient, passedBefore, signClientCert, signForwarded } from './forwarded.js';
import { clientGone, type InboundBody } from './inbound-body.js';
import { addReplyHeaders, proxyRefusal, requestHeaders } from './policies.js';
import type { ProxyEnv } from './options.js';
import type { Refusal as ServerRefusal } from '../server/refusal.js';
import { loopDetected, misdirected, type Refusal, refusalOf } from './refusal.js';
import { type Accepted, accept, type RequestHead } from './request.js';

/** What all requests of one proxy share. */
export interface ExchangeEnv extends ProxyEnv {
  /** This proxy's name in Via. */
  readonly name: string;
  /** True once the proxy is closing: clients are asked to go elsewhere. */
  draining(): boolean;
}

/**
 * One request of a client: in as a Call, and the Reply back as it comes. What is said here holds for every protocol; how it is said is
 * the subclass's. Ends once, in one of: the reply's last byte, a refusal, a broken reply, a client that went away.
 */
export abstract class Exchange implements BodySink {
  #call: Call | undefined;
  /** What policies know of the request, where there are any. */
  #context: InboundContext | undefined;
  #requestBody: InboundBody | undefined;
  #reply: Reply | undefined;
  /** The place that the request takes, where requests are shed. */
  #permit: Permit | undefined;
  #flow: BodyFlow | undefined;
  /** Nothing more is sent. Written by the first of the four ends. */
  #over = false;
  /** Bytes of body that the head announced and that were not sent yet; Infinity when it announced none. */
  #owed = Number.POSITIVE_INFINITY;
  /** HEAD, 204, 304: a body is read to its end, and not sent. */
  #bodyless = false;

  constructor(protected readonly env: ExchangeEnv) {}

  /** Sends status and headers. `empty`: nothing follows. May throw when Node refuses a field. */
  protected abstract sendHead(status: number, headers: HeaderFields, empty: boolean): void;
  /** Sends the head if it still waits for the first chunk. */
  protected abstract flushHead(): void;
  /** False: wait for `drained`. */
  protected abstract sendChunk(chunk: Uint8Array): boolean;
  protected abstract sendEnd(trailers: HeaderFields | undefined): void;
  /** An answer of the proxy's own; the head is not out yet. */
  protected abstract sendRefusal(refusal: Refusal): void;
  /** The reply broke off after its head: the client must not take it for whole. */
  protected abstract breakOff(error: MeshError | undefined): void;
  /** There is no reply, not even a head: a fault on purpose, which is to look like a lost connection. */
  protected abstract cut(): void;
  /** The request's body; undefined when it has none. */
  protected abstract requestBody(accepted: Accepted): InboundBody | undefined;

  /** Judges a request and sends it on. `OPTIONS *` is about this server, not about a resource (RFC 9110 section 9.3.7). */
  protected begin(head: RequestHead, socket: Socket | undefined, raw: object): void {
    const { env } = this;
    if (head.method === 'OPTIONS' && head.target === '*') return this.#answer(localReply(204), head.method);
    const accepted = accept(head, env.limits.maxHeaders);
    if ('status' in accepted) return this.refuse(accepted);
    const { authority, headers } = accepted;
    // `:scheme` of HTTP/2 is about the hop that ends here; whether there is TLS on the next one, the mesh knows.
    const endsTls = env.front !== undefined && isEncrypted(socket);
    const scheme = endsTls && head.version === '2.0' ? 'http' : accepted.scheme;
    if (endsTls) headers['x-forwarded-proto'] ??= 'https';
    // What stands behind may well ask others that ask it again.
    if (env.app === undefined && passedBefore(headers, env.name)) return this.refuse(loopDetected(authority));
    if (!env.mayName(authority)) return this.refuse(misdirected(authority));
    if (!env.trustPriority) delete headers[PRIORITY_HEADER];
    signClientCert(headers, peerOf(socket));
    const { policies } = env;
    if (policies === undefined) return this.#send(head, { ...accepted, scheme }, socket);
    const context = policies.context(head, { ...accepted, scheme }, { socket, raw });
    this.#context = context;
    const go = (refusal: ServerRefusal | undefined): void => {
      if (this.#over) return policies.withdrawn(context);
      if (refusal?.reset === true) return this.#cut();
      if (refusal?.isAnswer === true)
        return this.#answer(localReply(refusal.status, headerFields(refusal.headers)), head.method);
      if (refusal !== undefined) return this.refuse(proxyRefusal(refusal));
      const path = context.view?.path ?? accepted.path;
      const passed = { ...accepted, path, scheme, headers: requestHeaders(context, headers) };
      this.#send(head, passed, socket);
    };
    const passage = policies.refusal(context, accepted.protocol);
    if (passage instanceof Promise) void passage.then(go);
    else go(passage);
  }

  /** What may go on goes on. */
  #send(head: RequestHead, accepted: Accepted, socket: Socket | undefined): void {
    const { env } = this;
    const { protocol, scheme, authority, path, headers, timeoutMs } = accepted;
    const permit = env.shedding?.admit(protocol, path, headers);
    if (permit !== undefined && 'status' in permit) return this.refuse(permit);
    this.#permit = permit;
    const downstream = downstreamOf(socket, head.version === '2.0' ? 'HTTP/2' : `HTTP/${head.version}`);
    const remote = forwardedClient(downstream.remote, headers['x-forwarded-for'], env.trustedHops);
    signForwarded(headers, head.version, env.name, socket?.remoteAddress);
    const body = this.requestBody(accepted);
    this.#requestBody = body;
    const { method } = head;
    const call = new Call({
      protocol,
      // Plain text, whatever the client says of the scheme.
      scheme: env.app === undefined ? scheme : 'http',
      authority,
      method,
      path,
      headers,
      body,
      claims: this.#context?.caller?.claims,
      timeoutMs: timeoutMs === undefined ? undefined : timeoutMs - (env.reserveMs ?? defaultReserveMs(timeoutMs)),
      downstream: remote === downstream.remote ? downstream : { ...downstream, remote },
    });
    this.#call = call;
    env.service(call).then(
      (reply) => this.#answer(reply, method),
      (error: unknown) => this.#rejected(error),
    );
  }

  protected refuse(refusal: Refusal): void {
    if (this.#over) return;
    this.#permit?.end(refusal.status === 504 ? 'left' : 'failed');
    this.#finish();
    try {
      this.sendRefusal(refusal);
    } catch (error) {
      if (refusal.changes === undefined) throw error;
      this.#unsendable(error);
      const { changes: _, ...plain } = refusal;
      this.sendRefusal(plain);
    }
  }

  /** The client can take more. */
  protected drained(): void {
    this.#flow?.resume();
  }

  /** The connection or the stream is closed. */
  protected gone(): void {
    this.#permit?.end('left');
    this.#context?.callerGone();
    if (this.#over) return;
    this.#over = true;
    const reason = clientGone();
    this.#call?.cancel(reason);
    this.#reply?.body.cancel(reason);
    this.#requestBody?.broken(undefined);
  }

  #answer(reply: Reply, method: string): void {
    if (this.#over) return reply.body.cancel(clientGone());
    this.#reply = reply;
    const { status } = reply;
    const headers = endToEndHeaders(reply.headers);
    addReplyHeaders(this.#context, headers);
    this.#bodyless = method === 'HEAD' || status === 204 || status === 304;
    // "A server MUST NOT send a Content-Length header field in any response with a status code of 204" - RFC 9110 section 8.6.
    if (status === 204) delete headers['content-length'];
    const { size } = reply.body;
    const announced = headers['content-length'];
    if (announced === undefined && size !== undefined && !this.#bodyless && this.#call?.protocol === 'http') {
      headers['content-length'] = String(size);
    }
    if (!this.#bodyless && headers['content-length'] !== undefined) this.#owed = Number(headers['content-length']);
    // "Trailers-Only is permitted for calls that produce an immediate error": the status is in the one header block.
    const trailersOnly = this.#call?.protocol === 'grpc' && headers['grpc-status'] !== undefined;
    const empty = this.#bodyless || trailersOnly;
    try {
      this.sendHead(status, headers, empty);
    } catch (error) {
      this.#unsendable(error);
      reply.body.cancel();
      return this.refuse(unsendable);
    }
    this.#bodyless = empty;
    this.#flow = reply.body.pipe(this);
    // Nobody says whether a gRPC call is a stream, and one that is none ends with its head, or soon after. Envoy counts streams until their end
    // (AdaptiveConcurrencyFilter::encodeComplete), so that a few clients that listen for long shut out all others.
    if (this.#call?.protocol === 'grpc' || isEventStream(headers['content-type'])) this.#permit?.end(this.#ended());
    // The body may take its time: the client has the head now.
    if (!this.#over) this.flushHead();
  }

  #rejected(error: unknown): void {
    const refusal = refusalOf(error);
    if (refusal.code === 'FAULT_INJECTED') return this.#cut();
    if (refusal.code === 'INTERNAL') {
      this.env.logger.error('a call failed with an error that is no MeshError', {
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
    this.refuse({ ...refusal, changes: this.#call?.record.replyChanges });
  }

  #unsendable(error: unknown): void {
    this.env.logger.warn('a reply has a head that cannot be sent', {
      authority: this.#call?.authority,
      error: String(error),
    });
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over || this.#bodyless) return true;
    this.#owed -= chunk.byteLength;
    if (this.#owed < 0) {
      // What is too much would be read as the next reply on this connection.
      this.#break(undefined);
      return true;
    }
    return this.sendChunk(chunk);
  }

  end(trailers?: HeaderFields): void {
    if (this.#over) return;
    if (!this.#bodyless && this.#owed > 0 && this.#owed !== Number.POSITIVE_INFINITY) return this.#break(undefined);
    this.#finish();
    this.sendEnd(this.#bodyless || trailers === undefined ? undefined : endToEndHeaders(trailers));
  }

  fail(error: MeshError): void {
    if (!this.#over) this.#break(error);
  }

  #cut(): void {
    if (this.#over) return;
    this.#finish();
    this.cut();
  }

  #break(error: MeshError | undefined): void {
    this.#permit?.end('failed');
    this.#finish();
    this.#reply?.body.cancel(error);
    this.breakOff(error);
  }

  /** The answer is complete: what the client still sends has no taker. */
  #finish(): void {
    this.#over = true;
    this.#permit?.end(this.#ended());
    this.#overForPolicies();
    this.#requestBody?.cancel();
  }

  #overForPolicies(): void {
    const context = this.#context;
    if (context === undefined || context.isOver) return;
    const [call, reply] = [this.#call, this.#reply];
    if (call !== undefined)
      context.answered(call.protocol, reply === undefined ? 500 : (grpcStatusOf(reply, undefined) ?? reply.status));
    context.over();
  }

  /** How long failures take tells nothing of how full the proxy is, but for those that took too long. */
  #ended(): Ended {
    const call = this.#call;
    const reply = this.#reply;
    if (call === undefined || reply === undefined) return 'failed';
    if (!failedHead(call, reply)) return 'served';
    return reply.status === 504 || grpcStatusOf(reply, undefined) === 4 ? 'left' : 'failed';
  }
}

const unsendable: Refusal = {
  status: 502,
  grpcStatus: 13,
  code: 'PROTOCOL_ERROR',
  origin: 'workload',
  flag: 'UPE',
  message: 'the service answered with a header field that cannot be sent on',
};
