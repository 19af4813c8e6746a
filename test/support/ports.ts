import { createServer } from 'node:net';

/** Below the ports that systems give to connections (32768 to 60999 on Linux, 49152 and above elsewhere). */
const FIRST = 20_000;
const OF_A_WORKER = 1_000;
const WORKERS = 12;
let used = 0;

/**
 * A free port that nobody else is given while the tests run: not by the system to some connection, and not to another worker. For what is closed and opened again in the
 * same place.
 */
export async function ownPort(): Promise<number> {
  for (;;) {
    const worker = Number(process.env['VITEST_POOL_ID'] ?? 0) % WORKERS;
    const port = FIRST + worker * OF_A_WORKER + (used++ % OF_A_WORKER);
    if (await isFree(port)) return port;
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.on('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
