import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, hasRedis, RedisServer, until } from '../../support/redis.js';

const program = process.env['INMESH_RATELIMIT'] ?? join('node_modules', '.cache', 'inmesh', 'go', 'ratelimit');

/** Undefined when envoyproxy/ratelimit can be run here; otherwise why not. */
export const missing: string | undefined = existsSync(program)
  ? hasRedis()
    ? undefined
    : 'there is no redis-server, which envoyproxy/ratelimit counts in'
  : 'envoyproxy/ratelimit is not built: run `npm test`, or name its program in INMESH_RATELIMIT';

/** envoyproxy/ratelimit with a Redis of its own. */
export class GoRateLimit {
  private constructor(
    private readonly child: ChildProcess,
    private readonly redis: RedisServer,
    private readonly folder: string,
    readonly port: number,
  ) {}

  /** `config`: the text of one of its files. */
  static async start(config: string): Promise<GoRateLimit> {
    const redis = await RedisServer.start();
    const folder = await mkdtemp(join(tmpdir(), 'inmesh-ratelimit-'));
    await mkdir(join(folder, 'limits', 'config'), { recursive: true });
    await writeFile(join(folder, 'limits', 'config', 'limits.yaml'), config);
    const [http, grpc, debug] = [await freePort(), await freePort(), await freePort()];
    const host = '127.0.0.1';
    const child = spawn(program, [], {
      stdio: 'ignore',
      env: {
        ...{ HOST: host, PORT: String(http), GRPC_HOST: host, GRPC_PORT: String(grpc) },
        ...{ DEBUG_HOST: host, DEBUG_PORT: String(debug) },
        ...{ REDIS_SOCKET_TYPE: 'tcp', REDIS_URL: `${host}:${redis.port}` },
        ...{ RUNTIME_ROOT: folder, RUNTIME_SUBDIRECTORY: 'limits', RUNTIME_WATCH_ROOT: 'false' },
        ...{ USE_STATSD: 'false', LOG_LEVEL: 'error' },
      },
    });
    const service = new GoRateLimit(child, redis, folder, grpc);
    try {
      await until(async () => {
        if (child.exitCode !== null) throw new Error(`envoyproxy/ratelimit ended with ${child.exitCode}`);
        const reply = await fetch(`http://${host}:${http}/healthcheck`).catch(() => undefined);
        return (await reply?.text()) === 'OK';
      }, 'envoyproxy/ratelimit is healthy');
      return service;
    } catch (error) {
      await service.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const { child } = this;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    await this.redis.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
