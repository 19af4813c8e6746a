import type {
  Http2Server,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Protocol } from '../../core/call.js';
import { type InboundContext, inboundContext } from '../context.js';
import { goOn, pass } from '../gate.js';
import { Http2Drain } from '../http2-drain.js';
import { takeFromPath } from '../taken-params.js';
import { carryPeer } from '../tls/carrier.js';
import { type Requester, withPeer } from '../tls/with-peer.js';
import { grpcRefusalHeaders, type Refusal, refusalReply } from '../refusal.js';
import { Http2View } from '../view.js';
import type { Refuse } from './chain-routes.js';
import type { Acceptor, Connection, Face, FaceEnv } from './face.js';
import { gateEvents } from './event-gate.js';
import { changeFields, replacing } from './header-changes.js';
import { changeResponse } from './http2-headers.js';
import { refusalStatus } from './http1-connection.js';

/** RFC 9113 section 7. */
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;
const CANCEL = 8;
/** grpc/doc/statuscodes.md. */
const UNAVAILABLE = '14';
const UNKNOWN = '2';

/** A connection whose session is being made. */
interface Accepting {
  readonly connection: Connection;
  /** Of all connections of its acceptor. */
  readonly drains: Set<Http2Drain>;
  /** That of the session, once it is there. */
  drain?: Http2Drain;
}

/** A node:http2 server without TLS: HTTP/2 with prior knowledge. */
export class Http2Face implements Face {
  readonly allowHalfOpen = false;
  readonly #sessions = new WeakMap<ServerHttp2Session, Connection>();
  readonly #removeGates: () => void;
  /** The one whose session is being made. */
  #accepting: Accepting | undefined;
  #onServerClosed: () => void = () => {};

  constructor(
    private readonly server: Http2Server,
    private readonly env: FaceEnv,
  ) {
    this.#removeGates = gateEvents(server, {
      session: (_later: () => void, session: ServerHttp2Session) => this.#session(session),
      stream: (
        later: () => void,
        stream: ServerHttp2Stream,
        headers: IncomingHttpHeaders,
        _flags: number,
        raw: string[],
      ) =>
        withPeer(stream.session?.socket, later, (enter, requester) =>
          this.#stream(stream, headers, raw, enter, requester),
        ),
    });
  }

  get maxConnections(): number | undefined {
    return this.server.maxConnections;
  }

  open(): Acceptor {
    const drains = new Set<Http2Drain>();
    return {
      alpn: ['h2'],
      accept: (connection) => {
        const accepting: Accepting = { connection, drains };
        this.#accepting = accepting;
        this.server.emit('connection', connection.socket);
        this.#accepting = undefined;
        return () => accepting.drain?.begin();
      },
      drain: () => {
        for (const drain of [...drains]) drain.begin();
      },
    };
  }

  onClosed(closed: (force: boolean) => Promise<void>): void {
    this.#onServerClosed = () => void closed(false);
    this.server.once('close', this.#onServerClosed);
  }

  close(): void {
    this.server.off('close', this.#onServerClosed);
    this.#removeGates();
  }

  /** Node makes the session while it is handed the connection. */
  #session(session: ServerHttp2Session): boolean {
    if (this.#accepting === undefined) return true;
    const { connection, drains } = this.#accepting;
    this.#sessions.set(session, connection);
    carryPeer(session, connection.socket);
    const drain = new Http2Drain(session);
    this.#accepting.drain = drain;
    drains.add(drain);
    session.once('close', () => drains.delete(drain));
    // A client that breaks the protocol ends its session, not the process.
    session.on('error', (error) => this.env.logger.debug('HTTP/2 client failed', { error: String(error) }));
    return true;
  }

  #stream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: string[],
    later: () => void,
    requester: Requester,
  ): boolean {
    const connection =
      stream.session === undefined ? undefined : this.#sessions.get(stream.session as ServerHttp2Session);
    if (connection === undefined) return true;
    const view = new Http2View(headers, stream.session?.socket as Socket | undefined, stream);
    const { routes } = connection;
    const decision = routes.decide(view);
    if (decision.kind === 'refuse') {
      refuse(stream, decision, view.protocol === 'grpc');
      return false;
    }
    const browser = decision.cors?.(view);
    if (browser?.kind === 'preflight') {
      answer(stream, { ':status': 200, ...browser.headers });
      return false;
    }
    const { maxDurationMs } = routes;
    if (maxDurationMs !== undefined) {
      const { deadlines, clock } = this.env;
      // Reset, as when the client goes away: the application is free to respond until it hears of the end.
      const limit = deadlines.watch(clock.now() + maxDurationMs, () => stream.close(CANCEL));
      stream.once('close', () => limit.stop());
    }
    // What is put around it last changes the head first: what browsers are told stands (Envoy's filters, the router before CORS).
    if (browser !== undefined) changeResponse(stream, replacing(browser.headers));
    const routed = (): void => {
      if (decision.requestHeaders !== undefined) changeFields(headers, raw, decision.requestHeaders(view));
      if (decision.responseHeaders !== undefined) changeResponse(stream, decision.responseHeaders(view));
    };
    const { gates } = decision;
    if (gates === undefined) {
      routed();
      return true;
    }
    const context = this.#context(stream, view, connection.trustedHops);
    return goOn(pass(gates, context, view.protocol), later, (refusal) => {
      if (refusal !== undefined) return refuseBy(stream, refusal, view.protocol === 'grpc');
      requester.caller = context.caller;
      letIn(stream, context);
      if (context.requestHeaders !== undefined) changeFields(headers, raw, replacing(context.requestHeaders));
      if (context.takenParams !== undefined) takeFromPath(headers, raw, context.takenParams);
      routed();
    });
  }

  #context(stream: ServerHttp2Stream, view: Http2View, trustedHops: number): InboundContext {
    const context = inboundContext(view.headers, this.env.clock);
    context.makeView = () => view;
    context.connection = stream.session?.socket;
    context.trustedHops = trustedHops;
    stream.once('close', () => {
      context.answered(view.protocol, sentStatus(stream, view.protocol));
      if (stream.rstCode === NO_ERROR) context.over();
      else context.callerGone();
    });
    return context;
  }
}

