import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Mesh, type MeshError, meshClient } from '../../../src/index.js';
import { httpRouteYaml, policyYaml, serviceYaml } from '../../support/mesh-yaml.js';

/*
 * A POST that the route lets be sent again, to a server that has read it and crashes: whatever becomes of the next attempt, nobody may be told that
 * nothing arrived.
 */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Ends with the first request that it has read. */
async function crashing() {
  const counts = { read: 0 };
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      counts.read++;
      server.close();
      socket.destroy();
    });
  });
  return { counts, address: await listening(server) };
}

async function answering(status: number) {
  const counts = { read: 0 };
  const server = createHttp((_request, response) => {
    counts.read++;
    response.writeHead(status).end();
  });
  const address = await listening(server);
  closing.push(() => server.closeAllConnections());
  return { counts, address };
}

function meshOf(...documents: string[]): Mesh {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-reached-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'mesh.yaml'), documents.join(''));
  const mesh = meshClient({ config: join(folder, 'mesh.yaml') });
  closing.push(() => mesh.close());
  return mesh;
}

const service = (name: string, address: string): string => serviceYaml(name, `endpoints: ["${address}"]`);
const retried = (retry: string): string =>
  httpRouteYaml('pay', 'name: pay', `[{ backendRefs: [{ name: pay }], retry: { ${retry} } }]`);

const failed = (mesh: Mesh): Promise<MeshError> =>
  mesh.fetch('http://pay/charge', { method: 'POST', body: 'x' }).then(
    ({ status }) => expect.fail(`answered with ${status}`),
    (error: Error) => error.cause as MeshError,
  );

describe('a request that a server has read', () => {
  test('may have arrived, though the retry could not connect', async () => {
    const pay = await crashing();
    const error = await failed(meshOf(service('pay', pay.address), retried('attempts: 1')));
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'maybe' });
    expect(pay.counts.read).toBe(1);
  });

  test('is not given to a fallback service when it must not be done twice', async () => {
    const pay = await crashing();
    const other = await answering(200);
    const mesh = meshOf(
      service('pay', pay.address),
      service('other', other.address),
      policyYaml('pay', 'pay', 'fallback: [{ service: { name: other } }]'),
      retried('attempts: 1'),
    );
    expect((await failed(mesh)).reached).toBe('maybe');
    expect([pay.counts.read, other.counts.read]).toEqual([1, 0]);
  });

  test('has arrived, though the breaker that its answer opened lets no retry through', async () => {
    const pay = await answering(503);
    const mesh = meshOf(
      service('pay', pay.address),
      policyYaml('pay', 'pay', 'breaker: { consecutiveFailures: 1 }'),
      retried('codes: [503], attempts: 2'),
    );
    expect(await failed(mesh)).toMatchObject({ code: 'BREAKER_OPEN', reached: 'yes' });
    expect(pay.counts.read).toBe(1);
  });
});
