import { open, truncate } from 'node:fs/promises';

/** Lines that have their end: a last one without is being written, or was torn by a crash. None where there is no file. */
export async function* completeLines(path: string): AsyncGenerator<string> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return;
  let rest = '';
  try {
    for await (const chunk of handle.createReadStream({ encoding: 'utf8' })) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } finally {
    await handle.close().catch(() => {});
  }
}

/** Objects of a file of JSON lines, oldest first; what is no JSON is left out. */
export async function* jsonLines(path: string): AsyncGenerator<unknown> {
  for await (const line of completeLines(path)) {
    const value = parsed(line);
    if (value !== undefined) yield value;
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Takes away a last line that a crash cut off, so that the next one does not continue it. Resolves with the file's size. */
export async function mendTail(path: string): Promise<number> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return 0;
  try {
    const { size } = await handle.stat();
    let end = size;
    const buffer = Buffer.alloc(4_096);
    while (end > 0) {
      const from = Math.max(0, end - buffer.length);
      const { bytesRead } = await handle.read(buffer, 0, end - from, from);
      const at = buffer.lastIndexOf(10, bytesRead - 1);
      if (at >= 0) {
        end = from + at + 1;
        break;
      }
      end = from;
    }
    if (end < size) await truncate(path, end);
    return end;
  } finally {
    await handle.close();
  }
}
