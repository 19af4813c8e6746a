import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ControlPlane, type ControlPlaneCa, startControlPlane } from '../../../src/controlplane/control-plane.js';
import type { IdentityState } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { newPrivateKey } from '../../../src/identity/csr.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { Mailbox } from '../../support/mailbox.js';
import { testCa } from '../../support/pki.js';
import { stateOf } from '../../support/mtls.js';
import { askRatings, askReviews, freePort, type Services, services } from './pair.js';

const SHOP = 'spiffe://cluster.local/ns/default/sa/shop';

let folder: string;
let both: Services;
let plane: ControlPlane;
let authority: ControlPlaneCa['authority'];
let meshes: Mesh[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-plane-'));
  both = await services();
  writeFileSync(join(folder, 'mesh.yaml'), both.yaml);
  const ca = { directory: join(folder, 'ca'), listen: '127.0.0.1:0' };
  plane = await startControlPlane({ config: join(folder, 'mesh.yaml'), listen: '127.0.0.1:0', tls: 'strict', ca });
  ({ authority } = plane.ca as ControlPlaneCa);
});
afterEach(async () => {
  await Promise.all(meshes.map((mesh) => mesh.close()));
  meshes = [];
  await both.close();
  await plane.close();
  rmSync(folder, { recursive: true });
});

/** Any identity will do for the connection, when the bootstrap asks for it. */
const under = (port: number, node: object = {}) => ({
  node,
  xds_servers: [{ server_uri: `127.0.0.1:${port}`, channel_creds: [{ type: 'inmesh_identity' }] }],
});

async function issued(spiffeId: string): Promise<IdentityState> {
  const privateKey = await newPrivateKey();
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const { certificates, notBefore, notAfter } = await authority.issue({ spiffeId, publicKey, by: 'test' });
  return { identity: { spiffeId, certificates, privateKey, notBefore, notAfter }, trust: authority.trust };
}

function open(port: number, state: IdentityState, node?: object) {
  const source = memoryIdentity(state);
  const random = { next: () => 0, int: () => 0 };
  const mesh = meshClient({
    xds: under(port, node),
    identity: { source },
    service: 'shop',
    logger: silentLogger,
    random,
  });
  meshes.push(mesh);
  return { mesh, source };
}

test('a certificate that is replaced has a new connection to a strict control plane, on which everything goes on', async () => {
  const sources = ['reviews', 'ratings'].map(
    async (name) => [name, memoryIdentity(await issued(`spiffe://cluster.local/ns/default/sa/${name}`))] as const,
  );
  const own = new Map(await Promise.all(sources));
  await both.serve({ xds: under(plane.port) }, (name) => ({
    source: own.get(name) as ReturnType<typeof memoryIdentity>,
  }));
  const connections = new Mailbox<Socket>();
  const between = createServer((socket) => {
    const onward = connect(plane.port, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => end.destroy());
    connections.put(socket);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => between.listen(port, '127.0.0.1', resolve));
  const { mesh, source } = open(port, await issued(SHOP));
  expect((await askReviews(mesh)).spiffeId).toBe(SHOP);
  const labels = `source_principal="${SHOP}",destination_principal="spiffe://cluster.local/ns/default/sa/reviews",connection_security_policy="mutual_tls"`;
  expect(mesh.prometheus()).toMatch(
    new RegExp(`^mesh_cluster_security\\{mesh_cluster="[^"]*reviews[^"]*",${labels}\\} 1$`, 'm'),
  );
  const first = await connections.take();
  const closed = new Promise((resolve) => first.once('close', resolve));
  source.set(await issued(SHOP));
  await connections.take();
  await closed;
  expect(await askRatings(mesh)).toBe(SHOP);
  expect((await askReviews(mesh)).spiffeId).toBe(SHOP);
  await mesh.close();
  between.close();
});

test('a control plane that another authority vouches for is not spoken to, and the call says why', async () => {
  const { mesh } = open(plane.port, stateOf(testCa(), 'shop'));
  const failed = await mesh
    .fetch('http://reviews/', { mesh: { timeoutMs: 3_000 } })
    .catch((error: Error) => error.cause);
  expect(String(failed)).toMatch(/self.signed|not trusted|trust|issuer/i);
});

test('a client whose node says that it is another than its certificate is refused, and both are named; so that it is served one takes back the one or the other', async () => {
  const payments = { metadata: { NAMESPACE: 'default', SERVICE_ACCOUNT: 'payments' } };
  const known = (mesh: Mesh): Promise<string> =>
    mesh.ready('reviews').then(
      () => 'served',
      (error: Error) => error.message,
    );
  const refused = await known(open(plane.port, await issued(SHOP), payments).mesh);
  expect(refused).toMatch(
    /gRPC status 7: node "shop~.*" says in its metadata that it is of NAMESPACE "default" and SERVICE_ACCOUNT "payments", and its certificate is that of spiffe:.*\/sa\/shop/,
  );
  const shop = { metadata: { NAMESPACE: 'default', SERVICE_ACCOUNT: 'shop' }, cluster: 'payments' };
  expect(await known(open(plane.port, await issued(SHOP), shop).mesh)).toBe('served');
  const ca = { directory: join(folder, 'ca'), listen: '127.0.0.1:0' };
  const options = { config: join(folder, 'mesh.yaml'), listen: '127.0.0.1:0', ca };
  const unchecked = await startControlPlane({ ...options, tls: 'strict', xdsIdentityCheck: false });
  expect(await known(open(unchecked.port, await issued(SHOP), payments).mesh)).toBe('served');
  await unchecked.close();
  // In clear text there is nothing to compare with.
  const clear = await startControlPlane({ ...options, tls: 'permissive' });
  const xds = {
    node: payments,
    xds_servers: [{ server_uri: `127.0.0.1:${clear.port}`, channel_creds: [{ type: 'insecure' }] }],
  };
  const mesh = meshClient({ xds, service: 'shop', logger: silentLogger });
  meshes.push(mesh);
  expect(await known(mesh)).toBe('served');
  await clear.close();
}, 60_000);
