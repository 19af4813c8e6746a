import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';

/** The redis-server that tests start: INMESH_REDIS_SERVER, else the one on the path. */
export const REDIS_SERVER = process.env['INMESH_REDIS_SERVER'] ?? 'redis-server';

/** Whether there is one. */
export const hasRedis = (): boolean => spawnSync(REDIS_SERVER, ['--version'], { stdio: 'ignore' }).status === 0;

/** A port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Asks again and again: processes tell nobody when they are there. */
export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`this did not come true: ${what}`);
}

/** A redis-server of its own, on loopback, with nothing on disk. */
export class RedisServer {
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #admin: Redis | undefined;

  private constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.#args = args;
  }

  /** `args`: `--name value` of redis.conf. `tls`: the port speaks TLS only. */
  static async start(args: readonly string[] = [], { tls = false } = {}): Promise<RedisServer> {
    const port = await freePort();
    const listen = tls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)];
    const server = new RedisServer(port, [...listen, ...args]);
    await server.resume();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** A connection for the test itself: plaintext, without a password. */
  get admin(): Redis {
    this.#admin ??= new Redis(this.port, '127.0.0.1', { maxRetriesPerRequest: null }).on('error', () => {});
    return this.#admin;
  }

  /** Starts it, again where it was killed: empty. */
  async resume(): Promise<void> {
    const fixed = [
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--daemonize',
      'no',
      '--enable-debug-command',
      'yes',
      // What a replica is sent at first would stay as a file in the working folder.
      '--repl-diskless-load',
      'on-empty-db',
      '--rdb-del-sync-files',
      'yes',
    ];
    const child = spawn(REDIS_SERVER, [...fixed, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line);
      if (line.includes('Ready to accept connections')) break;
    }
    // Nobody reads on: what it says later must not fill the pipe.
    child.stdout.resume();
    if (child.exitCode !== null || !said.at(-1)?.includes('Ready')) throw new Error(`redis-server: ${said.join('\n')}`);
  }

  /** SIGSTOP: the kernel still accepts connections for it, and nobody answers. */
  stall(): void {
    this.#child?.kill('SIGSTOP');
  }

  goOn(): void {
    this.#child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    this.#admin?.disconnect();
    await this.kill();
  }
}

/** A folder for the files of one test, and how to be rid of it. */
export async function scratch(name: string): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), `inmesh-${name}-`));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
