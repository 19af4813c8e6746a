import type { Server } from '@grpc/grpc-js';
import { DecodeError } from '../../core/decode.js';
import { MeshClosedError } from '../../core/errors.js';
import type { Meter } from '../../core/meter.js';
import type { Address } from '../../core/model/endpoint.js';
import type { ServerParts } from '../parts.js';
import { FACE } from '../xds/face.js';
import { listenAddress } from '../xds/listen-address.js';
import { Port } from '../xds/port.js';
import { SecureFront, type SecureMode } from './front.js';
import { Injection } from './injection.js';
import { type SecuredServer, type SecureOptions, type SecureSettings, secureSettings } from './secure-options.js';

/**
 * Puts mutual TLS in front of grpc-js's Server, which is not bound then: the mesh listens in its place, and hands it connections whose clients it has verified.
 *
 * (ServerCredentials of our own for `bindAsync` could not do that: grpc-js makes TLS itself of what credentials give it, lets in whom OpenSSL lets in before anybody
 * else can look, says nothing of why it does not, and has certificates that change in its experimental interface only.)
 *
 * The server's `tryShutdown` and `forceShutdown` close the port, too. Resolves when it listens. Throws DecodeError.
 */
export async function secureGrpcServer(
  server: Server,
  options: SecureOptions,
  parts: ServerParts,
  meter: Meter,
): Promise<SecuredServer> {
  if (FACE in server) throw new DecodeError('secure', 'an XdsServer is served with mesh.serve(server, { address })');
  const settings = secureSettings(options, parts);
  const { address } = options;
  if (address === undefined)
    throw new DecodeError('secure.address', 'must say where to listen: a grpc-js server does not do that by itself');
  const secured = new SecuredGrpc(server, settings, parts, meter);
  await secured.listen(listenAddress(address, 'secure.address', 0));
  return secured;
}

class SecuredGrpc implements SecuredServer {
  readonly #front: SecureFront;
  readonly #injection: Injection;
  #port: Port | undefined;
  #address: Address | undefined;
  #giveBack: (() => void) | undefined;
  #closed = false;

  constructor(
    private readonly server: Server,
    { mode, service }: SecureSettings,
    parts: ServerParts,
    meter: Meter,
  ) {
    this.#injection = new Injection(server);
    this.#injection.check();
    this.#front = new SecureFront({ mode, service, alpn: ['h2'] }, parts, meter, (socket) =>
      this.#injection.add(socket),
    );
    parts.onClose(() => this.close());
  }

  get mode(): SecureMode | undefined {
    return this.#front.mode;
  }

  get address(): Address | undefined {
    return this.#address;
  }

  listen(address: Address): Promise<void> {
    return new Promise((resolve, reject) => {
      const port = new Port({
        address,
        allowHalfOpen: false,
        maxConnections: () => undefined,
        onConnection: (socket) => {
          if (this.mode === 'disabled') this.#injection.add(socket);
          else this.#front.accept(socket, () => this.#injection.add(socket));
        },
        onFailed: (error) => {
          this.close();
          reject(error);
        },
      });
      this.#port = port;
      if (this.#closed) return reject(new MeshClosedError());
      port.open((bound) => {
        this.#address = { host: address.host, port: bound };
        this.#giveBack = endingWith(this.server, () => this.close());
        resolve();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#giveBack?.();
    this.#giveBack = undefined;
    this.#port?.close();
    this.#front.close();
  }
}

/** Runs `end` before the application shuts the server down. Returns how to give the server its own methods back. */
function endingWith(server: Server, end: () => void): () => void {
  const { tryShutdown, forceShutdown } = server;
  const own = {
    tryShutdown: Object.hasOwn(server, 'tryShutdown'),
    forceShutdown: Object.hasOwn(server, 'forceShutdown'),
  };
  server.tryShutdown = (callback) => {
    end();
    tryShutdown.call(server, callback);
  };
  server.forceShutdown = () => {
    end();
    forceShutdown.call(server);
  };
  return () => {
    if (own.tryShutdown) server.tryShutdown = tryShutdown;
    else Reflect.deleteProperty(server, 'tryShutdown');
    if (own.forceShutdown) server.forceShutdown = forceShutdown;
    else Reflect.deleteProperty(server, 'forceShutdown');
  };
}
