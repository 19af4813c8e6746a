import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Cleanup, deferred, get, listening } from '../proxy/support.js';

const project = join(import.meta.dirname, '..', '..');
const main = join(project, 'src', 'cli', 'main.ts');
const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const service = (port: number): string =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: { endpoints: [127.0.0.1:${port}] }\n`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-process-'));
  writeFileSync(join(folder, 'mesh.yaml'), service(1));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The command as a process of its own, and its first line. */
async function inmesh(...args: string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  cleanup.add(child, () => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  return { child, line };
}

describe('the process', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('ends by itself with 0 after %s, whatever it ran', async (signal) => {
    const config = join(folder, 'mesh.yaml');
    const plane = await inmesh(
      'controlplane',
      '--config',
      config,
      '--listen',
      '127.0.0.1:0',
      '--log-level',
      'error',
      '-o',
      'json',
    );
    const { xds } = JSON.parse(plane.line);
    const proxy = await inmesh('proxy', '--xds', xds, '--listen', '127.0.0.1:0', '--log-level', 'error');
    expect(proxy.line).toMatch(/^proxy: http:\/\/127\.0\.0\.1:\d+$/);
    for (const { child } of [proxy, plane]) {
      const exit = once(child, 'exit');
      child.kill(signal);
      expect(await exit).toEqual([0, null]);
    }
  });

  test('a control plane with a CA serves it, and xDS over TLS, in the trust domain that it was told', async () => {
    const directory = join(folder, 'ca');
    const args = ['--ca', directory, '--ca-listen', '127.0.0.1:0', '--trust-domain', 'example.org', '--tls', 'strict'];
    const { child, line } = await inmesh(
      ...['controlplane', '--config', join(folder, 'mesh.yaml'), '--listen', '127.0.0.1:0'],
      ...[...args, '--log-level', 'error', '-o', 'json'],
    );
    const { xds, ca } = JSON.parse(line) as { readonly xds: string; readonly ca: string };
    for (const address of [xds, ca]) {
      const socket = connect({ host: '127.0.0.1', port: Number(address.split(':').at(-1)), rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      const names = new X509Certificate(socket.getPeerCertificate().raw).subjectAltName;
      expect(names).toContain('URI:spiffe://example.org/ns/inmesh/sa/control-plane');
      socket.destroy();
    }
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  test.skipIf(process.platform === 'win32')('ends when the shell of the npx that ran it has ended', async () => {
    const config = join(folder, 'mesh.yaml');
    const args = ['proxy', '--config', config, '--listen', '127.0.0.1:0', '--log-level', 'error'];
    const command = [process.execPath, '--import', 'tsx', main, ...args];
    // As npx does it: a shell, which does not become the command (`; true`).
    const shell = spawn('sh', ['-c', '"$@"; true', 'sh', ...command], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, npm_command: 'exec', npm_lifecycle_script: 'inmesh proxy' },
    });
    cleanup.add(shell, () => shell.kill('SIGKILL'));
    const lines = createInterface({ input: shell.stdout });
    const [line] = (await once(lines, 'line')) as [string];
    const port = Number(new URL(line.replace('proxy: ', '')).port);
    expect(await reachable(port)).toBe(true);
    // Its output ends with the last process that has it: the command.
    const ended = once(lines, 'close');
    shell.kill('SIGTERM');
    await ended;
    expect(await reachable(port)).toBe(false);
  });

  test('ends at once after a second signal', async () => {
    // A server that takes a request and never answers keeps the proxy draining.
    const taken = deferred<void>();
    const { port } = await listening(
      cleanup,
      net.createServer((socket) => socket.once('data', () => taken.resolve())),
    );
    const config = join(folder, 'stuck.yaml');
    writeFileSync(config, service(port));
    const proxy = await inmesh('proxy', '--config', config, '--listen', '127.0.0.1:0', '--drain', '600', '-o', 'json');
    const { url } = JSON.parse(proxy.line);
    const answer = get(Number(new URL(url).port), { headers: { host: 'reviews' } }).catch(() => {});
    await taken.promise;
    const exit = once(proxy.child, 'exit');
    proxy.child.kill('SIGTERM');
    // The listener is closed once the first signal was seen.
    while (await reachable(Number(new URL(url).port)));
    proxy.child.kill('SIGTERM');
    expect(await exit).toEqual([143, null]);
    await answer;
  });
});

const reachable = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.connect(port, '127.0.0.1');
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
