import type { Clock } from '../../core/clock.js';
import type { LoadRecorder } from '../../core/load-reports.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import type { Resource } from '../../core/resources.js';
import { type Bootstrap, serverKey } from '../bootstrap/bootstrap.js';
import type { ServerConnections } from '../client/transport.js';
import { LoadStore } from './load-store.js';
import { SEND_ALL_CLUSTERS } from './messages.js';
import { ReportingStream } from './reporting-stream.js';
import type { ServerLoads } from './server-loads.js';

export interface LoadReporterOptions {
  /** The connections that discovery uses: LRS has streams of its own on them. */
  readonly connections: ServerConnections;
  readonly bootstrap: Pick<Bootstrap, 'node' | 'servers' | 'authorities'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Reports load to the control planes that ask for it (LRS; gRFC A27, A64, A85). Opens a stream to a server with the first cluster whose
 * load that server wants, and ends it after the last.
 */
export class LoadReporter {
  /** Where the request path counts. */
  readonly recorder: LoadRecorder;
  readonly #streams = new Map<string, ReportingStream>();
  readonly #node: Resource;
  readonly #uris: ReadonlyMap<string, string>;
  #closed = false;

  constructor(private readonly options: LoadReporterOptions) {
    const { node, servers, authorities } = options.bootstrap;
    const features = (node['client_features'] as readonly string[] | undefined) ?? [];
    this.#node = { ...node, client_features: [...new Set([...features, SEND_ALL_CLUSTERS])] };
    const named = [servers, ...[...authorities.values()].map((authority) => authority.servers)].flat();
    this.#uris = new Map(named.map((server) => [serverKey(server), server.uri]));
    this.recorder = new LoadStore(options.clock, (loads) => this.#changed(loads));
  }

  /** Ends every stream, after a last report where one can leave at once; within a second. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#streams.values()].map((stream) => stream.close()));
  }

  #changed(loads: ServerLoads): void {
    if (this.#closed) return;
    let stream = this.#streams.get(loads.server);
    if (stream === undefined) {
      const { connections, clock, random, logger } = this.options;
      stream = new ReportingStream({
        loads,
        node: this.#node,
        uri: this.#uris.get(loads.server) ?? loads.server,
        transport: () => connections.transport(loads.server),
        clock,
        random,
        logger,
      });
      this.#streams.set(loads.server, stream);
    }
    stream.wake();
  }
}
