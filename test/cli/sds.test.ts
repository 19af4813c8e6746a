import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Io } from '../../src/cli/io.js';
import { run } from '../../src/cli/program.js';
import { systemClock } from '../../src/core/clock.js';
import type { IdentityState } from '../../src/core/identity.js';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import { RpcConnection } from '../../src/identity/rpc/connection.js';
import { sdsIdentity } from '../../src/identity/sources/sds.js';
import { secretsOver } from '../../src/xds/sds/secret-discovery.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-sds-cli-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A terminal whose user presses ctrl-c when `stop` is called. */
function terminal() {
  let stop = (): void => {};
  let said = (_: string): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const printed = new Promise<string>((resolve) => {
    said = resolve;
  });
  let errors = '';
  const io: Io = {
    out: (text) => said(text),
    err: (text) => {
      errors += text;
    },
    logger: () => silentLogger,
    stopped: () => stopped,
  } as Io;
  return { io, stop: () => stop(), printed, errors: () => errors };
}

test('sds serves an identity of an authority in a folder, until it is told to stop', async () => {
  const id = 'spiffe://cluster.local/ns/default/sa/envoy';
  const socket = join(folder, 'sds.sock');
  const { io, stop, printed } = terminal();
  const code = run(['sds', '--socket', socket, '--directory', join(folder, 'ca'), '--spiffe-id', id], io);
  expect(await printed).toBe(`secrets of ${id} on unix:${socket}\n`);
  const connection = new RpcConnection({ target: `unix:${socket}`, clock: systemClock });
  const secrets = secretsOver(connection, { node: 'test', clock: systemClock, random: seededRandom(1) });
  const source = sdsIdentity({ name: 'SDS', secrets, close: () => connection.close() });
  const state = await new Promise<IdentityState>((resolve, reject) =>
    source.watch({ changed: resolve, failed: reject }),
  );
  expect(state.identity?.spiffeId).toBe(id);
  await source.close();
  stop();
  expect(await code).toBe(0);
});

test.each([
  [['--ca', '127.0.0.1:1', '--directory', 'x', '--spiffe-id', 'spiffe://a/b'], /exclude each other/],
  [['--ca', '127.0.0.1:1'], /--spiffe-id/],
  [[], /no identity: give --ca or --directory/],
])('sds %j says what is wrong with it', async (args, why) => {
  const { io, errors } = terminal();
  expect(await run(['sds', '--socket', join(folder, 'sds.sock'), ...args], io)).toBe(2);
  expect(errors()).toMatch(why);
});
