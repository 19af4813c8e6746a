import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type ConnectionInjector, type Server, ServerCredentials } from '@grpc/grpc-js';
import { DecodeError } from '../../core/decode.js';
import { knowGrpcSocket } from './grpc-ends.js';

/**
 * Hands connections to a grpc-js server. One injector for all that have no TLS, so that their sessions can be told to go and no others; under TLS, where each has its
 * own time to go, one per connection.
 */
export class Injection {
  #shared: ConnectionInjector | undefined;
  readonly #own = new Set<ConnectionInjector>();

  constructor(private readonly server: Pick<Server, 'createConnectionInjector'>) {}

  /** Throws DecodeError where the server takes nothing of ours: each copy of grpc-js knows its own credentials only. */
  check(): void {
    try {
      this.server.createConnectionInjector(ServerCredentials.createInsecure()).destroy();
    } catch {
      throw new DecodeError(
        'secure',
        "the server is of another copy of @grpc/grpc-js than the mesh's: have one in the project (npm ls @grpc/grpc-js; a linked package brings its own: npm install " +
          '--install-links)',
      );
    }
  }

  /** Returns how to tell the client to go, where it can be told alone. */
  add(socket: Socket): () => void {
    const secure = socket instanceof TLSSocket;
    if (!secure && this.#shared !== undefined) {
      this.#shared.injectConnection(socket);
      return () => {};
    }
    // The sockets come with their TLS: for grpc-js there is none.
    const injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
    const end = (): void => {
      if (this.#own.delete(injector)) injector.destroy();
    };
    if (secure) {
      this.#own.add(injector);
      knowGrpcSocket(socket);
      socket.once('close', end);
    } else this.#shared = injector;
    injector.injectConnection(socket);
    return secure ? end : () => {};
  }

  /** GOAWAY on every session; calls under way finish. (grpc-js's `drain` would do so too, and leave a timer of its own behind.) */
  drain(): void {
    this.#shared?.destroy();
    this.#shared = undefined;
    for (const injector of this.#own) injector.destroy();
    this.#own.clear();
  }
}
