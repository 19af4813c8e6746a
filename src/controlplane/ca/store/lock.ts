import { randomUUID } from 'node:crypto';
import { type FileHandle, open, readFile, rm } from 'node:fs/promises';
import type { Clock } from '../../../core/clock.js';
import { CaError } from '../errors.js';

/** How often a process looks whether the other one is done, in milliseconds. */
const LOOK_MS = 5;
/** How often a holder shows that it is alive, in milliseconds. */
const BEAT_MS = 10_000;
/** A holder that shows nothing for that long is dead: it was stopped, or its number belongs to another process by now. Monotonic milliseconds of the one who waits. */
const DEAD_AFTER_MS = 30_000;

const turns = new Map<string, Promise<unknown>>();

/**
 * Runs `work` alone: of all that name this file, in this process and in others of this machine. The file holds the number of its process; that of one that has
 * ended is taken away. `held` rejects where another one took over, because this process stood still: to be asked before something is written. Not for network file
 * systems.
 */
export function locked<T>(file: string, clock: Clock, work: (held: () => Promise<void>) => Promise<T>): Promise<T> {
  const mine = (turns.get(file) ?? Promise.resolve()).then(async () => {
    const holder = await Holder.acquire(file, clock);
    try {
      return await work(() => holder.check());
    } finally {
      await holder.release();
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

class Holder {
  #beats = 0;
  #beating: Promise<unknown> = Promise.resolve();
  #cancel: () => void = () => {};

  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
    private readonly name: string,
    private readonly clock: Clock,
  ) {
    this.#plan();
  }

  static async acquire(file: string, clock: Clock): Promise<Holder> {
    const name = `${process.pid} ${randomUUID()}`;
    let seen: { readonly text: string; readonly since: number } | undefined;
    for (;;) {
      const handle = await take(file, `${name}\n`);
      if (handle !== undefined) return new Holder(file, handle, name, clock);
      const text = await readFile(file, 'utf8').catch(() => '');
      if (text !== seen?.text) seen = { text, since: clock.now() };
      if (isDead(text) || clock.now() - seen.since > DEAD_AFTER_MS) await breakLock(file, text);
      else await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    }
  }

  async check(): Promise<void> {
    if (!(await this.#isMine()))
      throw new CaError('unavailable', `${this.file}: another process took over, because this one stood still`, 100);
  }

  /** Takes away one's own lock, and no other's. */
  async release(): Promise<void> {
    this.#cancel();
    await this.#beating;
    await this.handle.close();
    if (await this.#isMine()) await rm(this.file, { force: true });
  }

  async #isMine(): Promise<boolean> {
    return (await readFile(this.file, 'utf8').catch(() => '')).startsWith(this.name);
  }

  /** Through the handle: a file that was taken away and made anew by another is not touched. */
  #plan(): void {
    const beat = (): void => {
      this.#beating = this.handle.write(`${this.name} ${++this.#beats}\n`, 0).catch(() => {});
      this.#plan();
    };
    this.#cancel = this.clock.after(BEAT_MS, beat, { background: true });
  }
}

/** Makes the file, which must not be there; undefined where it is. */
async function take(file: string, text: string): Promise<FileHandle | undefined> {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      return handle;
    } catch (error) {
      await handle.close();
      await rm(file, { force: true });
      throw error;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
}

/** Only one breaks it, and only that holder's: who comes second would take away the lock of who came first. */
async function breakLock(file: string, holder: string): Promise<void> {
  const guard = `${file}.break`;
  const handle = await take(guard, `${process.pid}\n`);
  if (handle === undefined) {
    if (isDead(await readFile(guard, 'utf8').catch(() => ''))) await rm(guard, { force: true });
    return;
  }
  try {
    await handle.close();
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
