import type { Clock } from './clock.js';
import type { Logger } from './log.js';
import { spreadJitter } from './backoff.js';
import type { Random } from './random.js';

/** Turns a host name into IP addresses; rejects when it has none. An empty answer is a failure too. */
export type Resolver = (host: string) => Promise<readonly string[]>;

/** The system's resolver (getaddrinfo), so that /etc/hosts and search domains work as for every other program. */
export const systemResolver: Resolver = async (host) => {
  const { lookup } = await import('node:dns/promises');
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map((entry) => entry.address);
};

/** Envoy's `dns_refresh_rate` is 5 s; getaddrinfo gives no TTL, and 30 s is gRPC's least interval between resolutions. */
export const DNS_REFRESH_MS = 30_000;
const FAILURE_BACKOFF = { baseMs: 1_000, maxMs: 30_000 };

export interface DnsWatcher {
  addresses(ips: readonly string[]): void;
  /** The name could not be resolved; what was known before stands, if there was anything. */
  failed(error: Error): void;
}

export interface DnsOptions {
  readonly resolve: Resolver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly refreshMs?: number;
}

/** What `resolve` says, in order. It may come from an application: whatever it does but answer with addresses is a rejection. */
async function resolved(host: string, resolve: Resolver): Promise<readonly string[]> {
  const answer: unknown = await resolve(host);
  if (!Array.isArray(answer) || !answer.every((ip) => typeof ip === 'string')) {
    throw new Error(`host "${host}": the resolver must answer with a list of IP addresses`);
  }
  if (answer.length === 0) throw new Error(`host "${host}" has no address`);
  return [...new Set<string>(answer)].sort();
}

/** Keeps resolving `host` until the result is called. Reports changes only, and every failure. */
export function watchDns(host: string, options: DnsOptions, watcher: DnsWatcher): () => void {
  let stopped = false;
  let failures = 0;
  let last = '';
  let cancel: (() => void) | undefined;
  const again = (delayMs: number): void => {
    if (!stopped) cancel = options.clock.after(delayMs, look, { background: true });
  };
  const look = (): void => {
    resolved(host, options.resolve).then(
      (ips) => {
        if (stopped) return;
        failures = 0;
        const key = ips.join(',');
        if (key !== last) {
          last = key;
          watcher.addresses(ips);
        }
        again(options.refreshMs ?? DNS_REFRESH_MS);
      },
      (error: unknown) => {
        if (stopped) return;
        failures++;
        options.logger.warn('host name cannot be resolved', { host, error: String(error) });
        watcher.failed(error instanceof Error ? error : new Error(String(error)));
        again(spreadJitter(FAILURE_BACKOFF, failures, options.random));
      },
    );
  };
  look();
  return () => {
    stopped = true;
    cancel?.();
  };
}
