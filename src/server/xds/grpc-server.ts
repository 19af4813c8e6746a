import { Server, type ServerOptions } from '@grpc/grpc-js';
import { type Acceptor, FACE, type Face, type FaceEnv, type HasFace } from './face.js';
import { Injection } from '../tls/injection.js';
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

  /** One injection per version of the listener, so that its sessions can be told to go and no others. */
  #acceptor(env: FaceEnv): Acceptor {
    const injection = new Injection(this);
    return {
      alpn: ['h2'],
      accept: (connection) => {
        this.#connections.add({ ...connection, env });
        return injection.add(connection.socket);
      },
      drain: () => injection.drain(),
    };
  }
}
