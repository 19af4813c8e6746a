/** A status that ended a stream: gRPC code and text. */
export interface StreamEnd {
  readonly code: number;
  readonly details: string;
}

export interface StreamHandlers {
  /** The connection stands. At most once. */
  connected(): void;
  /** One DiscoveryResponse, after each `read`. */
  message(bytes: Uint8Array): void;
  /** Nothing comes after it. Not called once `close` was. */
  ended(end: StreamEnd): void;
}

/** One ADS stream, with a connection of its own. */
export interface AdsStream {
  /** Sends one DiscoveryRequest; the next may follow once `written` was called, which says that it left on a live connection. */
  send(bytes: Uint8Array, written: () => void): void;
  /** Asks for one message: the server is held back until the next call (HTTP/2 flow control). */
  read(): void;
  close(): void;
}

/** Opens streams to one server. Never calls back before it returns. */
export type AdsTransport = (handlers: StreamHandlers) => AdsStream;
