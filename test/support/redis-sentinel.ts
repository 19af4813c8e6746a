import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort, REDIS_SERVER, type RedisServer, scratch } from './redis.js';

/** A sentinel that watches a master under the name `main`, and promotes its replica as soon as it is missed. */
export async function startSentinel(master: RedisServer): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { folder, remove } = await scratch('redis-sentinel');
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  await writeFile(
    file,
    `port ${port}
bind 127.0.0.1
dir ${folder}
sentinel monitor main 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds main 300
sentinel failover-timeout main 1000
`,
  );
  const child = spawn(REDIS_SERVER, [file, '--sentinel'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) if (line.includes('+monitor master main')) break;
  child.stdout.resume();
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      await remove();
    },
  };
}
