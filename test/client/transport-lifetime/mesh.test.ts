import { afterEach, describe, expect, test, vi } from 'vitest';
import { WAIT } from '../../e2e/robustness/support.js';
import { type Carrier, openCarrier } from '../../e2e/support/carriers.js';
import { httpServer } from '../../support/http1-fixture.js';
import { http2Server } from '../../support/http2-fixture.js';
import { inTurns } from '../../support/in-turns.js';
import { policyYaml, serviceYaml } from '../../support/mesh-yaml.js';

interface Backend {
  readonly port: number;
  /** Connections accepted since the start. */
  readonly accepted: () => number;
  close(): Promise<void>;
}

const protocols: readonly [string, string, () => Promise<Backend>][] = [
  [
    'HTTP/1.1',
    'http',
    () => httpServer((request, response) => request.resume().on('end', () => response.end(request.url))),
  ],
  [
    'HTTP/2',
    'kubernetes.io/h2c',
    async () => {
      const { server, port, close } = await http2Server();
      let accepted = 0;
      server.on('session', () => accepted++);
      server.on('stream', (stream, headers) => {
        stream.resume();
        stream.on('end', () => {
          stream.respond({ ':status': 200 });
          stream.end(headers[':path']);
        });
      });
      return { port, close, accepted: () => accepted };
    },
  ],
];

let carrier: Carrier;
const backends: Backend[] = [];
afterEach(async () => {
  await carrier.close();
  for (const backend of backends.splice(0)) await backend.close();
});

test('ready rejects for a name that cannot be called, for what is no name, and when the mesh closes', async () => {
  carrier = await openCarrier(
    'embedded',
    `${serviceYaml('reviews')}---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: default }
spec: { unknownHosts: deny }
`,
  );
  const { mesh } = carrier;
  await mesh.ready('reviews', 'reviews.default:80', 'xds:///reviews');
  await expect(mesh.ready('reviews', 'nowhere')).rejects.toMatchObject({ code: 'UNKNOWN_HOST' });
  await expect(mesh.ready(7 as never)).rejects.toThrow('mesh.ready(authorities[0]): must be a string, got 7');
  await mesh.close();
  await expect(mesh.ready('reviews')).rejects.toMatchObject({ code: 'MESH_CLOSED' });
});

describe.each(protocols)('TrafficPolicy of connections, %s', (_name, appProtocol, serve) => {
  /** Two endpoints, without retries: a call that is lost is seen. */
  async function start(connectionPool: string): Promise<void> {
    backends.push(await serve(), await serve());
    const endpoints = backends.map(({ port }) => `"127.0.0.1:${port}"`).join(', ');
    const service = serviceYaml(
      'reviews',
      `ports: [{ port: 80, appProtocol: ${appProtocol} }], endpoints: [${endpoints}]`,
    );
    const policy = policyYaml('reviews', 'reviews', `connectionPool: { ${connectionPool} }`);
    carrier = await openCarrier('embedded', `${service}${policy}`);
  }

  const echo = async (n: number): Promise<void> => {
    const reply = await carrier.mesh.fetch(`http://reviews/${n}`, { method: 'POST', body: 'x' });
    expect(await reply.text()).toBe(`/${n}`);
  };

  test('connections of few calls and short lives lose none of 1,000 calls', async () => {
    await start('maxRequestsPerConnection: 9, maxConnectionDuration: 20ms, maxConnections: 8');
    await inTurns(1_000, 20, echo);
    expect(backends.reduce((sum, { accepted }) => sum + accepted(), 0)).toBeGreaterThan(1_000 / 9);
  });

  test('those kept warm are open at every endpoint before any call, once the mesh is ready for the Service', async () => {
    await start('warmConnections: 3');
    await carrier.mesh.ready();
    expect((await carrier.mesh.configDump()).clusters).toEqual([]);
    await carrier.mesh.ready('reviews');
    await vi.waitFor(() => expect(backends.map(({ accepted }) => accepted())).toEqual([3, 3]), WAIT);
    await inTurns(20, 1, echo);
    expect(backends.map(({ accepted }) => accepted())).toEqual([3, 3]);
  });

  test('an endpoint that is down keeps nobody from being ready', async () => {
    await start('warmConnections: 2');
    await backends[1]?.close();
    await carrier.mesh.ready('reviews');
    await vi.waitFor(() => expect(backends[0]?.accepted()).toBe(2), WAIT);
  });

  test('those kept warm are open at every endpoint after the first call', async () => {
    await start('warmConnections: 3');
    await echo(1);
    await vi.waitFor(() => expect(backends.every(({ accepted }) => accepted() >= 3)).toBe(true), WAIT);
    await inTurns(100, 1, echo);
    expect(backends.map(({ accepted }) => accepted()).every((count) => count <= 4)).toBe(true);
  });
});
