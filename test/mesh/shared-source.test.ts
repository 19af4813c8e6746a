import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ControlPlaneCa, startControlPlane } from '../../src/controlplane/control-plane.js';
import { meshClient } from '../../src/index.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { sharedSource } from '../../src/mesh/shared-source.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-shared-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('two meshes of a process, the preload’s and the application’s own, have one certificate of one join token', {
  timeout: 60_000,
}, async () => {
  const config = join(folder, 'mesh.yaml');
  await writeFile(
    config,
    'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { endpoints: ["127.0.0.1:1"] }\n',
  );
  const plane = await startControlPlane({
    config,
    listen: '127.0.0.1:0',
    ca: { directory: join(folder, 'ca'), listen: '127.0.0.1:0' },
  });
  const { port, tokens } = plane.ca as ControlPlaneCa;
  const { token } = await tokens.create('spiffe://cluster.local/ns/default/sa/orders');
  const start = () =>
    meshClient({
      service: 'orders',
      xds: `127.0.0.1:${plane.port}`,
      identity: { ca: { address: `127.0.0.1:${port}`, joinToken: token } },
      logger: silentLogger,
    });
  const [one, other] = [start(), start()];
  try {
    await Promise.all([one.ready(), other.ready()]);
    expect(one.identity()?.spiffeId).toBe('spiffe://cluster.local/ns/default/sa/orders');
    expect(other.identity()).toEqual(one.identity());
    await one.close();
    expect(other.identity()?.spiffeId).toBe('spiffe://cluster.local/ns/default/sa/orders');
  } finally {
    await Promise.all([one.close(), other.close()]);
    await plane.close();
  }
});

test('it is closed with the last who has it, and made anew after that', async () => {
  let made = 0;
  let closed = 0;
  const make = async () => {
    made++;
    const source = memoryIdentity({ identity: undefined, trust: undefined });
    return { ...source, name: 'x', current: undefined, watch: () => () => {}, close: async () => void closed++ };
  };
  const [first, second] = await Promise.all([sharedSource('k', make), sharedSource('k', make)]);
  await first.close();
  await first.close();
  expect([made, closed]).toEqual([1, 0]);
  await second.close();
  expect(closed).toBe(1);
  await (await sharedSource('k', make)).close();
  expect([made, closed]).toEqual([2, 2]);
});

test('one that could not be made is tried again by the next', async () => {
  await expect(sharedSource('f', () => Promise.reject(new Error('not there')))).rejects.toThrow('not there');
  const source = await sharedSource('f', async () => memoryIdentity({ identity: undefined, trust: undefined }));
  await source.close();
});
