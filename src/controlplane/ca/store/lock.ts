import { randomUUID } from 'node:crypto';
import { open, readFile, rm } from 'node:fs/promises';
import type { Clock } from '../../../core/clock.js';

/** How often a process looks whether the other one is done, in milliseconds. */
const LOOK_MS = 5;
/** The same holder for that long is a dead one: who holds the lock writes a few files. Monotonic milliseconds of the one who waits. */
const DEAD_AFTER_MS = 30_000;

const turns = new Map<string, Promise<unknown>>();

/**
 * Runs `work` alone: of all that name this file, in this process and in others of this machine. The file holds the number of its process; that of one that has
 * ended is taken away. Not for network file systems.
 */
export function locked<T>(file: string, clock: Clock, work: () => Promise<T>): Promise<T> {
  const mine = (turns.get(file) ?? Promise.resolve()).then(async () => {
    await acquire(file, clock);
    try {
      return await work();
    } finally {
      await rm(file, { force: true });
    }
  });
  const settled = mine.then(
    () => {},
    () => {},
  );
  turns.set(file, settled);
  void settled.then(() => {
    if (turns.get(file) === settled) turns.delete(file);
  });
  return mine;
}

async function acquire(file: string, clock: Clock): Promise<void> {
  const text = `${process.pid} ${randomUUID()}\n`;
  let seen: { readonly holder: string; readonly since: number } | undefined;
  while (!(await take(file, text))) {
    const holder = await readFile(file, 'utf8').catch(() => '');
    if (holder !== seen?.holder) seen = { holder, since: clock.now() };
    if (isDead(holder) || clock.now() - seen.since > DEAD_AFTER_MS) await breakLock(file, holder);
    else await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }
}

async function take(file: string, text: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(text).finally(() => handle.close());
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Only one breaks it, and only that holder's: who comes second would take away the lock of who came first. */
async function breakLock(file: string, holder: string): Promise<void> {
  const guard = `${file}.break`;
  if (!(await take(guard, `${process.pid}\n`))) {
    if (isDead(await readFile(guard, 'utf8').catch(() => ''))) await rm(guard, { force: true });
    return;
  }
  try {
    if ((await readFile(file, 'utf8').catch(() => undefined)) === holder) await rm(file, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}

/** A holder that has not written its number yet is alive. */
function isDead(holder: string): boolean {
  const pid = Number.parseInt(holder, 10);
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
