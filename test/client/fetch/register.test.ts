import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compile } from '../../../src/controlplane/compile/compile.js';
import { servicesToDocuments } from '../../../src/controlplane/compile/shorthand.js';
import { startControlPlane } from '../../../src/controlplane/index.js';
import { httpServer, type RunningHttp } from '../../support/http1-fixture.js';

let server: RunningHttp;
const seen: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'inmesh-register-'));
beforeAll(async () => {
  server = await httpServer((request, response) => {
    seen.push(`${request.headers.host} ${request.url} ${request.headers['user-agent']}`);
    response.end('served');
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Runs an application that knows nothing of the mesh, until it ends by itself. */
function run(program: string, env: Record<string, string> = {}): Promise<string> {
  const file = join(folder, `app-${seen.length}.mjs`);
  writeFileSync(file, program);
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', '--import', './src/register.ts', file],
      { env: { ...process.env, ...env } },
      (error, stdout, stderr) =>
        error === null ? resolve(stdout.trim()) : reject(new Error(`${error.message}\n${stderr}`)),
    );
  });
}

test('an application that is not changed calls through the mesh, by the names that it knows, and ends by itself', async () => {
  const config = join(folder, 'mesh.yaml');
  writeFileSync(
    config,
    [
      'apiVersion: v1',
      'kind: Service',
      'metadata: { name: reviews }',
      'spec:',
      '  ports: [{ port: 80 }]',
      `  endpoints: ['127.0.0.1:${server.port}']`,
      '',
    ].join('\n'),
  );
  const output = await run(
    `const response = await fetch('http://reviews/list');
     console.log(response.status, await response.text(), response instanceof Response, response.url);`,
    { INMESH_CONFIG: config, INMESH_SERVICE: 'frontend' },
  );
  expect(output).toBe('200 served true http://reviews/list');
  expect(seen.at(-1)).toMatch(/^reviews \/list inmesh/);
});

test('the stream to a control plane keeps no program alive that would end by itself', async () => {
  const { resources } = compile(servicesToDocuments({ reviews: [`127.0.0.1:${server.port}`] }));
  const plane = await startControlPlane({ resources, listen: '127.0.0.1:0' });
  const output = await run(`console.log(await (await fetch('http://reviews/list')).text());`, {
    INMESH_XDS: `127.0.0.1:${plane.port}`,
  });
  expect(output).toBe('served');
  await plane.close();
});

test("what uses undici's global dispatcher goes through the mesh, too", async () => {
  const output = await run(
    `const dispatchers = [1, 2].map((n) => globalThis[Symbol.for('undici.globalDispatcher.' + n)]?.constructor.name);
     console.log(...dispatchers);`,
  );
  expect(output).toBe('MeshDispatcher MeshDispatcher');
});

test('hosts that no configuration names are reached as ever', async () => {
  const output = await run(`console.log(await (await fetch('${server.origin}/plain')).text());`);
  expect(output).toBe('served');
  expect(seen.at(-1)).toMatch(/^127\.0\.0\.1:\d+ \/plain/);
});
