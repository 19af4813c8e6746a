import { TLSSocket } from 'node:tls';
import { type ConnectionInjector, Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import { type Acceptor, FACE, type Face, type FaceEnv, type HasFace } from './face.js';
import { knowGrpcSocket } from '../tls/grpc-ends.js';
import { GrpcConnections, routing } from './grpc-gate.js';

type Closer = (force: boolean) => Promise<void>;

/**
 * grpc-js's Server under configuration from xDS (gRFC A36). Services are added as always; instead of being bound it is served by the mesh:
 *
 * ```ts
 * const server = new XdsServer();
 * server.addService(ReviewsService, reviews);
 * const serving = await mesh.serve(server, { address: '0.0.0.0:8080' });
 * ```
 *
 * `tryShutdown` and `forceShutdown` end the serving too.
 */
export class XdsServer extends Server implements HasFace {
  readonly #connections: GrpcConnections;
  /** How to end each serving of this server. */
  readonly #closers = new Set<Closer>();

  constructor(options: ServerOptions = {}) {
    const connections = new GrpcConnections();
    super({ ...options, interceptors: [routing(connections), ...(options.interceptors ?? [])] });
    this.#connections = connections;
  }

  [FACE](env: FaceEnv): Face {
    let closer: Closer | undefined;
    return {
      allowHalfOpen: false,
      maxConnections: undefined,
      open: () => this.#acceptor(env),
      onClosed: (closed) => {
        closer = closed;
        this.#closers.add(closed);
      },
      close: () => {
        if (closer !== undefined) this.#closers.delete(closer);
      },
    };
  }

  /** Not for this server: calls on a port that the mesh did not open would have no routes. */
  override bindAsync(): never {
    throw new Error('an XdsServer is not bound: serve it with mesh.serve(server, { address })');
  }

  override tryShutdown(callback: (error?: Error) => void): void {
    void this.#close(false).then(() => super.tryShutdown(callback));
  }

  override forceShutdown(): void {
    super.forceShutdown();
    void this.#close(true);
  }

  async #close(force: boolean): Promise<void> {
    await Promise.all([...this.#closers].map((close) => close(force)));
  }

  /** One injector per version of the listener, so that its sessions can be told to go and no others; under TLS, where each has its own time to go, per connection. */
  #acceptor(env: FaceEnv): Acceptor {
    let shared: ConnectionInjector | undefined;
    const own = new Set<ConnectionInjector>();
    return {
      alpn: ['h2'],
      accept: (connection) => {
        const { socket } = connection;
        this.#connections.add({ ...connection, env });
        const secure = socket instanceof TLSSocket;
        if (!secure && shared !== undefined) {
          shared.injectConnection(socket);
          return () => {};
        }
        // The sockets come with their TLS: for grpc-js there is none.
        const injector = this.createConnectionInjector(ServerCredentials.createInsecure());
        const end = (): void => {
          if (own.delete(injector)) injector.destroy();
        };
        if (secure) {
          own.add(injector);
          knowGrpcSocket(socket);
          socket.once('close', end);
        } else shared = injector;
        injector.injectConnection(socket);
        return secure ? end : () => {};
      },
      drain: () => {
        // GOAWAY on every session; calls under way finish. (`drain` would do so too, and leave a timer of its own behind.)
        shared?.destroy();
        shared = undefined;
        for (const injector of own) injector.destroy();
        own.clear();
      },
    };
  }
}
