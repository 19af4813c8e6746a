import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { execFile } from 'node:child_process';
import { type ControlPlaneCa, startControlPlane } from '../../../src/controlplane/control-plane.js';
import { startWorkload, type Workload } from './process.js';

const PLAIN = (port: number): string[] => [
  'apiVersion: v1',
  'kind: Service',
  'metadata: { name: reviews }',
  'spec:',
  `  endpoints: ["127.0.0.1:${port}"]`,
];
/** Each test starts up to three programs. */
vi.setConfig({ testTimeout: 120_000 });

const ONE_MORE_LINE = '  mtls: strict';

let folder: string;
const workloads: Workload[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-quick-'));
});
afterEach(async () => {
  await Promise.all(workloads.splice(0).map((workload) => workload.close()));
  await rm(folder, { recursive: true });
});

async function start(lines: (port: number) => string[]): Promise<{ server: Workload; caller: Workload; port: number }> {
  const port = await freePort();
  const config = join(folder, 'mesh.yaml');
  await writeFile(config, lines(port).join('\n'));
  const [server, caller] = await Promise.all([
    startWorkload({ service: 'reviews', mesh: { config }, serve: `127.0.0.1:${port}` }),
    startWorkload({ service: 'shop', mesh: { config }, serve: undefined }),
  ]);
  workloads.push(server, caller);
  return { server, caller, port };
}

test('one more line of YAML is mutual TLS between two processes, and nobody else gets in', async () => {
  const { server, caller, port } = await start((number) => [...PLAIN(number), ONE_MORE_LINE]);
  expect(await caller.ask({ fetch: 'http://reviews/' })).toBe('spiffe://cluster.local/ns/default/sa/shop');
  expect(await server.ask({ identity: true })).toMatchObject({
    spiffeId: 'spiffe://cluster.local/ns/default/sa/reviews',
  });
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
  // The authority that both share is for this user alone.
  const authority = join(folder, '.inmesh', 'ca');
  expect((await stat(authority)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(join(authority, 'keys')))
    expect((await stat(join(authority, 'keys', name))).mode & 0o777).toBe(0o600);
  expect(`${server.output}${caller.output}`).not.toContain('PRIVATE KEY');
});

test('without the line it is plaintext, and no authority is made', async () => {
  const { server, caller, port } = await start(PLAIN);
  expect(await caller.ask({ fetch: 'http://reviews/' })).toBe('nobody');
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('nobody');
  expect(await server.ask({ identity: true })).toBeUndefined();
  expect(await readdir(folder)).toEqual(['mesh.yaml']);
});

test('permissive takes callers of the mesh and others; whoever calls with TLS is known', async () => {
  const policy = ['---', 'apiVersion: inmesh.dev/v1alpha1', 'kind: TrafficPolicy', 'metadata: { name: p }'];
  const { caller, port } = await start((number) => [
    ...PLAIN(number),
    '  mtls: permissive',
    ...policy,
    'spec: { targetRefs: [{ name: reviews }], tls: { mode: mutual } }',
  ]);
  expect(await caller.ask({ fetch: 'http://reviews/' })).toBe('spiffe://cluster.local/ns/default/sa/shop');
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('nobody');
});

test('the same over a control plane with an authority: a join token is all that a workload needs', async () => {
  const port = await freePort();
  const config = join(folder, 'mesh.yaml');
  await writeFile(config, [...PLAIN(port), ONE_MORE_LINE].join('\n'));
  const directory = join(folder, 'ca');
  const plane = await startControlPlane({
    config,
    listen: '127.0.0.1:0',
    ca: { directory, listen: '127.0.0.1:0' },
  });
  try {
    const authority = plane.ca as ControlPlaneCa;
    const start = async (service: string, serve?: string): Promise<Workload> => {
      const { token } = await authority.tokens.create(`spiffe://cluster.local/ns/default/sa/${service}`);
      const env = { INMESH_CA: `127.0.0.1:${authority.port}`, INMESH_JOIN_TOKEN: token };
      const mesh = { xds: `127.0.0.1:${plane.port}` };
      const workload = await startWorkload({ service, mesh, serve }, env);
      workloads.push(workload);
      expect(workload.output).not.toContain(token);
      return workload;
    };
    const [server, caller] = await Promise.all([start('reviews', `127.0.0.1:${port}`), start('shop')]);
    expect(await caller.ask({ fetch: 'http://reviews/' })).toBe('spiffe://cluster.local/ns/default/sa/shop');
    expect(await server.ask({ identity: true })).toMatchObject({ source: `ca 127.0.0.1:${authority.port}` });
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow('fetch failed');
  } finally {
    await Promise.all(workloads.splice(0).map((workload) => workload.close()));
    await plane.close();
  }
});

test.each(['permissive', 'strict'] as const)(
  'the connection to a control plane (%s) is mutual TLS as well, with the certificate that its own authority gives: for callers, servers and programs that are preloaded',
  async (tls) => {
    const port = await freePort();
    const config = join(folder, 'mesh.yaml');
    await writeFile(config, [...PLAIN(port), ONE_MORE_LINE].join('\n'));
    const directory = join(folder, 'ca');
    const plane = await startControlPlane({
      config,
      tls,
      listen: '127.0.0.1:0',
      ca: { directory, listen: '127.0.0.1:0' },
    });
    try {
      const authority = plane.ca as ControlPlaneCa;
      const xds = `127.0.0.1:${plane.port}`;
      const env = async (service: string): Promise<Record<string, string>> => {
        const { token } = await authority.tokens.create(`spiffe://cluster.local/ns/default/sa/${service}`);
        return { INMESH_CA: `127.0.0.1:${authority.port}`, INMESH_JOIN_TOKEN: token };
      };
      const start = async (service: string, serve?: string): Promise<Workload> => {
        const workload = await startWorkload({ service, mesh: { xds }, serve }, await env(service));
        workloads.push(workload);
        return workload;
      };
      const [server, caller] = await Promise.all([start('reviews', `127.0.0.1:${port}`), start('shop')]);
      expect(await caller.ask({ fetch: 'http://reviews/' })).toBe('spiffe://cluster.local/ns/default/sa/shop');
      expect(await server.ask({ identity: true })).toMatchObject({ source: `ca 127.0.0.1:${authority.port}` });
      const preloaded = await runPreloaded("fetch('http://reviews/').then(async (r) => console.log(await r.text()))", {
        ...(await env('page')),
        INMESH_SERVICE: 'page',
        INMESH_XDS: xds,
      });
      expect(preloaded).toBe('spiffe://cluster.local/ns/default/sa/page\n');
    } finally {
      await Promise.all(workloads.splice(0).map((workload) => workload.close()));
      await plane.close();
    }
  },
);

test('the configuration that a secure mesh needs is one line longer than that of a plain one', async () => {
  await writeFile(join(folder, 'a'), [...PLAIN(1), ONE_MORE_LINE].join('\n'));
  await writeFile(join(folder, 'b'), PLAIN(1).join('\n'));
  const [secure, plain] = await Promise.all(['a', 'b'].map((name) => readFile(join(folder, name), 'utf8')));
  expect(secure?.split('\n').filter((line) => !plain?.split('\n').includes(line))).toEqual([ONE_MORE_LINE]);
});

/** What an application prints that knows nothing of the mesh, and that nothing keeps alive. */
function runPreloaded(program: string, env: Readonly<Record<string, string>>): Promise<string> {
  const args = ['--import', 'tsx', '--import', './src/register.ts', '--input-type=module', '--eval', program];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${error.message}\n${stderr}`)),
    );
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
