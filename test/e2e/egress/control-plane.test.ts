import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient, type MeshOptions } from '../../../src/index.js';
import { serviceYaml } from '../../support/mesh-yaml.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function outside(): Promise<number> {
  const server = createServer((request, response) => response.end(`hello ${request.headers.host}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function plane(yaml: string): Promise<{ control: ControlPlane; edit(yaml: string): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-egress-ads-'));
  const file = join(folder, 'mesh.yaml');
  await writeFile(file, yaml);
  const control = await startControlPlane({
    config: file,
    listen: '127.0.0.1:0',
    logger: silentLogger,
    debounce: { quietMs: 1 },
  });
  opened.push(
    () => rm(folder, { recursive: true }),
    () => control.close(),
  );
  return { control, edit: (text) => writeFile(file, text) };
}

async function meshAt(xds: MeshOptions['xds'], more: MeshOptions = {}): Promise<Mesh> {
  const mesh = meshClient({
    ...(xds !== undefined && { xds }),
    logger: silentLogger,
    resolve: async () => ['127.0.0.1'],
    ...more,
  });
  opened.push(() => mesh.close());
  await mesh.ready();
  return mesh;
}

const meshConfig = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { ${spec} }
`;

const outcome = (mesh: Mesh, url: string): Promise<string> =>
  mesh.fetch(url, { mesh: { timeoutMs: 20_000 } }).then(
    (reply) => reply.text(),
    (error: { code?: string; cause?: { code?: string } }) => error.code ?? error.cause?.code ?? String(error),
  );

const LONG = 40_000;

test(
  'what MeshConfig says of egress holds for clients of a control plane, from their first call on, and again when it changes',
  async () => {
    const port = await outside();
    const base = serviceYaml('orders', `endpoints: ["127.0.0.1:${port}"]`);
    const wild = `---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: wild }
spec: { hosts: ["*.wild.example"], resolution: NONE }
`;
    const { control, edit } = await plane(
      base + wild + meshConfig(`egress: { default: deny, allow: [{ hosts: [ok.example], cidrs: ["127.0.0.0/8"] }] }`),
    );
    const mesh = await meshAt(`127.0.0.1:${control.port}`);
    const [orders, evil, ok, registered] = await Promise.all([
      outcome(mesh, 'http://orders/'),
      outcome(mesh, `http://evil.example:${port}/`),
      outcome(mesh, `http://ok.example:${port}/`),
      outcome(mesh, `http://a.wild.example:${port}/`),
    ]);
    expect([orders, evil]).toEqual(['hello orders', 'EGRESS_DENIED']);
    expect([ok, registered]).toEqual([`hello ok.example:${port}`, `hello a.wild.example:${port}`]);

    await edit(base + meshConfig(`egress: { default: allow, deny: [{ hosts: [ok.example] }] }`));
    await vi.waitFor(async () => expect(await outcome(mesh, `http://evil.example:${port}/`)).toContain('hello'), LONG);
    expect(await outcome(mesh, `http://ok.example:${port}/`)).toBe('EGRESS_DENIED');

    await edit(base + meshConfig('unknownHosts: deny'));
    await vi.waitFor(
      async () => expect(await outcome(mesh, `http://evil.example:${port}/`)).toBe('UNKNOWN_HOST'),
      LONG,
    );
    expect(await outcome(mesh, 'http://orders/')).toBe('hello orders');

    await edit(base);
    await vi.waitFor(async () => expect(await outcome(mesh, `http://evil.example:${port}/`)).toContain('hello'), LONG);
  },
  LONG * 2,
);

test(
  'ranges that are denied are denied to endpoints of Services as well',
  async () => {
    const port = await outside();
    const { control } = await plane(
      serviceYaml('orders', `endpoints: ["127.0.0.1:${port}"]`) +
        meshConfig('egress: { deny: [{ cidrs: ["127.0.0.0/8"] }] }'),
    );
    const mesh = await meshAt(`127.0.0.1:${control.port}`);
    expect(await outcome(mesh, 'http://orders/')).toBe('EGRESS_DENIED');
  },
  LONG,
);

test(
  'a bootstrap says that its server is one of ours by a server feature; others are not asked',
  async () => {
    const port = await outside();
    const { control } = await plane(meshConfig('egress: { default: deny }'));
    const bootstrap = (...features: string[]): Record<string, unknown> => ({
      xds_servers: [
        {
          server_uri: `127.0.0.1:${control.port}`,
          channel_creds: [{ type: 'insecure' }],
          server_features: ['xds_v3', ...features],
        },
      ],
      node: { id: 'a' },
    });
    const mesh = await meshAt(bootstrap('inmesh.settings'));
    const plain = await meshAt(bootstrap());
    const asked = (of: Mesh): unknown[] => of.resources().flatMap(({ resources }) => resources.map((it) => it.name));
    expect(await outcome(mesh, `http://evil.example:${port}/`)).toBe('EGRESS_DENIED');
    expect(asked(mesh)).toContain('inmesh.dev/settings');
    expect(asked(plain)).not.toContain('inmesh.dev/settings');
  },
  LONG,
);
