import type { ExchangeEnv } from './exchange.js';
import { pseudonym } from './forwarded.js';
import { Listener } from './listener.js';
import { type ProxyOptions, proxyEnv } from './options.js';

export type { ShedOptions } from '../server/shedding/options.js';
export type { AppOptions, ProxyLimits, ProxyOptions } from './options.js';

/** A proxy that is listening. */
export interface MeshProxy {
  readonly host: string;
  readonly port: number;
  /** `http://host:port`. */
  readonly url: string;
  /**
   * Takes no new connections, tells clients to go elsewhere (GOAWAY, `Connection: close`), and lets requests under way end for up to
   * `graceMs` milliseconds, default 10_000; then cuts them. Resolves once every socket is closed. Idempotent. Does not close the mesh.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/**
 * Starts a forward and reverse proxy: every request of a client, HTTP/1.1, HTTP/2 with prior knowledge or gRPC, on one cleartext port, goes
 * into `service` like a call of the library. The destination is the request's own: the absolute form, Host or `:authority`; with `app` it is the program that the proxy stands
 * in front of, always.
 *
 * Resolves once it listens; rejects with a DecodeError for wrong options, or with the system's error when the port cannot be had.
 */
export async function startProxy(options: ProxyOptions): Promise<MeshProxy> {
  const checked = proxyEnv(options);
  let draining = false;
  const env: ExchangeEnv = { ...checked, name: pseudonym(checked.random), draining: () => draining };
  const listener = new Listener(env);
  const { address: host, port } = await listener.listen();
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  env.logger.info('proxy listening', { url });
  return {
    host,
    port,
    url,
    close: ({ graceMs = 10_000 } = {}) => {
      draining = true;
      const closed = listener.close(graceMs <= 0);
      const stop = env.clock.after(graceMs, () => void listener.close(true), { background: true });
      return closed.finally(() => {
        stop();
        env.shedding?.close();
      });
    },
  };
}
