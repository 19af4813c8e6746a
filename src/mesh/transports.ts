import type { ClientEnv } from '../client/env.js';
import type { Call } from '../core/call.js';
import type { Reply } from '../core/reply.js';
import type { Filter } from '../core/service.js';
import type { Transport, TransportFactory } from '../core/transport.js';

/** The two ways to an endpoint, each loaded with the first endpoint that is called that way: a gRPC client needs no undici. */
export const transports: ClientEnv['transports'] = {
  http1: lazily(() => import('../client/transport/http1/transport.js').then((m) => m.http1Transport)),
  http2: lazily(() => import('../client/transport/http2/transport.js').then((m) => m.http2Transport)),
};

/** HTTP/1.1 runs on undici, which an application's instrumentation may watch: `filter` keeps it from a second span per attempt. */
export function suppressing({ http1, http2 }: ClientEnv['transports'], filter: Filter): ClientEnv['transports'] {
  return {
    http1: (options) => {
      const transport = http1(options);
      return {
        call: filter(transport.call),
        get connections() {
          return transport.connections;
        },
        connect: () => transport.connect(),
        warmed: () => transport.warmed?.() ?? Promise.resolve(),
        close: (force) => transport.close(force),
      };
    },
    http2,
  };
}

function lazily(load: () => Promise<TransportFactory>): TransportFactory {
  let loading: Promise<void> | undefined;
  let factory: TransportFactory | undefined;
  return (options) => {
    if (factory !== undefined) return factory(options);
    loading ??= load().then((loaded) => {
      factory = loaded;
    });
    const ahead = (options.connections?.warm ?? 0) > 0;
    return new LateTransport(loading, () => (factory as TransportFactory)(options), ahead);
  };
}

/** A transport whose module is still being loaded: calls go on as soon as it is there. */
class LateTransport implements Transport {
  #transport: Transport | undefined;

  constructor(
    private readonly loading: Promise<void>,
    private readonly make: () => Transport,
    /** Connections are wanted before there are calls. */
    ahead: boolean,
  ) {
    // One that cannot be loaded is the first call's to tell of.
    if (ahead)
      loading.then(
        () => void this.#made(),
        () => {},
      );
  }

  readonly call = (call: Call): Promise<Reply> =>
    this.#transport === undefined ? this.loading.then(() => this.#made().call(call)) : this.#transport.call(call);

  async connect(): Promise<void> {
    await this.loading;
    await this.#made().connect();
  }

  async warmed(): Promise<void> {
    await this.loading;
    await this.#made().warmed?.();
  }

  get connections(): number {
    return this.#transport?.connections ?? 0;
  }

  /** After the module is there, so that calls that wait for it meet a closed transport, not an open one. */
  async close(force?: boolean): Promise<void> {
    await this.loading;
    await this.#made().close(force);
  }

  #made(): Transport {
    this.#transport ??= this.make();
    return this.#transport;
  }
}
