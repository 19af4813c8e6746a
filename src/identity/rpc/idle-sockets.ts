import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * Connections of channels with these credentials keep no process alive. A stream that is kept open never ends, and grpc-js holds the process for every call that has
 * not ended: who waits for something holds it himself. `opened` is told of each TCP connection.
 *
 * The methods are internal to grpc-js: where it has no such ones its sockets are left as they are.
 */
export function idleSockets(
  credentials: Partial<Pick<ChannelCredentials, '_createSecureConnector'>>,
  opened: (socket: Socket) => void = () => {},
): void {
  const create = credentials._createSecureConnector?.bind(credentials);
  if (create === undefined) return;
  credentials._createSecureConnector = (...args) => {
    const connector: Partial<Connector> & Connector = create(...args);
    const connect = connector.connect?.bind(connector);
    if (connect === undefined) return connector;
    connector.connect = (socket) => {
      opened(socket);
      idle(socket);
      return connect(socket).then((connected) => {
        // One of TLS has a way of its own to the connection below.
        if (connected.socket !== socket) idle(connected.socket);
        return connected;
      });
    };
    return connector;
  };
}

function idle(socket: Socket): void {
  socket.ref = () => socket;
  socket.unref();
}
