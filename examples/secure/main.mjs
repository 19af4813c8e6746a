// node examples/secure/main.mjs
//
// A control plane with a certificate authority, a service that only the shop may read, and what becomes of the others. Each workload proves once who it is,
// by a join token; after that its certificate does. The commands `inmesh controlplane --ca` and `inmesh ca` do what startControlPlane does here.
import { createServer } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { meshClient, meshHandler } from 'inmesh';
import { startControlPlane } from 'inmesh/controlplane';
import { freePort } from '../support/serve.mjs';

const folder = await mkdtemp(join(tmpdir(), 'inmesh-example-'));
const port = await freePort();
const config = join(folder, 'mesh.yaml');
await writeFile(
  config,
  `apiVersion: v1
kind: Service
metadata: { name: accounts }
spec: { mtls: strict, endpoints: ["127.0.0.1:${port}"] }
---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: readers }
spec:
  targetRefs: [{ group: "", kind: Service, name: accounts }]
  rules: [{ from: [{ principals: [shop] }], to: [{ methods: [GET] }] }]
`,
);

const controlPlane = await startControlPlane({
  config,
  listen: '127.0.0.1:0',
  tls: 'strict',
  ca: { directory: join(folder, 'ca'), listen: '127.0.0.1:0' },
});

const meshes = [];
async function workload(service) {
  const { token } = await controlPlane.ca.tokens.create(`spiffe://cluster.local/ns/default/sa/${service}`);
  const mesh = meshClient({
    service,
    xds: `127.0.0.1:${controlPlane.port}`,
    identity: { ca: { address: `127.0.0.1:${controlPlane.ca.port}`, joinToken: token } },
  });
  meshes.push(mesh);
  await mesh.ready();
  return mesh;
}

const accounts = await workload('accounts');
const server = createServer(
  meshHandler((_, response) => response.end(`hello ${accounts.peer().spiffeId}`), { mesh: accounts }),
);
await accounts.secure(server);
server.listen(port, '127.0.0.1');

const shop = await workload('shop');
const reports = await workload('reports');
const ask = async (mesh, init) => {
  const response = await mesh.fetch('http://accounts/7', init);
  return `${response.status} ${response.ok ? await response.text() : (await response.json()).message}`;
};
console.log('the shop reads:', await ask(shop));
console.log('the shop writes:', await ask(shop, { method: 'POST' }));
console.log('somebody else reads:', await ask(reports));
console.log('no certificate:', await fetch(`http://127.0.0.1:${port}/7`).catch(() => 'the connection is closed'));

await controlPlane.ca.authority.revoke(shop.identity().spiffeId);
console.log('the shop, revoked:', await ask(shop).catch(({ code }) => code));

for (const mesh of meshes) await mesh.close();
server.close();
await controlPlane.close();
await rm(folder, { recursive: true });
