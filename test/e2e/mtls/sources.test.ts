import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/control-plane.js';
import { serveSds } from '../../../src/controlplane/sds/serve.js';
import { silentLogger } from '../../../src/core/log.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { type Mesh, type MeshOptions, meshClient } from '../../../src/index.js';
import { stateOf } from '../../support/mtls.js';
import { type Issued, type TestCa, testCa } from '../../support/pki.js';
import { WorkloadApiServer, x509Svid, x509Svids } from '../../support/workload-api-server.js';
import { askRatings, askReviews, rotated, type Services, services } from './pair.js';

const SHOP = 'spiffe://cluster.local/ns/default/sa/shop';
const HOUR = 3_600_000;

let folder: string;
let ca: TestCa;
let plane: ControlPlane;
let both: Services;
let ends: (() => unknown)[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-sources-'));
  ca = testCa();
  both = await services();
  writeFileSync(join(folder, 'mesh.yaml'), both.yaml);
  plane = await startControlPlane({ config: join(folder, 'mesh.yaml'), listen: '127.0.0.1:0' });
  await both.serve({ xds: `127.0.0.1:${plane.port}` }, (name) => ({ source: memoryIdentity(stateOf(ca, name)) }));
});
afterEach(async () => {
  for (const end of ends.reverse()) await end();
  ends = [];
  await both.close();
  await plane.close();
  rmSync(folder, { recursive: true });
});

/** The caller's certificate: the second outlives the first. */
const issue = (hours: number): Issued => ca.issue({ name: 'shop', notAfter: Date.now() + hours * HOUR });

/** As a program does that renews certificates: whole files in the place of the old ones. */
function write(issued: Issued): { certificate: string; privateKey: string; roots: string; bundles: string } {
  const bundle = { trust_domains: { 'cluster.local': { spiffe_sequence: 1, keys: [jwk(ca.root)] } } };
  const files = {
    certificate: issued.chainPem,
    privateKey: issued.keyPem,
    roots: ca.root,
    bundles: JSON.stringify(bundle),
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => {
      const path = join(folder, name);
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
      return [name, path];
    }),
  ) as ReturnType<typeof write>;
}

const jwk = (pem: string): object => ({
  kty: 'EC',
  crv: 'P-256',
  use: 'x509-svid',
  x: 'AA',
  y: 'AA',
  x5c: [pem.replace(/-----[^-]+-----|\s/g, '')],
});

interface Kind {
  readonly options: Pick<MeshOptions, 'identity' | 'xds'>;
  rotate(next: Issued): unknown;
}

const bootstrap = (config: object): NonNullable<MeshOptions['xds']> => ({
  xds_servers: [{ server_uri: `127.0.0.1:${plane.port}`, channel_creds: [{ type: 'insecure' }] }],
  certificate_providers: { default: { plugin_name: 'file_watcher', config } },
});

const KINDS: Readonly<Record<string, (now: Issued) => Promise<Kind>>> = {
  async files(now) {
    const { certificate, privateKey, roots } = write(now);
    const files = { certificate, privateKey, roots, trustDomain: 'cluster.local' };
    return { options: { identity: { files } }, rotate: write };
  },
  async 'file_watcher of the bootstrap (A29, A65)'(now) {
    const { certificate, privateKey, roots } = write(now);
    const config = { certificate_file: certificate, private_key_file: privateKey, ca_certificate_file: roots };
    return { options: { xds: bootstrap({ ...config, refresh_interval: '1s' }) }, rotate: write };
  },
  async 'file_watcher of the bootstrap, with bundles by trust domain (A87)'(now) {
    const { certificate, privateKey, bundles } = write(now);
    const config = {
      certificate_file: certificate,
      private_key_file: privateKey,
      spiffe_trust_bundle_map_file: bundles,
    };
    return { options: { xds: bootstrap({ ...config, refresh_interval: '1s' }) }, rotate: write };
  },
  async sds(now) {
    const state = (identity: Issued) => ({ identity, trust: ca.trust() });
    const source = memoryIdentity(state(now));
    const server = await serveSds({ socket: join(folder, 'sds'), source, logger: silentLogger });
    ends.push(() => server.close());
    return {
      options: { identity: { sds: `unix://${server.socket}` } },
      rotate: (next) => source.set(state(next)),
    };
  },
  async workloadApi(now) {
    const api = await WorkloadApiServer.start(join(folder, 'agent'));
    ends.push(() => api.stop());
    const say = (issued: Issued): void => api.say('FetchX509SVID', x509Svids([x509Svid(issued, [ca.root])]));
    say(now);
    return { options: { identity: { workloadApi: api.endpoint } }, rotate: say };
  },
};

describe.each(Object.entries(KINDS))('an identity from %s', (_, make) => {
  test('is what fetch and gRPC call with, and the next one is once it is there', async () => {
    const [now, next] = [issue(1), issue(2)];
    const { options, rotate } = await make(now);
    const xds = `127.0.0.1:${plane.port}`;
    const mesh: Mesh = meshClient({ xds, ...options, service: 'shop', logger: silentLogger });
    ends.push(() => mesh.close());
    // The configuration of what is called is what asks for a certificate.
    await mesh.ready('reviews');
    const { notAfter } = mesh.identity() ?? {};
    expect(mesh.identity()).toMatchObject({ spiffeId: SHOP });
    const before = await askReviews(mesh);
    expect(before.spiffeId).toBe(SHOP);
    expect(await askRatings(mesh)).toBe(SHOP);
    await rotate(next);
    await rotated(mesh, notAfter);
    const after = await askReviews(mesh);
    expect(after.spiffeId).toBe(SHOP);
    expect(after.serialNumber).not.toBe(before.serialNumber);
    expect(await askRatings(mesh)).toBe(SHOP);
  });
});

test('what is called asks for mutual TLS, and nothing says who this workload is: ready() says so', async () => {
  const mesh = meshClient({ xds: `127.0.0.1:${plane.port}`, service: 'shop', logger: silentLogger });
  ends.push(() => mesh.close());
  await mesh.ready();
  await expect(mesh.ready('reviews')).rejects.toThrow('set the option identity of meshClient');
});
