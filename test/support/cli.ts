import type { Io } from '../../src/cli/io.js';
import { run } from '../../src/cli/program.js';
import { silentLogger } from '../../src/core/log.js';

/** A command as a user types it, to its end; `stopped` settles when the user presses ctrl-c: never, unless it is given. */
export async function runCommand(
  args: readonly string[],
  stopped: Promise<void> = new Promise(() => {}),
): Promise<{ code: number; out: string; err: string }> {
  const printed = { out: '', err: '' };
  const io: Io = {
    out: (text) => {
      printed.out += text;
    },
    err: (text) => {
      printed.err += text;
    },
    logger: () => silentLogger,
    stopped: () => stopped,
  };
  const code = await run([...args], io);
  return { code, ...printed };
}
