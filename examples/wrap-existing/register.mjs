// node examples/wrap-existing/register.mjs
//
// Runs app.mjs, which is not changed, in the mesh:
//   INMESH_CONFIG=mesh.yaml node --import inmesh/register app.mjs
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serveHttp } from '../support/serve.mjs';

const server = await serveHttp((request, response) => response.end(`a review of ${request.url.slice(1)}`));
const folder = await mkdtemp(join(tmpdir(), 'inmesh-example-'));
const config = join(folder, 'mesh.yaml');
await writeFile(
  config,
  `apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: { endpoints: ["${server.address}"] }\n`,
);

const app = spawn(process.execPath, ['--import', 'inmesh/register', 'app.mjs'], {
  cwd: import.meta.dirname,
  env: { ...process.env, INMESH_CONFIG: config },
  stdio: 'inherit',
});
[process.exitCode] = await once(app, 'exit');

server.close();
await rm(folder, { recursive: true });
