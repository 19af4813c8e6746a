import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { type Mesh, meshClient } from '../../../src/index.js';
import { type HealthServer, healthServer } from '../../support/health.js';
import { policyYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { ECHO } from '../../support/orca-server.js';
import { collectingLogger, WAIT } from '../robustness/support.js';

/* gRFC A17 through a mesh: real grpc-js servers say of themselves whether they serve, and calls of a grpc-js client follow. */

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

const SERVICE = 'test.Echo';

/** A server that answers with its name, and says of `SERVICE` what it is told to say. */
async function server(name: string, port = 0): Promise<HealthServer> {
  const started = await healthServer(['Watch'], undefined, port, (also) =>
    also.addService(
      { Get: ECHO },
      { Get: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => done(null, Buffer.from(name)) },
    ),
  );
  started.statuses.set(SERVICE, 'SERVING');
  cleanUp.push(() => started.close());
  return started;
}

/** What a call brings, by a mesh over these servers. */
function clientOf(servers: readonly HealthServer[], policy: string): { mesh: Mesh; call: () => Promise<string> } {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-watch-'));
  const file = join(folder, 'mesh.yaml');
  const endpoints = servers.map(({ port }) => `"127.0.0.1:${port}"`).join(', ');
  writeFileSync(file, serviceYaml('echo', `endpoints: [${endpoints}]`) + policyYaml('watched', 'echo', policy));
  const mesh = meshClient({ config: file, logger: collectingLogger() });
  const client = new grpc.Client('echo', grpc.credentials.createInsecure(), { channelOverride: mesh.channel('echo') });
  cleanUp.push(async () => {
    client.close();
    await mesh.close();
    rmSync(folder, { recursive: true });
  });
  const call = (): Promise<string> =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(
        ECHO.path,
        ECHO.requestSerialize,
        ECHO.responseDeserialize,
        Buffer.from('x'),
        (error, reply) => (error === null ? resolve(String(reply)) : reject(error)),
      ),
    );
  return { mesh, call };
}

const verdict = async (mesh: Mesh, { port }: HealthServer) =>
  (await mesh.configDump()).clusters[0]?.endpoints.find(({ address }) => address === `127.0.0.1:${port}`)?.health
    .verdict;

/** Names of those who answer 20 calls. */
const answers = async (call: () => Promise<string>): Promise<string[]> => {
  const names = new Set<string>();
  for (let i = 0; i < 20; i++) names.add(await call());
  return [...names].sort();
};

test('calls go to a server while it says that it serves, and only then', async () => {
  const [a, b] = [await server('a'), await server('b')];
  const { mesh, call } = clientOf(
    [a, b],
    `loadBalancer: { simple: ROUND_ROBIN }, healthWatch: { service: ${SERVICE} }`,
  );
  await call();
  await vi.waitFor(() => expect([a.watching.size, b.watching.size]).toEqual([1, 1]), WAIT);
  expect(a.asked).toEqual([SERVICE]);
  expect(await answers(call)).toEqual(['a', 'b']);
  for (const says of ['NOT_SERVING', 'UNKNOWN']) {
    a.set(SERVICE, says);
    await vi.waitFor(async () => expect(await verdict(mesh, a)).toBe('unusable'), WAIT);
    expect(await answers(call)).toEqual(['b']);
    a.set(SERVICE, 'SERVING');
    await vi.waitFor(async () => expect(await verdict(mesh, a)).toBe('usable'), WAIT);
    expect(await answers(call)).toEqual(['a', 'b']);
  }
  // One stream all the time.
  expect(a.asked).toEqual([SERVICE]);
});

test('a server that shuts down is not kept by the watch, no call fails, and the one that takes its place serves once it says so', async () => {
  const [a, b] = [await server('a'), await server('b')];
  const { mesh, call } = clientOf(
    [a, b],
    `loadBalancer: { simple: ROUND_ROBIN }, healthWatch: { service: ${SERVICE} }`,
  );
  await call();
  await vi.waitFor(() => expect([a.watching.size, b.watching.size]).toEqual([1, 1]), WAIT);
  // grpc-js waits for every stream to end.
  await a.shutdown();
  expect(await answers(call)).toEqual(['b']);
  await vi.waitFor(async () => expect(await verdict(mesh, a)).toBe('unusable'), WAIT);
  const next = await server('a again', a.port);
  next.statuses.set(SERVICE, 'NOT_SERVING');
  await vi.waitFor(() => expect(next.watching.size).toBe(1), WAIT);
  expect(await answers(call)).toEqual(['b']);
  next.set(SERVICE, 'SERVING');
  await vi.waitFor(async () => expect(await verdict(mesh, a)).toBe('usable'), WAIT);
  await vi.waitFor(async () => expect(await answers(call)).toEqual(['a again', 'b']), WAIT);
});
