import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../../core/model/endpoint.js';

export interface PortOptions {
  readonly address: Address;
  readonly allowHalfOpen: boolean;
  /** Read when the port is opened. */
  readonly maxConnections: () => number | undefined;
  readonly onConnection: (socket: Socket) => void;
  /** Listening has ended though nobody asked for it. */
  readonly onFailed: (error: Error) => void;
}

/** The port of a server: open while it serves, and closed otherwise, so that clients and health checks see at once that it does not. */
export class Port {
  #server: Server | undefined;

  constructor(private readonly options: PortOptions) {}

  /** True from `open` to `close`, also while the port is being opened. */
  get wanted(): boolean {
    return this.#server !== undefined;
  }

  /** Runs `opened`, with the number of the port, when it is listened on, or `onFailed` when it cannot be. */
  open(opened: (port: number) => void): void {
    const { address, allowHalfOpen, onConnection, onFailed } = this.options;
    // Small writes go out at once, as node:http has it.
    const server = createServer({ allowHalfOpen, noDelay: true });
    this.#server = server;
    server.on('connection', (socket) => {
      if (this.#server === server) onConnection(socket);
      else socket.destroy();
    });
    server.on('error', (error) => {
      if (this.#server !== server) return;
      this.close();
      onFailed(error);
    });
    server.listen({ host: address.host, port: address.port }, () => {
      if (this.#server === server) opened((server.address() as AddressInfo).port);
    });
    const max = this.options.maxConnections();
    if (max !== undefined) server.maxConnections = max;
  }

  /** Connections that came in stay. */
  close(): void {
    const server = this.#server;
    this.#server = undefined;
    server?.close();
  }
}
