import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { DownstreamTls, UpstreamTls } from '../../core/model/tls.js';
import type { TlsClient, TlsOutcome, TlsServer } from '../../core/tls.js';
import type { TlsFactoryOptions } from './factory.js';

export class TlsEngine {
  #system: SecureContext | undefined;

  constructor(readonly options: TlsFactoryOptions) {}

  get system(): SecureContext {
    this.#system ??= createSecureContext({ minVersion: 'TLSv1.2' });
    return this.#system;
  }

  client(config: UpstreamTls, host: string): TlsClient {
    if (config.roots.kind !== 'system') throw new Error('certificate providers are not supported');
    return new SystemClient(this, config, host);
  }

  server(_config: DownstreamTls): TlsServer {
    throw new Error('certificate providers are not supported');
  }

  close(): void {}
}

class SystemClient implements TlsClient {
  readonly name: string;
  readonly waitsFor = undefined;
  #session: Buffer | undefined;

  constructor(
    private readonly engine: TlsEngine,
    private readonly config: UpstreamTls,
    host: string,
  ) {
    this.name = config.sni ?? host;
  }

  sameAs(other: TlsClient): boolean {
    return other === this;
  }

  secure(tcp: Socket, alpn: readonly string[], outcome: TlsOutcome): () => void {
    const sni = this.config.sni ?? '';
    let over = false;
    const fail = (error: Error): void => {
      if (over) return;
      over = true;
      outcome.failed(error);
      tcp.destroy();
      socket?.destroy();
    };
    let socket: TLSSocket | undefined;
    try {
      socket = connect({
        socket: tcp,
        host: sni,
        servername: isIP(sni) === 0 ? sni : '',
        ALPNProtocols: [...alpn],
        secureContext: this.engine.system,
        ...(this.#session === undefined ? undefined : { session: this.#session }),
      });
    } catch (error) {
      queueMicrotask(() => fail(error as Error));
      return () => {};
    }
    const made = socket;
    made.on('session', (session: Buffer) => {
      this.#session = session;
    });
    made.on('error', fail);
    made.once('close', () => fail(new Error('the connection was closed during the handshake')));
    made.once('secureConnect', () => {
      if (over) return;
      over = true;
      outcome.secured(made, undefined);
    });
    return () => {
      if (over) return;
      over = true;
      made.destroy();
    };
  }
}
