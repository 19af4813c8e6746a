import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, until } from './redis.js';

const folder = process.env['INMESH_SPIRE'] ?? join('node_modules', '.cache', 'inmesh', 'spire');
const program = (name: string): string => join(folder, name);

/** Undefined when a SPIRE server and agent can be run here; otherwise why not. */
export const missing: string | undefined = ['spire-server', 'spire-agent'].every((name) => existsSync(program(name)))
  ? process.platform === 'win32'
    ? 'Workload API over named pipes is not what these tests are about'
    : undefined
  : 'SPIRE is not built: run `npm test`, or name the folder of its programs in INMESH_SPIRE';

const run = promisify(execFile);

export interface Entry {
  /** Path of the SPIFFE ID: `/web`. */
  readonly path: string;
  readonly hint?: string;
  /** Lifetime of X.509-SVIDs, in seconds: SPIRE renews at half of it. */
  readonly x509Ttl?: number;
}

/** A real SPIRE server with one agent, of one trust domain, on loopback and Unix sockets. Every process of this user is every workload that is registered. */
export class Spire {
  private constructor(
    private readonly children: readonly ChildProcess[],
    private readonly folder: string,
    readonly trustDomain: string,
    /** For SPIFFE_ENDPOINT_SOCKET. */
    readonly endpoint: string,
  ) {}

  static async start(trustDomain = 'example.org'): Promise<Spire> {
    // Paths of Unix sockets are short.
    const folder = await mkdtemp(join(tmpdir(), 'spire-'));
    const children: ChildProcess[] = [];
    try {
      await mkdir(join(folder, 'server'));
      await mkdir(join(folder, 'agent'));
      const port = await freePort();
      await writeFile(join(folder, 'server.conf'), serverConfig(folder, trustDomain, port));
      const start = (name: string, config: string, ...args: string[]): ChildProcess => {
        const path = join(folder, config);
        const child = spawn(program(name), ['run', '-config', path, ...args], {
          stdio: ['ignore', 'ignore', 'inherit'],
        });
        children.push(child);
        return child;
      };
      const server = start('spire-server', 'server.conf');
      const socket = ['-socketPath', join(folder, 'server.sock')];
      const healthy = (name: string, path: string, child: ChildProcess): Promise<unknown> =>
        until(async () => {
          if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
          return run(program(name), ['healthcheck', '-socketPath', path]).then(
            () => true,
            () => false,
          );
        }, `${name} is healthy`);
      await healthy('spire-server', join(folder, 'server.sock'), server);
      const { stdout: bundle } = await run(program('spire-server'), ['bundle', 'show', ...socket]);
      await writeFile(join(folder, 'bundle.pem'), bundle);
      const id = `spiffe://${trustDomain}/host`;
      const { stdout } = await run(program('spire-server'), ['token', 'generate', '-spiffeID', id, ...socket]);
      await writeFile(join(folder, 'agent.conf'), agentConfig(folder, trustDomain, port));
      const agent = start('spire-agent', 'agent.conf', '-joinToken', stdout.replace(/^Token:/, '').trim());
      await healthy('spire-agent', join(folder, 'agent.sock'), agent);
      return new Spire(children, folder, trustDomain, `unix://${join(folder, 'agent.sock')}`);
    } catch (error) {
      await stopAll(children);
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Registers a workload. The agent hears of it within a second. */
  async register({ path, hint, x509Ttl = 3_600 }: Entry): Promise<void> {
    const id = (of: string): string => `spiffe://${this.trustDomain}${of}`;
    await this.#ask(
      ...['entry', 'create', '-parentID', id('/host'), '-spiffeID', id(path)],
      ...['-selector', `unix:uid:${process.getuid?.()}`, '-x509SVIDTTL', String(x509Ttl)],
      ...(hint === undefined ? [] : ['-hint', hint]),
    );
  }

  /** Roots of the trust domain, PEM. */
  async bundle(): Promise<string> {
    return this.#ask('bundle', 'show');
  }

  async stop(): Promise<void> {
    await stopAll(this.children);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #ask(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(program('spire-server'), [...args, '-socketPath', join(this.folder, 'server.sock')]);
    return stdout;
  }
}

async function stopAll(children: readonly ChildProcess[]): Promise<void> {
  for (const child of children.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}

const serverConfig = (folder: string, trustDomain: string, port: number): string => `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${join(folder, 'server.sock')}"
  trust_domain = "${trustDomain}"
  data_dir = "${join(folder, 'server')}"
  log_level = "ERROR"
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${join(folder, 'server', 'data.sqlite3')}" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
}
`;

const agentConfig = (folder: string, trustDomain: string, port: number): string => `
agent {
  server_address = "127.0.0.1"
  server_port = "${port}"
  socket_path = "${join(folder, 'agent.sock')}"
  trust_domain = "${trustDomain}"
  trust_bundle_path = "${join(folder, 'bundle.pem')}"
  data_dir = "${join(folder, 'agent')}"
  log_level = "ERROR"
  sds { disable_spiffe_cert_validation = false }
  experimental { sync_interval = "1s" }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;
