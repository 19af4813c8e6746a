import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import { grpcRouteYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { ForeignClient, pythonWithGrpc } from './foreign-client.js';

/**
 * Our control plane serves clients that others wrote: the same YAML, the same answers.
 *
 * 1. A header routes to v2; everything else is split 90 to 10.
 * 2. An edit of the file moves v1 to another endpoint while the client runs.
 * 3. An edit of the weights moves all traffic; the route drops v1, whose cluster goes away.
 * 4. A service that is added later can be called, and one that nobody knows fails.
 */
const python = pythonWithGrpc();
if (python === undefined) {
  console.warn(
    'xDS interop with grpcio (C core) is skipped: no Python with grpcio; set INMESH_PYTHON, or run `npm test`',
  );
}

const CLIENTS = [
  { name: '@grpc/grpc-js-xds', command: process.execPath, script: 'grpc_js_xds_client.mjs', missing: false },
  { name: 'Python grpcio (C core)', command: python ?? '', script: 'grpcio_client.py', missing: python === undefined },
];

/** A gRPC server whose every answer is its own name. */
async function startBackend(name: string): Promise<{ address: string; close: () => void }> {
  const server = new Server();
  const method = {
    path: '/test.Reviews/Get',
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (text: string) => Buffer.from(text),
    responseDeserialize: (bytes: Buffer) => String(bytes),
  } as const;
  server.addService(
    { Get: method },
    { Get: (_call: unknown, reply: (error: null, text: string) => void) => reply(null, name) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

describe.each(CLIENTS)('$name', ({ command, script, missing }) => {
  let folder: string;
  let plane: ControlPlane;
  let client: ForeignClient;
  const backends: Record<string, { address: string; close: () => void }> = {};

  /** The mesh with v1 at the named backend and the named share of v1 in percent. */
  const mesh = (v1: string, v1Share: number): string => {
    const shares = [
      ['reviews-v1', v1Share],
      ['reviews-v2', 100 - v1Share],
    ] as const;
    const split = shares
      .filter(([, weight]) => weight > 0)
      .map(([name, weight]) => `{ name: ${name}, port: 80, weight: ${weight} }`);
    return [
      serviceYaml('reviews', `endpoints: ["${backends['v1']?.address}", "${backends['v2']?.address}"]`),
      serviceYaml('reviews-v1', `endpoints: ["${backends[v1]?.address}"]`),
      serviceYaml('reviews-v2', `endpoints: ["${backends['v2']?.address}"]`),
      grpcRouteYaml(
        'reviews',
        'name: reviews',
        `[{ matches: [{ headers: [{ name: x-version, value: v2 }] }], backendRefs: [{ name: reviews-v2, port: 80 }] },
          { backendRefs: [${split.join(', ')}] }]`,
      ),
    ].join('');
  };
  const write = (text: string) => writeFile(join(folder, 'mesh.yaml'), text);

  beforeAll(async () => {
    if (missing) return;
    for (const name of ['v1', 'v2', 'v3']) backends[name] = await startBackend(name);
    folder = await mkdtemp(join(tmpdir(), 'inmesh-interop-'));
    await write(mesh('v1', 90));
    plane = await startControlPlane({ config: folder, listen: '127.0.0.1:0', admin: '127.0.0.1:0' });
    client = new ForeignClient(command, script, plane.port);
  });

  afterAll(async () => {
    if (missing) return;
    await client.close();
    await plane.close();
    for (const { close } of Object.values(backends)) close();
    await rm(folder, { recursive: true, force: true });
  });

  const target = 'xds:///reviews';

  /** Calls until the answers are those of the new configuration alone: it arrives on its own time. */
  const callsUntil = async (expected: string): Promise<void> => {
    for (;;) {
      const replies = await client.call({ target, count: 10 });
      if (replies[expected] === 10) return;
      // Whatever the moment, nothing fails.
      for (const reply of Object.keys(replies)) expect(['v1', 'v2', 'v3']).toContain(reply);
    }
  };

  it.skipIf(missing)('routes by header, under every form of the name', async () => {
    expect(plane.status().refused).toBeUndefined();
    for (const form of ['reviews', 'reviews.default.svc.cluster.local', 'reviews:80']) {
      const replies = await client.call({ target: `xds:///${form}`, count: 20, metadata: { 'x-version': 'v2' } });
      expect(replies).toEqual({ v2: 20 });
    }
  });

  it.skipIf(missing)('splits the rest 90 to 10', async () => {
    const replies = await client.call({ target, count: 500 });
    expect(Object.keys(replies).sort()).toEqual(['v1', 'v2']);
    // Binomial, n = 500, p = 0.1: 50 ± 6.7, so a fair split leaves 18 to 82 (4.8 standard deviations) once in half a million runs.
    expect(replies['v2']).toBeGreaterThanOrEqual(18);
    expect(replies['v2']).toBeLessThanOrEqual(82);
  });

  it.skipIf(missing)('follows an endpoint that moves while it runs, without a failed call', async () => {
    await write(mesh('v3', 100));
    await callsUntil('v3');
  });

  it.skipIf(missing)(
    'follows the weights, and the cluster that nobody names any more goes away without a failed call',
    async () => {
      await write(mesh('v3', 0));
      await callsUntil('v2');
    },
  );

  it.skipIf(missing)('calls a service that was added after it started', async () => {
    const late = client.call({ target: 'xds:///late', count: 1 });
    await write(mesh('v1', 50) + serviceYaml('late', `endpoints: ["${backends['v3']?.address}"]`));
    expect(await late).toEqual({ v3: 1 });
  });

  it.skipIf(missing)('accepted everything it was ever sent', async () => {
    interface View {
      node: string;
      synced: boolean;
      types: Record<string, { lastNack?: object }>;
    }
    let views: View[];
    do {
      const page = await fetch(`http://127.0.0.1:${plane.adminPort}/clients`);
      views = ((await page.json()) as { clients: View[] }).clients;
    } while (views.length === 0 || !views.every(({ synced }) => synced));
    for (const { node, types } of views) {
      expect(node).toBe(`interop-${script}`);
      expect(Object.keys(types).sort()).toEqual(['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration']);
      for (const type of Object.values(types)) expect(type.lastNack).toBeUndefined();
    }
  });
});
