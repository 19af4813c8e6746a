import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';

/*
 * The lines of docs/security.md, "The first certificate", as they are there; only ports, the token and where this checkout is are filled in.
 */

const project = join(import.meta.dirname, '..', '..', '..');
const source = (file: string): string => pathToFileURL(join(project, 'src', file)).href;
const tsx = import.meta.resolve('tsx');

const children: ChildProcess[] = [];
let folder: string | undefined;
afterEach(async () => {
  await Promise.all(
    children.splice(0).map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    }),
  );
  if (folder !== undefined) await rm(folder, { recursive: true });
});

const PROGRAM = `
import { createServer } from 'node:http';
import { meshClient } from '${source('index.ts')}';
const mesh = meshClient({ service: process.env.INMESH_SERVICE });
if (process.argv[2] !== undefined) {
  const server = createServer((_, response) => response.end('hello ' + (mesh.peer()?.spiffeId ?? 'nobody')));
  await mesh.secure(server);
  server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('serving'));
} else {
  const own = await (await mesh.fetch('http://bank/')).text();
  const preloaded = await (await fetch('http://bank/')).text();
  console.log([own, preloaded].join());
  await mesh.close();
}
`;

test('a server and a caller of one environment have their mesh.secure and their calls from it: by a mesh of their own, and by the preload', async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-lines-'));
  const document = await readFile(join(project, 'docs', 'security.md'), 'utf8');
  const lines = /### The first certificate[\s\S]*?```sh\n([\s\S]*?)```/.exec(document)?.[1]?.trim().split('\n') ?? [];
  const [startPlane = '', makeToken = '', startShop = ''] = lines;
  const main = join(project, 'src', 'cli', 'main.ts');
  const node = `"${process.execPath}" --import ${tsx}`;
  const run = (line: string): ChildProcess => {
    const here = line
      .replace('npx inmesh', `${node} ${main}`)
      .replace('node --import inmesh/register', `${node} --import ${source('register.ts')}`);
    const env = Object.entries(process.env).filter(([name]) => !/^(INMESH|SPIFFE|GRPC_XDS)_/.test(name));
    const child = spawn('sh', ['-c', `exec env ${here}`], {
      cwd: folder,
      env: Object.fromEntries(env),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  };
  const port = await freePort();
  await writeFile(
    join(folder, 'mesh.yaml'),
    `apiVersion: v1\nkind: Service\nmetadata: { name: bank }\nspec: { mtls: strict, endpoints: ["127.0.0.1:${port}"] }\n`,
  );
  await writeFile(join(folder, 'shop.mjs'), PROGRAM);
  const plane = await firstLine(run(`${startPlane} --listen 127.0.0.1:0 --ca-listen 127.0.0.1:0 -o json`));
  const { xds, ca } = JSON.parse(plane) as { readonly xds: string; readonly ca: string };
  const start = async (service: string, ...args: string[]): Promise<string> => {
    const { token } = JSON.parse((await output(run(`${makeToken.replace(/shop$/, service)} -o json`))).trim()) as {
      readonly token: string;
    };
    const line = startShop
      .replace(/INMESH_XDS=\S+/, `INMESH_XDS=${xds}`)
      .replace(/INMESH_CA=\S+/, `INMESH_CA=${ca}`)
      .replace('INMESH_JOIN_TOKEN=…', `INMESH_JOIN_TOKEN=${token}`)
      .replace('INMESH_SERVICE=shop', `INMESH_SERVICE=${service}`);
    return firstLine(run([line, ...args].join(' ')));
  };
  // Elsewhere, what is in ./mesh.yaml would be another configuration than the control plane's: here nobody may read it.
  expect(await start('bank', String(port))).toBe('serving');
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
  const hello = 'hello spiffe://cluster.local/ns/default/sa/shop';
  expect(await start('shop')).toBe(`${hello},${hello}`);
}, 120_000);

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`ended with ${code}`)));
  ended.catch(() => {});
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
  return line;
}

async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await once(child, 'close');
  return text;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
