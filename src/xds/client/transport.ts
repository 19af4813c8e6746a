import type { XdsServer } from '../bootstrap/bootstrap.js';

/** A status that ended a stream: gRPC code and text. */
export interface StreamEnd {
  readonly code: number;
  readonly details: string;
}

export interface StreamHandlers {
  /** The connection stands. At most once. */
  connected(): void;
  /** One message, after each `read`. */
  message(bytes: Uint8Array): void;
  /** Nothing comes after it. Not called once `close` was. */
  ended(end: StreamEnd): void;
}

/** One stream of messages in both directions: ADS, a discovery service of one type, or LRS. */
export interface XdsStream {
  /** Sends one message; the next may follow once `written` was called, which says that it left on a live connection. */
  send(bytes: Uint8Array, written: () => void): void;
  /** Asks for one message: the server is held back until the next call (HTTP/2 flow control). */
  read(): void;
  close(): void;
}

/**
 * Opens streams to one server, all on one connection for as long as it stands. `path` is the gRPC method, `/package.Service/Method`; messages
 * are raw bytes. Never calls back before it returns.
 */
export type ServerTransport = (path: string, handlers: StreamHandlers) => XdsStream;

/** How a server is reached. Rejects when what is needed for it cannot be loaded. */
export type TransportFactory = (server: XdsServer) => Promise<ServerTransport>;

/** The connections of an XdsClient, for whoever has a stream of its own to one of its servers (LRS). */
export interface ServerConnections {
  /**
   * Streams to a server that the bootstrap names, by `serverKey`, with its credentials and on the connection that discovery uses. Rejects
   * when the bootstrap names no such server. Who opens a stream closes it.
   */
  transport(serverKey: string): Promise<ServerTransport>;
}
