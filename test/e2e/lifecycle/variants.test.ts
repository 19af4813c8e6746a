import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import { tcpServer } from '../../support/http1-fixture.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import type { Backend } from '../support/backend.js';
import { Opened } from '../robustness/support.js';
import { runProgram } from './child.js';
import type { Task } from './program.js';

/* Every way to say where configuration comes from, as a process of its own. */

const opened = new Opened();
let backend: Backend;
let folder: string;
let plane: ControlPlane;
let silent: number;
let bootstrapFile: string;
beforeAll(async () => {
  backend = await opened.backend('a');
  folder = opened.add(await mkdtemp(join(tmpdir(), 'inmesh-life-')), (made) => rm(made, { recursive: true }));
  await writeFile(join(folder, 'mesh.yaml'), serviceYaml('reviews', `endpoints: ["127.0.0.1:${backend.httpPort}"]`));
  await writeFile(join(folder, 'more.yaml'), serviceYaml('echo', `endpoints: ["127.0.0.1:${backend.grpcPort}"]`));
  plane = opened.add(await startControlPlane({ config: folder, listen: '127.0.0.1:0' }), (each) => each.close());
  bootstrapFile = (await opened.file(bootstrap(plane.port))).path;
  const server = opened.add(await tcpServer((socket) => socket.resume()), (each) => each.close());
  silent = server.port;
});
afterAll(() => opened.close());

const bootstrap = (port: number): string =>
  JSON.stringify({
    xds_servers: [
      { server_uri: `127.0.0.1:${port}`, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] },
    ],
    node: { id: 'e2e' },
  });

interface Variant {
  readonly name: string;
  readonly task: () => Omit<Task, 'close'>;
  readonly where?: () => { cwd?: string; env?: Record<string, string> };
}

const both = { urls: ['http://reviews/get'], authorities: ['echo'] };
const direct = (): Omit<Task, 'close'> => ({
  urls: [`http://127.0.0.1:${backend.httpPort}/get`, `http://localhost:${backend.httpPort}/get`],
  authorities: [`127.0.0.1:${backend.grpcPort}`],
});

const variants: readonly Variant[] = [
  {
    name: 'services',
    task: () => ({
      ...both,
      options: {
        services: { reviews: [`127.0.0.1:${backend.httpPort}`], echo: [`127.0.0.1:${backend.grpcPort}`] },
      },
    }),
  },
  { name: 'a file', task: () => ({ urls: both.urls, options: { config: join(folder, 'mesh.yaml') } }) },
  { name: 'a folder', task: () => ({ ...both, options: { config: folder } }) },
  {
    name: 'several files',
    task: () => ({ ...both, options: { config: [join(folder, 'mesh.yaml'), join(folder, 'more.yaml')] } }),
  },
  { name: 'a control plane', task: () => ({ ...both, options: { xds: `127.0.0.1:${plane.port}` } }) },
  {
    name: 'GRPC_XDS_BOOTSTRAP',
    task: () => both,
    where: () => ({ env: { GRPC_XDS_BOOTSTRAP: bootstrapFile } }),
  },
  {
    name: 'GRPC_XDS_BOOTSTRAP_CONFIG',
    task: () => both,
    where: () => ({ env: { GRPC_XDS_BOOTSTRAP_CONFIG: bootstrap(plane.port) } }),
  },
  { name: './mesh.yaml', task: () => ({ urls: both.urls }), where: () => ({ cwd: folder }) },
  { name: 'nothing at all', task: direct, where: () => ({ cwd: tmpdir() }) },
];

describe.each(variants)('meshClient() with $name', ({ task, where }) => {
  test('serves calls made before it is ready and after, and the process ends by itself with nothing left', async () => {
    const { report, stderr } = await runProgram({ ...task(), close: 'at the end' }, where?.());
    const { urls, authorities = [] } = task();
    expect(report.answers).toEqual(Array(2 * (urls.length + authorities.length)).fill('a'));
    expect(report).toMatchObject({ ready: 'ready', left: [] });
    expect(stderr).toBe('');
  });

  test.each(['at once', 'under way'] as const)(
    'closed %s: every call and ready() settle, nothing is left',
    async (close) => {
      const { report, stderr } = await runProgram({ ...task(), close }, where?.());
      expect(report.left).toEqual([]);
      for (const answer of report.answers) expect(answer).toMatch(/^(a$|MESH_CLOSED|14: .*mesh\.close\(\))/);
      expect(report.ready).toMatch(/^(ready$|MESH_CLOSED)/);
      expect(stderr).toBe('');
    },
  );
});

describe('what cannot be reached', () => {
  test.each([
    ['a control plane that says nothing', () => `127.0.0.1:${silent}`],
    ['a control plane that is not there', () => '127.0.0.1:1'],
    ['a control plane whose name nobody knows', () => 'control-plane.invalid:18000'],
  ])('%s: closed at once, calls settle and the process ends', async (_, address) => {
    const task: Task = {
      urls: ['http://reviews/'],
      authorities: ['echo'],
      options: { xds: address() },
      close: 'at once',
    };
    const { report } = await runProgram(task);
    expect(report.left).toEqual([]);
    expect(report.ready).toMatch(/^MESH_CLOSED/);
    for (const answer of report.answers) expect(answer).toMatch(/^(MESH_CLOSED|CONFIG_UNAVAILABLE|14: )/);
  });

  test('a bootstrap that is no JSON: calls and ready() name the variable, and the process lives', async () => {
    const { report } = await runProgram(
      { urls: ['http://reviews/'], close: 'at the end' },
      { env: { GRPC_XDS_BOOTSTRAP_CONFIG: '{"xds_servers": [' } },
    );
    expect(report.ready).toMatch(/BootstrapError: GRPC_XDS_BOOTSTRAP_CONFIG: /);
    expect(report.answers[0]).toMatch(/^CONFIG_UNAVAILABLE/);
    expect(report.left).toEqual([]);
  });

  test('endpoints that accept and say nothing: closed under way, nothing is left', async () => {
    const options = { services: { reviews: [`127.0.0.1:${silent}`], echo: [`127.0.0.1:${silent}`] } };
    const { report } = await runProgram({
      urls: ['http://reviews/'],
      authorities: ['echo'],
      options,
      close: 'under way',
    });
    expect(report.left).toEqual([]);
    expect(report.answers[0]).toMatch(/^MESH_CLOSED/);
    expect(report.answers[1]).toMatch(/^14: .*mesh\.close\(\)/);
  });
});
