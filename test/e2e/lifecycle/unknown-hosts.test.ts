import { afterEach, describe, expect, test, vi } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import { type Mesh, type MeshOptions, meshClient } from '../../../src/index.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { isGrpc } from '../support/echo.js';
import { openFace } from '../support/faces.js';
import { collectingLogger, Opened, WAIT } from '../robustness/support.js';

/* Hosts that the configuration does not know: through DNS to where they are, or refused, as one has decided. */

const opened = new Opened();
afterEach(() => opened.close());

const YAML = serviceYaml('reviews', 'endpoints: ["127.0.0.1:1"]');
const DENY = `${YAML}---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: default }
spec: { unknownHosts: deny }
`;

/** Every name that ends in .test is this machine. */
const resolve = async (host: string): Promise<readonly string[]> => {
  if (host.endsWith('.test')) return ['127.0.0.1'];
  throw new Error(`getaddrinfo ENOTFOUND ${host}`);
};

async function openMesh(carrier: string, yaml: string, more: Partial<MeshOptions> = {}): Promise<Mesh> {
  const { path } = await opened.file(yaml);
  const common = { logger: collectingLogger(), resolve, ...more };
  const open = (options: MeshOptions): Mesh => opened.add(meshClient(options), (mesh) => mesh.close());
  if (carrier === 'embedded') return open({ ...common, config: path });
  const plane = await startControlPlane({ config: path, listen: '127.0.0.1:0' });
  opened.add(plane, (each) => each.close());
  return open({ ...common, xds: `127.0.0.1:${plane.port}` });
}

describe.each(['embedded', 'over ADS'])('%s', (carrier) => {
  test.each(['fetch', 'gRPC', 'proxy, HTTP', 'proxy, gRPC'] as const)(
    '%s to a host that nobody configured passes through to DNS, promptly',
    async (name) => {
      const backend = await opened.backend('a');
      const port = isGrpc(name) ? backend.grpcPort : backend.httpPort;
      const mesh = await openMesh(carrier, YAML);
      const face = opened.add(await openFace(name, mesh, `outside.test:${port}`), (each) => each.close());
      // Far less than the 15 s after which a client that is told nothing believes that there is nothing.
      expect(await face.send({ timeoutMs: 5_000 })).toBe('a');
      expect((await mesh.configDump()).targets.map(({ authority }) => authority)).toEqual([`outside.test:${port}`]);
    },
  );

  test('a host that DNS does not know either is an error that says both', async () => {
    const mesh = await openMesh(carrier, YAML);
    const error: unknown = await mesh.fetch('http://nowhere.example/').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'CONFIG_UNAVAILABLE', cause: { origin: 'mesh', reached: 'no' } });
    expect(String((error as Error).cause)).toMatch(
      /"nowhere\.example" is not in the mesh and cannot be resolved: .*ENOTFOUND/,
    );
  });

  test('a port that a Service does not list is what is missing, not the Service', async () => {
    const mesh = await openMesh(carrier, YAML);
    const error: unknown = await mesh.fetch('http://reviews:8080/').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    expect(String((error as Error).cause)).toMatch(
      /"reviews:8080" is not in the mesh \(a Service answers to the ports that it lists, and to no others\) and host "reviews" cannot be resolved: /,
    );
  });

  test('unknownHosts: deny refuses them by name, and nobody asks DNS', async () => {
    const asked: string[] = [];
    const mesh = await openMesh(carrier, YAML, {
      unknownHosts: 'deny',
      resolve: async (host) => {
        asked.push(host);
        return ['127.0.0.1'];
      },
    });
    const error: unknown = await mesh.fetch('http://outside.test/').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'UNKNOWN_HOST', cause: { origin: 'mesh', reached: 'no', flag: 'NR' } });
    expect(String((error as Error).cause)).toContain('"outside.test"');
    const face = opened.add(await openFace('proxy, HTTP', mesh, 'outside.test'), (each) => each.close());
    await expect(face.send()).rejects.toThrow('UNKNOWN_HOST');
    expect(asked).toEqual([]);
  });

  test("a host that becomes known goes where the mesh says, and what becomes of it afterwards is the carrier's rule", async () => {
    const [inside, outside] = [await opened.backend('inside'), await opened.backend('outside')];
    const authority = `shop.test:${outside.httpPort}`;
    const file = await opened.file(YAML);
    const plane =
      carrier === 'embedded' ? undefined : await startControlPlane({ config: file.path, listen: '127.0.0.1:0' });
    if (plane !== undefined) opened.add(plane, (each) => each.close());
    const from = plane === undefined ? { config: file.path } : { xds: `127.0.0.1:${plane.port}` };
    const logger = collectingLogger();
    const mesh = opened.add(meshClient({ ...from, logger, resolve }), (each) => each.close());
    const answer = async (): Promise<string> =>
      ((await (await mesh.fetch(`http://${authority}/get`)).json()) as { id: string }).id;
    expect(await answer()).toBe('outside');
    await file.write(
      YAML +
        serviceYaml('shop.test', `ports: [{ port: ${outside.httpPort} }], endpoints: ["127.0.0.1:${inside.httpPort}"]`),
    );
    await vi.waitFor(async () => expect(await answer()).toBe('inside'), WAIT);
    await file.write(YAML);
    // A control plane that drops a name does not stop what worked (gRFC A88); a file is what it says.
    if (plane === undefined) await vi.waitFor(async () => expect(await answer()).toBe('outside'), WAIT);
    else {
      await vi.waitFor(
        () => expect(logger.lines.some(({ message }) => message === 'configuration is not fresh')).toBe(true),
        WAIT,
      );
      expect(await answer()).toBe('inside');
    }
  });
});

test('embedded configuration itself may forbid them, and an edit may allow them again', async () => {
  const backend = await opened.backend('a');
  const file = await opened.file(DENY);
  const mesh = opened.add(meshClient({ config: file.path, logger: collectingLogger(), resolve }), (each) =>
    each.close(),
  );
  await expect(mesh.fetch('http://outside.test/')).rejects.toMatchObject({ code: 'UNKNOWN_HOST' });
  await file.write(YAML);
  const url = `http://outside.test:${backend.httpPort}/get`;
  await vi.waitFor(async () => expect((await mesh.fetch(url)).status).toBe(200), WAIT);
  await file.write(DENY);
  await vi.waitFor(() => expect(mesh.fetch(url)).rejects.toMatchObject({ code: 'UNKNOWN_HOST' }), WAIT);
});
