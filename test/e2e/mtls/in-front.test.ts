import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test, vi } from 'vitest';
import { type ControlPlaneCa, startControlPlane } from '../../../src/controlplane/control-plane.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { FIRST_POLICIES_MS } from '../../../src/server/configured.js';
import { runCommand } from '../../support/cli.js';

/* A program that cannot import a library, behind `inmesh proxy --app`: Python's own http.server, where there is one. */

vi.setConfig({ testTimeout: 120_000 });

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const CONFIG = (accounts: number, web: number): string => `apiVersion: v1
kind: Service
metadata: { name: accounts }
spec: { endpoints: ["127.0.0.1:${accounts}"] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { mtls: disabled, endpoints: ["127.0.0.1:${web}"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: as-another }
spec:
  parentRefs: [{ kind: Service, group: "", name: accounts }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /as-web } }]
      filters: [{ type: URLRewrite, urlRewrite: { hostname: web } }]
      backendRefs: [{ name: accounts, port: 80 }]
    - backendRefs: [{ name: accounts, port: 80 }]
---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: readers }
spec:
  targetRefs: [{ group: "", kind: Service, name: accounts }]
  rules: [{ from: [{ principals: [spiffe://cluster.local/ns/default/sa/shop] }], to: [{ methods: [GET] }] }]
---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { mtls: strict, authorization: { default: deny } }
`;

const PROGRAM = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"python as {self.headers['host']} for {self.headers['x-forwarded-client-cert'].split('URI=')[1]}".encode()
        self.send_response(200)
        self.send_header('content-length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
`;

const hasPython = spawnSync('python3', ['--version']).status === 0;

/** Starts a program; its first line, once it is there. */
async function started(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...env } });
  const ended = once(child, 'exit');
  opened.push(async () => {
    child.kill();
    await ended;
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return line;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Another service of the mesh, that is never to be heard. */
async function web(): Promise<{ readonly port: number; readonly connections: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(() => server.close());
  return { port: (server.address() as { port: number }).port, connections: () => connections };
}

const textOf = async (mesh: Mesh, url: string, init: RequestInit = {}): Promise<[number, string]> => {
  const reply = await mesh.fetch(url, init as Parameters<Mesh['fetch']>[1]);
  return [reply.status, await reply.text()];
};

async function expectHeld(shop: Mesh, eve: Mesh, port: number, other: () => number): Promise<void> {
  // On a machine that is busy, policies may be known later than requests wait for them.
  const served = 'for spiffe://cluster.local/ns/default/sa/shop';
  await vi.waitFor(
    async () => expect(await textOf(shop, 'http://accounts/')).toEqual([200, `python as accounts ${served}`]),
    10 * FIRST_POLICIES_MS,
  );
  expect(await textOf(shop, 'http://accounts/as-web')).toEqual([200, `python as web ${served}`]);
  expect(await textOf(shop, 'http://accounts/', { method: 'POST', body: 'x' })).toMatchObject([403, /RBAC/]);
  expect((await textOf(eve, 'http://accounts/'))[0]).toBe(403);
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
  expect(other()).toBe(0);
}

test.skipIf(!hasPython)(
  'the command puts mutual TLS and authorization in front of a program over a control plane with join tokens, and lets no request out to another Service',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'inmesh-in-front-'));
    opened.push(() => rm(folder, { recursive: true }));
    const [port, other] = [await freePort(), await web()];
    const config = join(folder, 'mesh.yaml');
    await writeFile(config, CONFIG(port, other.port));
    const ca = { directory: join(folder, 'ca'), listen: '127.0.0.1:0' };
    const plane = await startControlPlane({ config, listen: '127.0.0.1:0', ca, tls: 'strict', logger: silentLogger });
    opened.push(() => plane.close());
    const authority = plane.ca as ControlPlaneCa;
    const [xds, address] = [`127.0.0.1:${plane.port}`, `127.0.0.1:${authority.port}`];
    const joinToken = async (service: string): Promise<string> =>
      (await authority.tokens.create(`spiffe://cluster.local/ns/default/sa/${service}`)).token;

    const app = `127.0.0.1:${await started('python3', ['-c', PROGRAM])}`;
    await started(
      process.execPath,
      [
        ...['--import', 'tsx', 'src/cli/main.ts', 'proxy', '--xds', xds, '--listen', `127.0.0.1:${port}`],
        ...['--policies', 'accounts', '--app', app, '--log-level', 'error'],
      ],
      { INMESH_CA: address, INMESH_JOIN_TOKEN: await joinToken('accounts') },
    );
    const callerOf = async (service: string): Promise<Mesh> => {
      const identity = { ca: { address, joinToken: await joinToken(service) } };
      const mesh = meshClient({ service, xds, identity, logger: silentLogger });
      opened.push(() => mesh.close());
      return mesh;
    };
    await expectHeld(await callerOf('shop'), await callerOf('eve'), port, other.connections);
  },
);

test.skipIf(!hasPython)('the same from a file, with the authority that embedded configuration has', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-in-front-'));
  opened.push(() => rm(folder, { recursive: true }));
  const [port, other] = [await freePort(), await web()];
  const config = join(folder, 'mesh.yaml');
  await writeFile(config, CONFIG(port, other.port));
  const open = (service: string): Mesh => {
    const mesh = meshClient({ service, config, logger: silentLogger });
    opened.push(() => mesh.close());
    return mesh;
  };
  const app = `127.0.0.1:${await started('python3', ['-c', PROGRAM])}`;
  const { servers, meter } = open('accounts');
  const proxy = await startProxy({ servers, meter, policies: 'accounts', app, listen: `127.0.0.1:${port}` });
  opened.push(() => proxy.close({ graceMs: 0 }));
  await expectHeld(open('shop'), open('eve'), port, other.connections);
});

test('what a service behind a proxy is configured with is as `inmesh analyze` would have it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-in-front-'));
  opened.push(() => rm(folder, { recursive: true }));
  const config = join(folder, 'mesh.yaml');
  await writeFile(config, CONFIG(9052, 9053));
  expect(await runCommand(['analyze', config])).toMatchObject({ code: 0, err: '0 problems, 0 warnings\n' });
});
