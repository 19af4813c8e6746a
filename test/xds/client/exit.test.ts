import { execFile } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { compiled } from '../../support/compiled.js';

const program = join(import.meta.dirname, 'unclosed-program.ts');
const run = promisify(execFile);

/** A port of this machine that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// A run that has to be killed rejects.
test('a program that is done ends by itself, though its control plane is out of reach and is tried again', async () => {
  const address = `127.0.0.1:${await closedPort()}`;
  const args = [await compiled(program), address];
  const { stdout } = await run(process.execPath, args, { timeout: 25_000 });
  expect(stdout).toMatch(/^failed: .*ECONNREFUSED/);
});
