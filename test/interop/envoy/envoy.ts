import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLUSTER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { loadCodec } from '../../../src/xds/wire/index.js';

/** An Envoy binary: the one that `npm test` fetches, or that INMESH_ENVOY names. Undefined: none. */
export const envoyBinary: string | undefined = [
  process.env['INMESH_ENVOY'] ?? join('node_modules', '.cache', 'inmesh', 'envoy', 'envoy', '_bin', 'envoy'),
].find((path) => existsSync(path));

/** How long Envoy may take to load what it was given, in milliseconds. */
const START_LIMIT_MS = 60_000;

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** A running Envoy with one listener for each RouteConfiguration, given to it in the bytes that our codec makes of the resource. */
export class Envoy {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly admin: string,
    /** Port of the listener, by name of its RouteConfiguration. */
    readonly ports: ReadonlyMap<string, number>,
    /** Names of the RouteConfigurations that Envoy refused. */
    readonly refused: readonly string[],
    /** Why, of all of them. */
    readonly reasons: readonly string[],
  ) {}

  /** `filters`: HTTP filters of every listener, the router last. */
  static async start(options: {
    readonly binary: string;
    readonly routes: readonly Resource[];
    readonly clusters: readonly Resource[];
    readonly filters: readonly Resource[];
    /** Fields of every HttpConnectionManager. Default: none. */
    readonly manager?: Resource;
    /** How connections to the listener of a table are protected. Default: not at all. */
    readonly socket?: (table: string) => Resource | undefined;
  }): Promise<Envoy> {
    const folder = await mkdtemp(join(tmpdir(), 'inmesh-envoy-'));
    const bootstrap = await writeConfig(folder, options);
    const address = join(folder, 'admin-address');
    const args = ['-c', bootstrap, '--admin-address-path', address, '--concurrency', '1', '--disable-hot-restart'];
    const child = spawn(options.binary, [...args, '--log-level', 'warning', '--log-format', '%v'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    child.stderr?.on('data', (chunk) => {
      log = `${log}${chunk}`.slice(-1_000_000);
    });
    try {
      const admin = await until(child, () => readFile(address, 'utf8'));
      const live = await until(child, async () => {
        const response = await fetch(`http://${admin}/ready`);
        return response.status === 200 ? response : undefined;
      });
      await live.text();
      const listeners = (await (await fetch(`http://${admin}/listeners?format=json`)).json()) as Listeners;
      const ports = listeners.listener_statuses.map(
        (it) => [it.name, it.local_address.socket_address.port_value] as const,
      );
      return new Envoy(child, folder, admin, new Map(ports), await refusedTables(admin), reasonsIn(log));
    } catch (error) {
      child.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
      throw new Error(`Envoy did not start: ${log.slice(-2_000)}`, { cause: error });
    }
  }

  /** Its workers tell its main thread of failures, and that tells the workers who is ejected: a request of each has been there and back. */
  async turn(): Promise<void> {
    for (let i = 0; i < 2; i++) await (await fetch(`http://${this.admin}/ready`)).text();
  }

  async close(): Promise<void> {
    const { child } = this;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

interface Listeners {
  readonly listener_statuses: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

/** Names of the RouteConfigurations that were refused, from the counters. */
async function refusedTables(admin: string): Promise<string[]> {
  const text = await (await fetch(`http://${admin}/stats?filter=rds.*update_rejected&usedonly`)).text();
  return text.split('\n').flatMap((line) => /\.rds\.(.+)\.update_rejected: [1-9]/.exec(line)?.[1] ?? []);
}

/** Why: the log tells it without their names. */
const reasonsIn = (log: string): string[] =>
  log.split('\n').flatMap((line) => /update rejected: (.*)/.exec(line)?.[1] ?? []);

/** Tries until there is a result, or the process ends, or it takes too long. */
async function until<T>(child: ChildProcess, attempt: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + START_LIMIT_MS;
  for (;;) {
    const result = await attempt().catch(() => undefined);
    if (result !== undefined && result !== '') return result;
    if (child.exitCode !== null) throw new Error(`it ended with exit code ${child.exitCode}`);
    if (performance.now() > deadline) throw new Error(`it was not ready within ${START_LIMIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Resources in files as discovery responses; the bootstrap that reads them, as JSON. Returns its path. */
async function writeConfig(
  folder: string,
  { routes, clusters, filters, manager, socket }: Omit<Parameters<typeof Envoy.start>[0], 'binary'>,
): Promise<string> {
  const codec = await loadCodec();
  const store = async (name: string, type: typeof CLUSTER | typeof ROUTE, list: readonly Resource[]) => {
    const resources = list.map((resource) => ({ type_url: type, value: codec.encodeResource(type, resource) }));
    const response = { version_info: '1', type_url: type, resources };
    const path = join(folder, `${name}.pb`);
    await writeFile(path, codec.encodeMessage('envoy.service.discovery.v3.DiscoveryResponse', response));
    return { resource_api_version: 'V3', path_config_source: { path } };
  };
  const listeners = [];
  for (const table of routes) {
    const name = String(table['name']);
    const config_source = await store(name, ROUTE, [table]);
    const connectionManager = {
      '@type': HCM,
      stat_prefix: 'ingress',
      rds: { route_config_name: name, config_source },
      http_filters: filters,
      // What would make one run differ from another, or says nothing about routes.
      generate_request_id: false,
      server_header_transformation: 'PASS_THROUGH',
      ...manager,
    };
    const filter = { name: 'http', typed_config: connectionManager };
    const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
    listeners.push({ name, address, filter_chains: [{ filters: [filter], transport_socket: socket?.(name) }] });
  }
  const bootstrap = {
    node: { id: 'judge', cluster: 'judge' },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    dynamic_resources: { cds_config: await store('clusters', CLUSTER, clusters) },
    static_resources: { listeners },
  };
  const path = join(folder, 'bootstrap.json');
  await writeFile(path, JSON.stringify(bootstrap));
  return path;
}
