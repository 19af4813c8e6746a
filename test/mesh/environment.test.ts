import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startControlPlane } from '../../src/controlplane/index.js';
import { compile } from '../../src/controlplane/compile/compile.js';
import { servicesToDocuments } from '../../src/controlplane/compile/shorthand.js';
import { silentLogger } from '../../src/core/log.js';
import { meshClient } from '../../src/index.js';
import { withEnvironment } from '../../src/mesh/environment.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
  vi.unstubAllEnvs();
});

describe('where configuration comes from when the application does not say', () => {
  test.each([
    [{ INMESH_XDS: '127.0.0.1:1' }, { xds: '127.0.0.1:1' }],
    [{ INMESH_CONFIG: 'a.yaml' }, { config: ['a.yaml'] }],
    [{ INMESH_CONFIG: `a.yaml${delimiter}${delimiter}conf` }, { config: ['a.yaml', 'conf'] }],
    [{ INMESH_XDS: '', INMESH_CONFIG: '' }, {}],
    [{ INMESH_XDS: '127.0.0.1:1', INMESH_CONFIG: '' }, { xds: '127.0.0.1:1' }],
    // More is said by these than by a bootstrap that is there for gRPC's own clients.
    [{ INMESH_XDS: '127.0.0.1:1', GRPC_XDS_BOOTSTRAP: '/b.json' }, { xds: '127.0.0.1:1' }],
    [{ GRPC_XDS_BOOTSTRAP: '/b.json' }, {}],
  ])('%j is %j', (environment, options) => {
    expect(withEnvironment({}, environment)).toEqual(options);
  });

  test.each([{ services: {} }, { config: 'mine.yaml' }, { xds: '127.0.0.1:2' }])(
    'what the application says, %j, goes before it',
    (options) => {
      expect(withEnvironment(options, { INMESH_XDS: '127.0.0.1:1', INMESH_CONFIG: 'a.yaml' })).toEqual(options);
    },
  );

  test.each([
    [{ INMESH_XDS: 'a:1', INMESH_CONFIG: 'b' }, 'INMESH_CONFIG and INMESH_XDS are both set: give only one of them'],
    [{ INMESH_XDS: 'http://a:1' }, 'INMESH_XDS: must be host:port'],
    [{ INMESH_XDS: 'a:99999' }, 'INMESH_XDS: must be host:port'],
  ])('%j is refused', (environment, message) => {
    expect(() => withEnvironment({}, environment)).toThrow(message);
  });

  test('meshClient() without a source calls what the control plane of INMESH_XDS knows', async () => {
    const server = createServer((_, response) => response.end('served'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    opened.push(() => server.close());
    const { port } = server.address() as { port: number };
    const { resources } = compile(servicesToDocuments({ reviews: [`127.0.0.1:${port}`] }));
    const plane = await startControlPlane({ resources, listen: '127.0.0.1:0' });
    opened.push(() => plane.close());
    vi.stubEnv('INMESH_XDS', `127.0.0.1:${plane.port}`);
    const mesh = meshClient({ service: 'shop', logger: silentLogger });
    opened.push(() => mesh.close());
    expect(await (await mesh.fetch('http://reviews/')).text()).toBe('served');
    server.closeAllConnections();
  });
});

describe('a server that is to be secured', () => {
  test('is not served in plain text because nobody has given a configuration: that is an error, which names what to set', async () => {
    const mesh = meshClient({ service: 'shop', logger: silentLogger });
    opened.push(() => mesh.close());
    const server = createServer();
    await expect(mesh.secure(server)).rejects.toThrow(
      'mesh.secure: no configuration says whether shop asks for mutual TLS: set INMESH_XDS or INMESH_CONFIG, or give meshClient the option xds or config, or ' +
        'mesh.secure the option mode',
    );
    expect(server.listenerCount('connection')).toBe(1);
    await expect(mesh.secure(server, { service: 'till' })).rejects.toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
  });

  test('may be told its mode instead', async () => {
    const mesh = meshClient({ service: 'shop', logger: silentLogger });
    opened.push(() => mesh.close());
    expect((await mesh.secure(createServer(), { mode: 'disabled' })).mode).toBe('disabled');
    expect((await mesh.secure(createServer(), { mode: 'strict' })).mode).toBe('strict');
  });

  test('has what its configuration says where there is one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-environment-'));
    opened.push(() => rmSync(folder, { recursive: true }));
    const config = join(folder, 'a.yaml');
    writeFileSync(
      config,
      'apiVersion: v1\nkind: Service\nmetadata: { name: shop }\nspec: { mtls: strict, endpoints: ["127.0.0.1:1"] }\n',
    );
    vi.stubEnv('INMESH_CONFIG', config);
    const mesh = meshClient({ service: 'shop', logger: silentLogger });
    opened.push(() => mesh.close());
    const secured = await mesh.secure(createServer());
    await vi.waitFor(() => expect(secured.mode).toBe('strict'));
  });
});
