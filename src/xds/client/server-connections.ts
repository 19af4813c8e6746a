import { type Bootstrap, serverKey, type XdsServer } from '../bootstrap/bootstrap.js';
import { requireSecrecy } from './credentials/index.js';
import type { ServerConnections, ServerTransport, TransportFactory } from './transport.js';

/** One transport for each server that the bootstrap names, be it named by several authorities: "the entries will be de-duped" - A47 */
export class BootstrapConnections implements ServerConnections {
  readonly #servers = new Map<string, XdsServer>();
  readonly #transports = new Map<string, Promise<ServerTransport>>();

  /** Throws an Error when a server can never be reached as the bootstrap says, which no attempt would mend. */
  constructor(
    bootstrap: Pick<Bootstrap, 'servers' | 'authorities'>,
    private readonly factory: TransportFactory,
  ) {
    const lists = [bootstrap.servers, ...[...bootstrap.authorities.values()].map(({ servers }) => servers)];
    for (const server of lists.flat()) {
      requireSecrecy(server);
      this.#servers.set(serverKey(server), server);
    }
  }

  transport(key: string): Promise<ServerTransport> {
    const known = this.#transports.get(key);
    if (known !== undefined) return known;
    const server = this.#servers.get(key);
    if (server === undefined) return Promise.reject(new Error(`the bootstrap names no xDS server ${key}`));
    const opening = this.factory(server);
    this.#transports.set(key, opening);
    // What failed once, such as a package that is not there, may be mended before the next attempt.
    opening.catch(() => this.#transports.delete(key));
    return opening;
  }
}
