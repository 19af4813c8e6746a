import { open, truncate } from 'node:fs/promises';

/** Objects of a file of JSON lines, oldest first. A last line without its end was cut off by a crash: it is left out, and so is what is no JSON. */
export async function* jsonLines(path: string): AsyncGenerator<unknown> {
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
      for (const line of lines) {
        const value = parsed(line);
        if (value !== undefined) yield value;
      }
    }
  } finally {
    await handle.close().catch(() => {});
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
