import type { Clock } from '../../core/clock.js';
import type { CertificateProviders } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import { type DownstreamTls, sameTls, type UpstreamTls } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import type { TlsClient, TlsFactory, TlsOutcome, TlsServer } from '../../core/tls.js';
import type { TlsEngine } from './engine.js';

export interface TlsFactoryOptions {
  /** Absent: there are none, and only the system's roots can be asked for. */
  readonly providers?: CertificateProviders | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /**
   * Servers let clients in whose certificate has ended, if it ended no earlier than this, wall-clock milliseconds; all else of it must be good. For who renews certificates
   * (src/controlplane/server/tls-port.ts). Absent: none is.
   */
  readonly endedFrom?: () => number;
}

/** A mesh's TLS. */
export interface MeshTls extends TlsFactory {
  /** Watches no source of identity any more. Connections stay as they are. */
  close(): void;
}

/** TLS by configuration. What does it is loaded with the first connection that is to have some. */
export function tlsFactory(options: TlsFactoryOptions): MeshTls {
  const loader = new Loader(options);
  return {
    client: (config, host) => new LazyClient(loader, config, host),
    server: (config) => new LazyServer(loader, config),
    close: () => loader.close(),
  };
}

class Loader {
  engine: TlsEngine | undefined;
  #loading: Promise<TlsEngine> | undefined;
  #closed = false;

  constructor(private readonly options: TlsFactoryOptions) {}

  /** Calls `secure` when the engine is there; what it returns gives up, before and after. */
  with(tcp: { destroy(): unknown }, outcome: TlsOutcome, secure: (engine: TlsEngine) => () => void): () => void {
    let giveUp: (() => void) | undefined;
    let over = false;
    const failed = (error: unknown): void => {
      if (over) return;
      tcp.destroy();
      outcome.failed(error as Error);
    };
    const start = (engine: TlsEngine): void => {
      if (!over) giveUp = secure(engine);
    };
    const end = (): void => {
      over = true;
      if (giveUp === undefined) tcp.destroy();
      else giveUp();
    };
    if (this.engine !== undefined) {
      try {
        return secure(this.engine);
      } catch (error) {
        // Not before this has returned: who is told may want to give up what it has not got yet.
        queueMicrotask(() => failed(error));
        return end;
      }
    }
    this.#loading ??= import('./engine.js').then(({ TlsEngine }) => {
      this.engine = new TlsEngine(this.options);
      if (this.#closed) this.engine.close();
      return this.engine;
    });
    // Whatever fails, and be it that what is configured cannot be had, is this connection's failure.
    this.#loading.then(start).catch(failed);
    return end;
  }

  close(): void {
    this.#closed = true;
    this.engine?.close();
  }
}

class LazyClient implements TlsClient {
  readonly name: string;
  #client: TlsClient | undefined;

  constructor(
    private readonly loader: Loader,
    private readonly config: UpstreamTls,
    private readonly host: string,
  ) {
    this.name = config.sni ?? host;
  }

  get waitsFor(): string | undefined {
    return this.#client?.waitsFor;
  }

  sameAs(other: TlsClient): boolean {
    if (!(other instanceof LazyClient) || other.loader !== this.loader) return false;
    return this.host === other.host && sameTls(this.config, other.config);
  }

  secure(...[tcp, alpn, outcome]: Parameters<TlsClient['secure']>): () => void {
    return this.loader.with(tcp, outcome, (engine) => {
      this.#client ??= engine.client(this.config, this.host);
      return this.#client.secure(tcp, alpn, outcome);
    });
  }
}

class LazyServer implements TlsServer {
  #server: TlsServer | undefined;

  constructor(
    private readonly loader: Loader,
    private readonly config: DownstreamTls,
  ) {}

  secure(...[tcp, alpn, outcome]: Parameters<TlsServer['secure']>): () => void {
    return this.loader.with(tcp, outcome, (engine) => {
      this.#server ??= engine.server(this.config);
      return this.#server.secure(tcp, alpn, outcome);
    });
  }
}
