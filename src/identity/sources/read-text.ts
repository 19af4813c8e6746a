import { open } from 'node:fs/promises';
import { MAX_PEM_BYTES } from '../pem.js';

/** A file's text. Throws an Error that names the file and what is wrong: nothing of its content, which may be a key. */
export async function readText(path: string): Promise<string> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path);
    const { size } = await fileStat(file);
    if (size > MAX_PEM_BYTES) throw new Error(`has ${size} bytes: ${MAX_PEM_BYTES} at most`);
    return await file.readFile('utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${path}: ${code === 'ENOENT' ? 'there is no such file' : message}`);
  } finally {
    await file?.close();
  }
}

/** Neither folders nor pipes, which would be waited for without end. */
async function fileStat(file: Awaited<ReturnType<typeof open>>): Promise<{ size: number }> {
  const found = await file.stat();
  if (!found.isFile()) throw new Error('is no file');
  return found;
}
