import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import type { Protocol, Scheme } from '../../core/call.js';
import type { DeadlineEntry } from '../../core/deadlines.js';
import { type HeaderFields, headerFields } from '../../core/headers.js';
import type { RequestView } from '../../routing/request.js';
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
    const key = ends(socket);
    this.#byEnds.set(key, connection);
    socket.once('close', () => {
      // A new connection between the same ends may have come before this one was seen to be over.
      if (this.#byEnds.get(key) === connection) this.#byEnds.delete(key);
    });
  }

  find(info: ConnectionInfo): GrpcConnection | undefined {
    return this.#byEnds.get(ends(info));
  }
}

const ends = ({ remoteAddress, remotePort, localAddress, localPort }: ConnectionInfo): string =>
  `${remoteAddress}|${remotePort}|${localAddress}|${localPort}`;

/** Serves calls as the routes of their connection's filter chain decide. Must be the first: the later ones hear only of calls that are served. */
export function routing(connections: GrpcConnections): ServerInterceptor {
  return (method, call) => {
    let limit: DeadlineEntry | undefined;
    let overdue = false;
    const limited = new LimitedCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, forward) {
            const connection = connections.find(call.getConnectionInfo());
            const problem = connection === undefined ? NOT_OURS : refusal(connection, method.path, call, metadata);
            if (connection === undefined || problem !== undefined) {
              call.sendStatus({ code: status.UNAVAILABLE, details: problem ?? NOT_OURS });
              return;
            }
            const { maxDurationMs } = connection.routes;
            if (maxDurationMs !== undefined) {
              const { deadlines, clock } = connection.env;
              limited.limitAt = clock.wallTime() + maxDurationMs;
              limit = deadlines.watch(clock.now() + maxDurationMs, () => {
                overdue = true;
                call.sendStatus({
                  code: status.DEADLINE_EXCEEDED,
                  details: 'the call took longer than max_stream_duration',
                });
              });
            }
            forward(metadata);
          },
          onCancel: () => limit?.stop(),
        }),
      sendMessage(message, forward) {
        if (!overdue) forward(message);
      },
      sendStatus(sent, forward) {
        limit?.stop();
        if (!overdue) forward(sent);
      },
    });
    return limited;
  };
}

const NOT_OURS = 'the connection was not accepted by the xDS server, or is gone';

/** Undefined when the call is to be served. */
function refusal(connection: Connection, path: string, call: ServerCall, metadata: Metadata): string | undefined {
  const decision = connection.routes.decide(new GrpcView(path, call.getHost(), metadata));
  return decision.kind === 'refuse' ? decision.message : undefined;
}

/** Handlers and later interceptors see the server's limit as the caller's deadline, when it is the sooner one (gRFC A31). */
class LimitedCall extends ServerInterceptingCall {
  /** Wall time in milliseconds; Infinity: no limit. */
  limitAt = Number.POSITIVE_INFINITY;

  override getDeadline(): Date | number {
    const deadline = super.getDeadline();
    return Math.min(typeof deadline === 'number' ? deadline : deadline.getTime(), this.limitAt);
  }
}

/** A gRPC call as routes see it. Metadata is read when a route asks for a header. */
class GrpcView implements RequestView {
  readonly protocol: Protocol = 'grpc';
  readonly scheme: Scheme = 'http';
  readonly method = 'POST';
  #headers: HeaderFields | undefined;

  constructor(
    readonly path: string,
    readonly host: string,
    private readonly metadata: Metadata,
  ) {}

  get headers(): HeaderFields {
    this.#headers ??= textFields(this.metadata);
    return this.#headers;
  }
}

/** Binary fields are invisible to routes (gRFC A28). */
function textFields(metadata: Metadata): HeaderFields {
  const fields = headerFields();
  for (const name of Object.keys(metadata.getMap())) {
    const values = metadata.get(name).filter((value): value is string => typeof value === 'string');
    if (values.length > 0) fields[name] = values;
  }
  return fields;
}
