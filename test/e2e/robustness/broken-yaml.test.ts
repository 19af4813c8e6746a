import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { httpRouteYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { Backend, ECHO } from '../support/backend.js';
import { openFace } from '../support/faces.js';
import { collectingLogger, Opened, startLoad, WAIT } from './support.js';

const opened = new Opened();
afterEach(() => opened.close());

/** Three mistakes in three documents, and a sound one among them. */
const BROKEN = `apiVersion: v1
kind: Servise
metadata: { name: reviews }
---
apiVersion: v1
kind: Service
metadata: { name: ratings }
spec: { endponts: ["127.0.0.1:1"] }
---
apiVersion: v1
kind: Service
metadata: { name: details }
spec: { endpoints: ["127.0.0.1:99999"] }
---
apiVersion: v1
kind: Service
metadata: { name: sound }
spec: { endpoints: ["127.0.0.1:1"] }
`;
const NOT_YAML = 'kind: Service\n  metadata: { name: [reviews\n';
/** 2^40 strings, once it is unfolded. */
const ALIAS_BOMB = Array.from(
  { length: 40 },
  (_, i) => `k${i}: &a${i} [${i === 0 ? 'x, x' : `*a${i - 1}, *a${i - 1}`}]`,
).join('\n');
const at = (port: number): string => serviceYaml('reviews', `endpoints: ["127.0.0.1:${port}"]`);

interface Failure extends Error {
  readonly code?: string;
  readonly cause?: Error;
}

const failure = (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(
    () => expect.unreachable('must fail'),
    (error: unknown) => error as Failure,
  );

describe('embedded configuration that is broken from the start', () => {
  const openMesh = (path: string, logger = collectingLogger()): Mesh =>
    opened.add(meshClient({ service: 'e2e', config: path, logger }), (mesh) => mesh.close());

  test('what only deserves a warning is logged, and the rest serves', async () => {
    const backend = opened.add(await Backend.start('sound'), (each) => each.kill());
    const logger = collectingLogger();
    const rules =
      '[{ matches: [{ path: { value: /none } }], backendRefs: [{ name: r, namespace: prod }] }, { backendRefs: [{ name: reviews }] }]';
    const { path } = await opened.file(at(backend.httpPort) + httpRouteYaml('r', 'name: reviews', rules));
    const mesh = openMesh(path, logger);
    expect((await mesh.fetch('http://reviews/none')).status).toBe(500);
    expect((await mesh.fetch('http://reviews/get')).status).toBe(200);
    const [line] = logger.lines.filter(({ level }) => level === 'warn');
    expect(line).toMatchObject({
      message: 'configuration warning',
      fields: { warning: expect.stringContaining('write a ReferenceGrant') },
    });
  });

  test('ready() rejects with every mistake, by file, line and path, and calls fail with CONFIG_INVALID', async () => {
    const { path } = await opened.file(BROKEN);
    const logger = collectingLogger();
    const mesh = openMesh(path, logger);
    const early = failure(mesh.fetch('http://reviews/get'));
    const error = await failure(mesh.ready());
    expect(error).toMatchObject({ name: 'ConfigInvalidError', code: 'CONFIG_INVALID', origin: 'mesh', reached: 'no' });
    expect(error.message).toMatch(/mesh\.yaml:2\b.*Servise.*Service/);
    expect(error.message).toMatch(/mesh\.yaml:8\b.*endponts.*endpoints/);
    expect(error.message).toMatch(/mesh\.yaml:13\b.*99999/);
    expect(error.message.split('\n')).toHaveLength(4);
    for (const call of [early, failure(mesh.fetch('http://sound/get'))]) {
      expect((await call).code).toBe('CONFIG_INVALID');
      expect((await call).cause?.message).toContain('Servise');
    }
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test.each(['fetch', 'gRPC', 'proxy, HTTP', 'proxy, gRPC'] as const)(
    'a mended file makes %s work, without a restart',
    async (name) => {
      const backend = await opened.backend('a');
      const port = name.includes('gRPC') ? backend.grpcPort : backend.httpPort;
      const file = await opened.file(NOT_YAML);
      const mesh = openMesh(file.path);
      await failure(mesh.ready());
      const face = opened.add(await openFace(name, mesh, 'reviews'), (each) => each.close());
      const code = name.includes('gRPC') ? 'UNAVAILABLE' : 'CONFIG_INVALID';
      expect((await failure(face.send())).message).toBe(code);
      await file.write(at(port));
      await vi.waitFor(async () => expect(await face.send()).toBe('a'), WAIT);
      await expect(mesh.ready()).resolves.toBeUndefined();
    },
  );

  test('a gRPC call that waits for ready begins when the file is mended, and not before', async () => {
    const backend = await opened.backend('a');
    const file = await opened.file(NOT_YAML);
    const mesh = openMesh(file.path);
    await failure(mesh.ready());
    const client = mesh.grpc(grpc.makeGenericClientConstructor(ECHO, 'Echo'), 'reviews');
    const metadata = new grpc.Metadata({ waitForReady: true });
    const reply = new Promise((resolve, reject) => {
      const get = client['get'] as (...args: unknown[]) => void;
      get.call(client, {}, metadata, (error: Error | null, value: unknown) => (error ? reject(error) : resolve(value)));
    });
    await file.write(at(backend.grpcPort));
    expect(await reply).toEqual({ id: 'a' });
  });

  test('a file that is not there is a mistake like others, and making it mends it', async () => {
    const backend = await opened.backend('a');
    const file = await opened.file('');
    const path = file.path.replace('mesh.yaml', 'later.yaml');
    const mesh = openMesh(path);
    expect((await failure(mesh.ready())).message).toContain('later.yaml');
    const { writeFile } = await import('node:fs/promises');
    await writeFile(path, at(backend.httpPort));
    await vi.waitFor(async () => expect((await mesh.fetch('http://reviews/get')).status).toBe(200), WAIT);
  });
});

describe('an edit that breaks the file under load', () => {
  test.each([
    ['not YAML at all', NOT_YAML],
    ['mistakes in known kinds', BROKEN],
    ['a NUL byte and noise', 'kind: \u0000\u0001 [}'],
    ['an alias bomb', ALIAS_BOMB],
    [
      'a regex that is none',
      `${at(1)}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r }
spec: { parentRefs: [{ kind: Service, group: "", name: reviews }], rules: [{ matches: [{ path: { type: RegularExpression, value: "(((" } }] }] }
`,
    ],
  ])('embedded, %s: no call fails, it is told once, and the next good edit is taken', async (_, broken) => {
    const [a, b] = [await opened.backend('a'), await opened.backend('b')];
    const file = await opened.file(at(a.httpPort));
    const logger = collectingLogger();
    const mesh = opened.add(meshClient({ config: file.path, logger }), (each) => each.close());
    await mesh.ready();
    const load = startLoad(await openFace('fetch', mesh, 'reviews'));
    const refused = () => logger.lines.filter(({ message }) => message.startsWith('configuration is refused'));
    await file.write(broken);
    await vi.waitFor(() => expect(refused()).toHaveLength(1), WAIT);
    expect(refused()[0]?.message).toBe('configuration is refused, the last good one stays');
    expect(JSON.stringify(refused()[0]?.fields)).toContain('mesh.yaml');
    // Not again for each destination.
    expect(logger.lines.filter(({ level }) => level === 'warn' || level === 'error')).toHaveLength(1);
    const before = load.total;
    await vi.waitFor(() => expect(load.total).toBeGreaterThan(before + 100), WAIT);
    expect([...load.answered]).toEqual(['a']);
    await expect(mesh.ready()).resolves.toBeUndefined();
    await file.write(at(b.httpPort));
    await vi.waitFor(() => expect(load.answered.has('b')).toBe(true), WAIT);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(refused()).toHaveLength(1);
  });

  test('in a control plane: no call fails, log and admin page tell it, and the next good edit is taken', async () => {
    const [a, b] = [await opened.backend('a'), await opened.backend('b')];
    const file = await opened.file(at(a.httpPort));
    const logger = collectingLogger();
    const plane = opened.add(
      await startControlPlane({ config: file.path, listen: '127.0.0.1:0', admin: '127.0.0.1:0', logger }),
      (each) => each.close(),
    );
    const mesh = opened.add(meshTo(plane), (each) => each.close());
    const load = startLoad(await openFace('fetch', mesh, 'reviews'));
    await vi.waitFor(() => expect(load.total).toBeGreaterThan(20), WAIT);
    await file.write(BROKEN);
    await vi.waitFor(() => expect(plane.status().refused?.problems).toHaveLength(3), WAIT);
    expect(plane.status().ready).toBe(true);
    expect(logger.lines.some(({ level }) => level === 'error')).toBe(true);
    const page = await (await fetch(`http://127.0.0.1:${plane.adminPort}/status`)).text();
    expect(page).toContain('Servise');
    const before = load.total;
    await vi.waitFor(() => expect(load.total).toBeGreaterThan(before + 100), WAIT);
    await file.write(at(b.httpPort));
    await vi.waitFor(() => expect(load.answered.has('b')).toBe(true), WAIT);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(plane.status().refused).toBeUndefined();
  });
});

describe('a control plane whose file is broken from the start', () => {
  test('is up and not ready; calls fail within their own deadline, and begin to work when the file is mended', async () => {
    const backend = await opened.backend('a');
    const file = await opened.file(BROKEN);
    const logger = collectingLogger();
    const plane = opened.add(await startControlPlane({ config: file.path, listen: '127.0.0.1:0', logger }), (each) =>
      each.close(),
    );
    expect(plane.status()).toMatchObject({ ready: false });
    expect(plane.status().refused?.problems).toHaveLength(3);
    const mesh = opened.add(meshTo(plane), (each) => each.close());
    const call = await failure(mesh.fetch('http://reviews/get', { mesh: { timeoutMs: 100 } }));
    expect(call.code).toBe('DEADLINE_EXCEEDED');
    expect(call.cause).toMatchObject({ origin: 'mesh', reached: 'no' });
    const waiting = mesh.fetch('http://reviews/get');
    await file.write(at(backend.httpPort));
    expect(await (await waiting).json()).toEqual({ id: 'a' });
    expect(plane.status().ready).toBe(true);
  });
});

const meshTo = (plane: ControlPlane): Mesh =>
  meshClient({ service: 'e2e', xds: `127.0.0.1:${plane.port}`, logger: collectingLogger() });
