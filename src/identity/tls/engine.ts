import type { DownstreamTls, UpstreamTls } from '../../core/model/tls.js';
import type { TlsClient, TlsServer } from '../../core/tls.js';
import { Client } from './client.js';
import type { TlsFactoryOptions } from './factory.js';
import { Material, type MaterialNames } from './material.js';
import { Server } from './server.js';
import { SteadyTime } from './steady-time.js';

/** What the factory loads with the first connection: one per mesh. */
export class TlsEngine {
  /** By the names of its sources: connections that are configured alike share secure context, verdicts and changes. */
  readonly #materials = new Map<string, Material>();
  readonly #times: () => readonly number[];

  constructor(private readonly options: TlsFactoryOptions) {
    const time = new SteadyTime(options.clock);
    this.#times = () => time.times();
  }

  client(config: UpstreamTls, host: string): TlsClient {
    return new Client(config, host, this.#material('client', config), this.options);
  }

  server(config: DownstreamTls): TlsServer {
    return new Server(config, this.#material('server', config), this.options);
  }

  close(): void {
    for (const material of this.#materials.values()) material.close();
  }

  /** As many as there are pairs of provider instances in the configuration. */
  #material(side: 'client' | 'server', { identity, roots }: MaterialNames): Material {
    const key = JSON.stringify([side, identity, roots]);
    let material = this.#materials.get(key);
    if (material === undefined) {
      material = new Material({ identity, roots }, { ...this.options, times: this.#times });
      this.#materials.set(key, material);
    }
    return material;
  }
}
