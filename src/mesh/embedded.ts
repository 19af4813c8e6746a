import { type CompileResult, compile, type MeshSettings } from '../controlplane/compile/compile.js';
import { servicesToDocuments } from '../controlplane/compile/shorthand.js';
import { formatProblem } from '../controlplane/yaml/problem.js';
import type { Clock } from '../core/clock.js';
import type { ConfigWatcher } from '../core/config-source.js';
import type { DnsOptions } from '../core/dns.js';
import { MeshClosedError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import type { ServerConfigWatcher, ServerKey, WatchServer } from '../core/server-config.js';
import { ResourceStore } from '../xds/resource-store.js';
import { watchServers } from '../xds/servers/index.js';
import { type XdsConfigSource, xdsConfigSource } from '../xds/source.js';
import { ConfigInvalidError } from './errors.js';
import { noServers } from './servers.js';
import type { MeshSource } from './source.js';

export interface EmbeddedOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meter: Meter;
  readonly dns: DnsOptions;
  /** What keeps this process from taking over a configuration with these settings; undefined: nothing. Absent: nothing ever. */
  readonly refusalOf?: (settings: MeshSettings) => string | undefined;
  /** Told of what concerns the whole mesh, at every change. */
  readonly onSettings: (settings: MeshSettings) => void;
}

/** Problems that one message lists; the rest is counted. */
const SHOWN_PROBLEMS = 50;

/** Files compiled and decoded in this process, and again whenever they change. The YAML parser is loaded with the first. */
export async function fileSource(paths: string | readonly string[], options: EmbeddedOptions): Promise<MeshSource> {
  const { watchConfig } = await import('../controlplane/config.js');
  const source = new EmbeddedSource(typeof paths === 'string' ? paths : paths.join(', '), options);
  const files = watchConfig(paths, {
    clock: options.clock,
    logger: options.logger,
    onChange: (result) => source.take(result),
  });
  source.onClose = () => files.close();
  return source;
}

/** Endpoints by service name, as an option. Throws DecodeError when they are malformed. */
export function servicesSource(
  services: Readonly<Record<string, readonly string[]>>,
  options: EmbeddedOptions,
): MeshSource {
  const source = new EmbeddedSource('options.services', options);
  source.take(compile(servicesToDocuments(services, 'options.services')));
  return source;
}

/** The compiler's result fed to the decoder, without a wire between. A broken result changes nothing but what is told. */
class EmbeddedSource implements MeshSource {
  readonly #store = new ResourceStore();
  readonly #inner: XdsConfigSource;
  readonly #servers: WatchServer;
  readonly #watchers = new Set<ConfigWatcher>();
  /** Those of names that nobody knows. */
  readonly #unknown = new Set<ConfigWatcher>();
  #unknownHosts: MeshSettings['unknownHosts'];
  #good = false;
  #broken: ConfigInvalidError | undefined;
  #onFirst: (() => void)[] = [];
  onClose: (() => void) | undefined;

  constructor(
    private readonly name: string,
    private readonly options: EmbeddedOptions,
  ) {
    this.#servers = watchServers({ cache: this.#store, listenerName: () => undefined, logger: options.logger });
    this.#inner = xdsConfigSource({
      cache: this.#store,
      listenerName: (authority) => authority,
      dns: options.dns,
      logger: options.logger,
      ready: () => this.ready(),
      close: () => Promise.resolve(),
    });
  }

  take(result: CompileResult): void {
    const problems = result.problems.map(formatProblem);
    const refusal = problems.length === 0 ? this.options.refusalOf?.(result.config) : undefined;
    if (refusal !== undefined) problems.push(refusal);
    if (problems.length === 0) {
      this.options.onSettings(result.config);
      // What the decoder refuses, the compiler should have: it is told like every other mistake.
      for (const refusal of this.#store.update(result.resources)) problems.push(refusal.error.message);
      if (problems.length === 0) this.#accepted(result);
    }
    if (problems.length > 0) this.#refused(problems);
    for (const wake of this.#onFirst.splice(0)) wake();
  }

  watch(authority: string, watcher: ConfigWatcher): () => void {
    this.#watchers.add(watcher);
    const stop = this.#inner.watch(authority, {
      changed: (config) => {
        this.#unknown.delete(watcher);
        watcher.changed(config);
      },
      failed: (error) => {
        this.#unknown.delete(watcher);
        watcher.failed(error);
      },
      ambient: (error) => watcher.ambient(error),
      unknown: () => {
        this.#unknown.add(watcher);
        watcher.unknown();
      },
    });
    if (!this.#good && this.#broken !== undefined) watcher.failed(this.#broken);
    return () => {
      this.#watchers.delete(watcher);
      this.#unknown.delete(watcher);
      stop();
    };
  }

  /** By the name of a service: what an address is for, only a control plane knows. */
  watchServer(server: ServerKey, watcher: ServerConfigWatcher): () => void {
    if ('service' in server) return this.#servers(server, watcher);
    watcher.failed(noServers());
    return () => {};
  }

  holdCluster(authority: string, cluster: string): () => void {
    return this.#inner.holdCluster(authority, cluster);
  }

  watchCluster(cluster: string, watcher: ConfigWatcher): () => void {
    return this.#inner.watchCluster(cluster, watcher);
  }

  async ready(): Promise<void> {
    if (!this.#good && this.#broken === undefined) await new Promise<void>((resolve) => this.#onFirst.push(resolve));
    // Neither good nor broken: closed before the files were read.
    if (!this.#good) throw this.#broken ?? new MeshClosedError();
  }

  async close(): Promise<void> {
    this.onClose?.();
    this.#watchers.clear();
    this.#unknown.clear();
    for (const wake of this.#onFirst.splice(0)) wake();
    await this.#inner.close();
  }

  #accepted({ config: { unknownHosts }, warnings }: CompileResult): void {
    this.options.meter.event({ kind: 'config:changed', source: this.name });
    if (this.#good) this.options.logger.info('configuration changed', { source: this.name });
    for (const warning of warnings.slice(0, SHOWN_PROBLEMS))
      this.options.logger.warn('configuration warning', { source: this.name, warning: formatProblem(warning) });
    this.#good = true;
    this.#broken = undefined;
    if (unknownHosts === this.#unknownHosts) return;
    this.#unknownHosts = unknownHosts;
    for (const watcher of [...this.#unknown]) watcher.unknown();
  }

  #refused(problems: readonly string[]): void {
    const rest = problems.length > SHOWN_PROBLEMS ? `\n… and ${problems.length - SHOWN_PROBLEMS} more` : '';
    const detail = problems.slice(0, SHOWN_PROBLEMS).join('\n') + rest;
    this.#broken = new ConfigInvalidError(`configuration is refused:\n${detail}`);
    this.options.meter.event({ kind: 'config:rejected', source: this.name, detail });
    const stands = this.#good ? 'the last good one stays' : 'there is none to fall back on';
    this.options.logger.error(`configuration is refused, ${stands}`, {
      source: this.name,
      problems: problems.slice(0, SHOWN_PROBLEMS),
    });
    // Where the last good one stays nothing changes for anybody, and the log has it: once, and not again for each destination.
    if (!this.#good) for (const watcher of [...this.#watchers]) watcher.failed(this.#broken);
  }
}
