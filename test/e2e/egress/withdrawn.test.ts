import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, type MeshOptions, meshClient } from '../../../src/index.js';
import { serviceYaml } from '../../support/mesh-yaml.js';

vi.setConfig({ testTimeout: 60_000 });

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

let server: Server;
let port: number;
/** Replies to /stream, which go on until the test ends them. */
let streams: ServerResponse[];
beforeEach(async () => {
  streams = [];
  server = createServer((request, response) => {
    if (request.url === '/stream') {
      response.write('begun ');
      streams.push(response);
    } else response.end(`hello ${request.headers.host}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  port = (server.address() as AddressInfo).port;
});

const meshConfig = (egress: string): string =>
  `---\napiVersion: inmesh.dev/v1alpha1\nkind: MeshConfig\nmetadata: { name: mesh }\nspec: { egress: { ${egress} } }\n`;

const entry = (hosts: string, ports: readonly number[]): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: api }
spec: { hosts: [${hosts}], ports: [${ports.map((number) => `{ name: p${number}, number: ${number}, targetPort: ${port} }`)}], resolution: STATIC, endpoints: [{ address: 127.0.0.1 }] }
`;

const connections = (): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });

const outcome = (mesh: Mesh, url: string): Promise<string> =>
  mesh.fetch(url).then(
    (reply) => reply.text(),
    (error: { code?: string; cause?: { code?: string } }) => error.code ?? error.cause?.code ?? String(error),
  );

const WAIT = { timeout: 10_000 };

describe.each(['embedded', 'state of the world', 'delta'] as const)(
  'with egress that is denied by default, %s,',
  (how) => {
    let file: string;
    const edit = (yaml: string): Promise<void> => writeFile(file, yaml);

    async function meshOf(yaml: string): Promise<Mesh> {
      const folder = await mkdtemp(join(tmpdir(), 'inmesh-withdrawn-'));
      opened.push(() => rm(folder, { recursive: true }));
      file = join(folder, 'mesh.yaml');
      await edit(yaml);
      const mesh = meshClient({ ...(await sourceFor()), logger: silentLogger, resolve: async () => ['127.0.0.1'] });
      opened.push(() => mesh.close());
      await mesh.ready();
      return mesh;
    }

    async function sourceFor(): Promise<MeshOptions> {
      if (how === 'embedded') return { config: file };
      const options = { config: file, listen: '127.0.0.1:0', logger: silentLogger, debounce: { quietMs: 1 } };
      const plane = await startControlPlane(options);
      opened.push(() => plane.close());
      const xds = {
        xds_servers: [
          {
            server_uri: `127.0.0.1:${plane.port}`,
            channel_creds: [{ type: 'insecure' }],
            server_features: ['xds_v3', 'inmesh.settings'],
            ...(how === 'delta' && { api_type: 'AGGREGATED_DELTA_GRPC' }),
          },
        ],
        node: { id: 'a' },
      };
      return { xds };
    }

    const deny = meshConfig('default: deny');

    test('a ServiceEntry that is withdrawn is called no more by who called it, until it is there again; connections to it are closed', async () => {
      const keeps = serviceYaml('orders', 'endpoints: ["127.0.0.1:1"]') + deny;
      const mesh = await meshOf(entry('api.example.com', [80]) + keeps);
      expect(await outcome(mesh, 'http://api.example.com/')).toBe('hello api.example.com');
      const stream = await mesh.fetch('http://api.example.com/stream');
      await edit(keeps);
      await vi.waitFor(async () => expect(await outcome(mesh, 'http://api.example.com/')).toBe('EGRESS_DENIED'), WAIT);
      // What is under way ends as it would have.
      streams[0]?.end('and ended');
      expect(await stream.text()).toBe('begun and ended');
      await vi.waitFor(async () => expect(await connections()).toBe(0), WAIT);
      await edit(entry('api.example.com', [80]) + keeps);
      await vi.waitFor(async () => expect(await outcome(mesh, 'http://api.example.com/')).toContain('hello'), WAIT);
    });

    test('so is one port of it, one host, and a Service', async () => {
      const orders = serviceYaml('orders', `endpoints: ["127.0.0.1:${port}"]`);
      const mesh = await meshOf(orders + entry('api.example.com, b.example.com', [80, 8080]) + deny);
      const all = [
        'http://orders/',
        'http://b.example.com/',
        'http://api.example.com:8080/',
        'http://api.example.com/',
      ];
      const outcomes = (): Promise<string[]> => Promise.all(all.map((url) => outcome(mesh, url)));
      for (const text of await outcomes()) expect(text).toContain('hello');
      await edit(entry('api.example.com', [80]) + deny);
      const expected = ['EGRESS_DENIED', 'EGRESS_DENIED', 'EGRESS_DENIED', 'hello api.example.com'];
      await vi.waitFor(async () => expect(await outcomes()).toEqual(expected), WAIT);
    });

    test('what was withdrawn before is called no more once calls may not leave, but for what is allowed by its name', async () => {
      const allow = 'default: deny, allow: [{ hosts: [b.example.com] }, { cidrs: ["10.0.0.0/8"] }]';
      const rest = serviceYaml('orders', `endpoints: ["127.0.0.1:${port}"]`);
      const mesh = await meshOf(entry('api.example.com, b.example.com', [80]) + rest);
      const hosts = ['api.example.com', 'b.example.com'];
      const outcomes = (): Promise<string[]> => Promise.all(hosts.map((host) => outcome(mesh, `http://${host}/`)));
      expect(await outcomes()).toEqual(hosts.map((host) => `hello ${host}`));
      await edit(rest + serviceYaml('till', `endpoints: ["127.0.0.1:${port}"]`));
      await vi.waitFor(async () => expect(await outcome(mesh, 'http://till/')).toBe('hello till'), WAIT);
      // gRFC A88: what was deleted goes on to serve. Embedded configuration knows no such thing: the name leads to where DNS says.
      if (how !== 'embedded') expect(await outcomes()).toEqual(hosts.map((host) => `hello ${host}`));
      await edit(rest + meshConfig(allow));
      await vi.waitFor(async () => expect(await outcome(mesh, 'http://api.example.com/')).toBe('EGRESS_DENIED'), WAIT);
      if (how !== 'embedded') expect(await outcome(mesh, 'http://b.example.com/')).toBe('hello b.example.com');
    });
  },
);
