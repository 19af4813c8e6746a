import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { compiled } from '../../support/compiled.js';
import { httpServer } from '../../support/http1-fixture.js';
import { http2Server } from '../../support/http2-fixture.js';

const program = join(import.meta.dirname, 'unclosed-program.ts');
const run = promisify(execFile);

// A run that has to be killed rejects.
test.each([
  ['http1', () => httpServer(() => {})],
  ['http2', () => http2Server()],
] as const)('connections kept warm do not keep a program from ending: %s', async (protocol, serve) => {
  const server = await serve();
  try {
    const args = [await compiled(program), String(server.port), protocol];
    const { stdout } = await run(process.execPath, args, { timeout: 25_000 });
    expect(stdout).toBe('warm');
  } finally {
    await server.close();
  }
});