/** What the gates want of the response of a request that has passed them. */
function letIn(stream: ServerHttp2Stream, context: InboundContext): void {
  if (context.replyHeaders !== undefined) changeResponse(stream, replacing(context.replyHeaders));
}

/** The status of the answer, the protocol's own; a reply that broke off before it said one has failed. */
function sentStatus({ sentHeaders, sentTrailers }: ServerHttp2Stream, protocol: Protocol): number {
  if (protocol !== 'grpc') return Number(sentHeaders?.[':status'] ?? 0);
  // Trailers-only: there is no more of the reply than its head.
  return Number(sentTrailers?.['grpc-status'] ?? sentHeaders?.['grpc-status'] ?? UNKNOWN);
}

/** A refusal by a gate. */
function refuseBy(stream: ServerHttp2Stream, refusal: Refusal, grpc: boolean): void {
  if (refusal.reset === true) {
    stream.on('error', () => {});
    stream.close(INTERNAL_ERROR);
    return;
  }
  if (grpc) return answer(stream, { ':status': 200, ...grpcRefusalHeaders(refusal) });
  const { status, headers, body } = refusalReply(refusal);
  answer(stream, { ':status': status, ...headers }, body);
}

function refuse(stream: ServerHttp2Stream, decision: Refuse, grpc: boolean): void {
  if (!grpc) {
    const head = { ':status': refusalStatus(decision), 'content-type': 'text/plain' };
    return answer(stream, head, `${decision.message}\n`);
  }
  answer(stream, {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': UNAVAILABLE,
    'grpc-message': encodeURIComponent(decision.message),
  });
}

/** A whole response of our own; the application does not hear of the request. */
function answer(stream: ServerHttp2Stream, head: OutgoingHttpHeaders, body?: string | Uint8Array): void {
  // Nobody else hears of the stream, and an error that nobody listens for would end the process.
  stream.on('error', () => {});
  // Listeners of the session hear of a stream before those of the server do: the application may have ended it, as limits on resets do.
  if (stream.destroyed || stream.closed) return;
  // "A server MAY ... request that the client abort transmission of a request without error by sending a RST_STREAM" - RFC 9113 section 8.1
  stream.once('finish', () => stream.close(NO_ERROR));
  stream.respond(head, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
}
