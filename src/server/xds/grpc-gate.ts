import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import type { DeadlineEntry } from '../../core/deadlines.js';
import { peerOf } from '../../core/identity.js';
import { type InboundContext, inboundContext } from '../context.js';
import { pass } from '../gate.js';
import { addMetadata, monotonic, refuse, takeReplyHeaders, withHeaders } from '../grpc.js';
import { GrpcView } from '../grpc-view.js';
import type { Refusal } from '../refusal.js';
import { endsOf } from '../tls/grpc-ends.js';
import { Requester } from '../tls/with-peer.js';
import type { Connection, FaceEnv } from './face.js';

type ServerCall = ConstructorParameters<typeof ServerInterceptingCall>[0];
type ConnectionInfo = ReturnType<ServerCall['getConnectionInfo']>;

export interface GrpcConnection extends Connection {
  readonly env: FaceEnv;
}

/** The connections of a server by their two ends: all that grpc-js tells of a call's connection. */
export class GrpcConnections {
  readonly #byEnds = new Map<string, GrpcConnection>();

  add(connection: GrpcConnection): void {
    const { socket } = connection;
    const key = endsOf(socket);
    // Gone already; its calls are refused (`NOT_OURS`).
    if (key === undefined) return;
    this.#byEnds.set(key, connection);
    socket.once('close', () => {
      // A new connection between the same ends may have come before this one was seen to be over.
      if (this.#byEnds.get(key) === connection) this.#byEnds.delete(key);
    });
  }

  find(info: ConnectionInfo): GrpcConnection | undefined {
    const key = endsOf(info);
    return key === undefined ? undefined : this.#byEnds.get(key);
  }
}

/** Serves calls as the routes of their connection's filter chain decide. Must be the first: the later ones hear only of calls that are served. */
export function routing(connections: GrpcConnections): ServerInterceptor {
  return (method, call) => {
    let limit: DeadlineEntry | undefined;
    let overdue = false;
    // Where gates ask for one.
    let context: InboundContext | undefined;
    let requester: Requester | undefined;
    const inside = (next: () => void): void => (requester === undefined ? next() : requester.inside(next));
    const limited = new LimitedCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, forward) {
            const connection = connections.find(call.getConnectionInfo());
            if (connection === undefined) return unavailable(call, NOT_OURS);
            const { socket } = connection;
            const calledBy = new Requester(peerOf(socket));
            requester = calledBy;
            const view = new GrpcView(method.path, call.getHost(), metadata, socket, socket, call);
            const decision = connection.routes.decide(view);
            if (decision.kind === 'refuse') return unavailable(call, decision.message);
            const { maxDurationMs } = connection.routes;
            if (maxDurationMs !== undefined) {
              const { deadlines, clock } = connection.env;
              limited.limitAt = clock.wallTime() + maxDurationMs;
              limit = deadlines.watch(clock.now() + maxDurationMs, () => {
                overdue = true;
                context?.over();
                call.sendStatus({
                  code: status.DEADLINE_EXCEEDED,
                  details: 'the call took longer than max_stream_duration',
                });
              });
            }
            const { gates } = decision;
            if (gates === undefined) return inside(() => forward(metadata));
            const { clock } = connection.env;
            const made = inboundContext(view.headers, clock, undefined, monotonic(limited.getDeadline(), clock));
            context = made;
            made.makeView = () => view;
            made.connection = socket;
            made.trustedHops = connection.trustedHops;
            const passage = pass(gates, made, 'grpc');
            const go = (refusal: Refusal | undefined): void => {
              // Cancelled, or answered, while it waited.
              if (made.isOver) return;
              if (refusal === undefined) {
                calledBy.caller = made.caller;
                addMetadata(metadata, made.requestHeaders);
                return inside(() => forward(metadata));
              }
              limit?.stop();
              made.answered('grpc', refusal.grpcStatus);
              made.over();
              refuse(call, refusal);
            };
            if (passage instanceof Promise) void passage.then(go);
            else go(passage);
          },
          onReceiveMessage: (message, forward) => inside(() => forward(message)),
          onReceiveHalfClose: inside,
          onCancel() {
            limit?.stop();
            // grpc-js tells of a cancellation at the end of every call, also of one that was answered.
            if (context?.isOver === false) context.callerGone();
          },
        }),
      sendMetadata(sent, forward) {
        forward(withHeaders(sent, takeReplyHeaders(context)));
      },
      sendMessage(message, forward) {
        if (!overdue) forward(message);
      },
      sendStatus(sent, forward) {
        limit?.stop();
        context?.answered('grpc', sent.code);
        context?.over();
        const headers = takeReplyHeaders(context);
        if (overdue) return;
        // Trailers-only, where no message came before it.
        forward(headers === undefined ? sent : { ...sent, metadata: withHeaders(sent.metadata, headers) });
      },
    });
    return limited;
  };
}

const NOT_OURS = 'the connection was not accepted by the xDS server, or is gone';

const unavailable = (call: ServerCall, details: string): void => call.sendStatus({ code: status.UNAVAILABLE, details });

/** Handlers and later interceptors see the server's limit as the caller's deadline, when it is the sooner one (gRFC A31). */
class LimitedCall extends ServerInterceptingCall {
  /** Wall time in milliseconds; Infinity: no limit. */
  limitAt = Number.POSITIVE_INFINITY;

  override getDeadline(): Date | number {
    const deadline = super.getDeadline();
    return Math.min(typeof deadline === 'number' ? deadline : deadline.getTime(), this.limitAt);
  }
}
