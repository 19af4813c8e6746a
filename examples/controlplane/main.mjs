// node examples/controlplane/main.mjs
//
// A control plane that serves a folder of YAML over xDS, a client that is configured by it, and an edit. The command `inmesh controlplane
// --config FOLDER` does what startControlPlane does here.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { meshClient } from 'inmesh';
import { startControlPlane } from 'inmesh/controlplane';
import { serveHttp } from '../support/serve.mjs';

const v1 = await serveHttp((_, response) => response.end('v1'));
const v2 = await serveHttp((_, response) => response.end('v2'));

const folder = await mkdtemp(join(tmpdir(), 'inmesh-example-'));
const edit = (file, spec) =>
  writeFile(join(folder, file), `apiVersion: v1\nkind: Service\nmetadata: { name: reviews }\nspec: ${spec}\n`);
await edit('reviews.yaml', `{ endpoints: ["${v1.address}"] }`);

const controlPlane = await startControlPlane({ config: folder, listen: '127.0.0.1:0' });
const mesh = meshClient({ service: 'frontend', xds: `127.0.0.1:${controlPlane.port}` });

const ask = async () => (await mesh.fetch('http://reviews/')).text();
console.log('before the edit:', await ask());

await edit('reviews.yaml', `{ endpoints: ["${v2.address}"] }`);
await until(async () => (await ask()) === 'v2');
console.log('after the edit:', await ask());

// A mistake changes nothing but what the control plane says of it.
await edit('reviews.yaml', `{ endpoint: ["${v2.address}"] }`);
await until(() => controlPlane.status().refused);
console.log('refused:', controlPlane.status().refused.problems[0].replace(folder, ''));
console.log('still:', await ask());

await mesh.close();
await controlPlane.close();
for (const server of [v1, v2]) server.close();
await rm(folder, { recursive: true });

async function until(condition) {
  while (!(await condition())) await setTimeout(20);
}
