import { randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CaError } from '../errors.js';

/** A folder for this user only. One that others may look into is refused: keys are in it. */
export async function privateDirectory(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  if (made !== undefined) {
    // What the process masks is masked by mkdir as well, but folders on the way may have been made with more.
    await chmod(path, 0o700);
    return;
  }
  const { mode, uid } = await stat(path);
  const own = process.getuid?.();
  if (own !== undefined && uid !== own)
    throw new CaError('state', `${path} belongs to another user (uid ${uid}): the authority's keys would be theirs`);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    throw new CaError('state', `${path} is open to others (mode ${(mode & 0o777).toString(8)}): chmod 700 it`);
}

/** Replaces a file: whoever reads it sees the old one or the new one, whole, also after a power cut. */
export async function writeAtomically(path: string, text: string, mode = 0o600): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Adds to a file, and has it on the disk when it resolves. */
export async function appendDurably(path: string, text: string): Promise<void> {
  const handle = await open(path, 'a', 0o600);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The names in a folder are on the disk. Some systems cannot open one: there it is theirs to keep. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
