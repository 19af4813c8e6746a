import type { Socket } from 'node:net';
import type * as grpc from '@grpc/grpc-js';
import type { TlsClient } from '../../../core/tls.js';

type Connector = ReturnType<grpc.ChannelCredentials['_createSecureConnector']>;

/** What a channel is told of its connection. */
export interface ConnectionHooks {
  /** The workload's certificate, or whom it trusts, was replaced: a new connection should take over. */
  drain(): void;
  /** A handshake is under way, which `giveUp` ends; call the result when it is over. */
  handshake(giveUp: () => void): () => void;
}

/**
 * Credentials whose handshakes are the mesh's own: trust domains, revocation, skew and rotation are what they are for every other connection of the workload. The
 * method that grpc-js asks for a connection is internal to it: where it asks in another way its own TLS refuses whoever is there, and nothing goes out in clear.
 */
export function identityCredentials(
  library: typeof grpc,
  tls: TlsClient,
  hooks: ConnectionHooks,
): grpc.ChannelCredentials {
  const checkServerIdentity = (): Error =>
    new Error('this version of @grpc/grpc-js does not use the credentials given');
  const credentials = library.credentials.createSsl(null, null, null, { checkServerIdentity });
  const create = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...args) => {
    const inner = create(...args);
    return {
      connect: (socket) => secured(tls, socket, hooks),
      waitForReady: () => inner.waitForReady(),
      getCallCredentials: () => inner.getCallCredentials(),
      destroy: () => inner.destroy(),
    };
  };
  return credentials;
}

function secured(tls: TlsClient, tcp: Socket, hooks: ConnectionHooks): ReturnType<Connector['connect']> {
  return new Promise((resolve, reject) => {
    const stop = tls.secure(tcp, ['h2'], {
      secured: (socket) => {
        over();
        if (socket.alpnProtocol === 'h2') return resolve({ socket, secure: true });
        socket.destroy();
        reject(new Error(`${tls.name} does not speak HTTP/2`));
      },
      failed: (error) => {
        over();
        reject(error);
      },
      drain: () => hooks.drain(),
    });
    const over = hooks.handshake(() => {
      over();
      stop();
      reject(new Error('the handshake was given up'));
    });
  });
}
