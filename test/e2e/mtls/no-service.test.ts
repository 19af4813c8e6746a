import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../src/controlplane/index.js';
import { type Logger, silentLogger } from '../../../src/core/log.js';
import { type Mesh, type MeshOptions, meshClient } from '../../../src/index.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { EchoGrpc, FRAMEWORKS } from '../../support/inbound-servers.js';
import { stateOf as identityStateOf } from '../../support/mtls.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { testCa } from '../../support/pki.js';
import { freePort } from './pair.js';

/* Servers that go by a name that is no Service's, misspelt or deleted while they run: they are held to what is said for the whole mesh, and never open in between. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const meshConfig = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { ${spec} }
`;
const policy = (kind: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: everywhere }
spec: { ${spec} }
`;
const SHOP = serviceYaml('shop');

const WAYS = ['embedded', 'over ADS', 'over ADS in deltas'] as const;
type Way = (typeof WAYS)[number];

interface Running {
  readonly mesh: Mesh;
  /** What was logged at warn about Services that are not there. */
  readonly warned: readonly string[];
  edit(yaml: string): Promise<void>;
}

/** A mesh that is `service`. */
async function start(way: Way, service: string, yaml: string): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-no-service-'));
  const config = join(folder, 'mesh.yaml');
  closing.push(() => rm(folder, { recursive: true }));
  const edit = (text: string): Promise<void> => writeFile(config, text);
  await edit(yaml);
  const warned: string[] = [];
  const warn: Logger['warn'] = (message, fields) => {
    if (message.startsWith('no Service')) warned.push(`${message} ${JSON.stringify(fields)}`);
  };
  const logger = { ...silentLogger, warn };
  const source = memoryIdentity(identityStateOf(testCa(), service));
  closing.push(() => source.close());
  const options: MeshOptions = { service, logger, identity: { source }, ...(await sourceOf(way, config)) };
  const mesh = meshClient(options);
  closing.push(() => mesh.close());
  await mesh.ready();
  return { mesh, warned, edit };
}

async function sourceOf(way: Way, config: string): Promise<Pick<MeshOptions, 'config' | 'xds'>> {
  if (way === 'embedded') return { config };
  const plane: ControlPlane = await startControlPlane({ config, listen: '127.0.0.1:0', logger: silentLogger });
  closing.push(() => plane.close());
  const api_type = way === 'over ADS' ? 'AGGREGATED_GRPC' : 'AGGREGATED_DELTA_GRPC';
  const server_uri = `127.0.0.1:${plane.port}`;
  return { xds: { xds_servers: [{ server_uri, channel_creds: [{ type: 'insecure' }], api_type }] } };
}

/** A Service that nobody serves, by whose address one sees which configuration a mesh has. */
const marker = (version: number): string => serviceYaml('marker', `endpoints: ["127.0.0.1:${version}"]`);
const hasMarker = async (mesh: Mesh, version: number): Promise<boolean> =>
  JSON.stringify((await mesh.configDump()).clusters).includes(`127.0.0.1:${version}"`);

/** What a request in plain text comes to. */
const ask = async (port: number): Promise<number | 'cut off'> => {
  try {
    return (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).status;
  } catch {
    return 'cut off';
  }
};

async function secured(mesh: Mesh): Promise<number> {
  const server: Server = createServer((_, response) => response.end('ok'));
  await mesh.secure(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function served(mesh: Mesh, service: string): Promise<number> {
  const port = await freePort();
  const serving = await mesh.serve(
    createServer((_, response) => response.end('ok')),
    { address: `127.0.0.1:${port}`, service },
  );
  await serving.ready();
  return port;
}

const FACES: Record<string, (mesh: Mesh, service: string) => Promise<number>> = {
  'mesh.secure': secured,
  'mesh.serve': served,
  ...Object.fromEntries(
    ['node:http', 'Express', 'Fastify', 'Hono'].map((name) => [
      `middleware of ${name}`,
      async (mesh: Mesh, service: string) => {
        const server = await (FRAMEWORKS[name] as (typeof FRAMEWORKS)[string])(() => {}, { mesh, service });
        closing.push(() => server.close());
        return server.port;
      },
    ]),
  ),
};
const IN_SHORT = ['mesh.secure', 'mesh.serve', 'middleware of node:http'] as const;
/** By what plain text is refused where mutual TLS is asked for. */
const refusalOf = (face: string) => (face.startsWith('middleware') ? 403 : 'cut off');

describe.each(WAYS)('%s', (way) => {
  test.each(Object.keys(FACES))(
    '%s of a misspelt name takes no plain text in a mesh that is strict, and says so once',
    async (face) => {
      const { mesh, warned } = await start(way, 'shpo', SHOP + meshConfig('mtls: strict'));
      const port = await (FACES[face] as (typeof FACES)[string])(mesh, 'shpo');
      expect(await ask(port)).toBe(refusalOf(face));
      expect(await ask(port)).toBe(refusalOf(face));
      expect(warned).toEqual([
        'no Service "shpo": did you mean "shop"? {"service":"shpo","itsServers":"are held to what is said for the whole mesh"}',
      ]);
    },
  );

  test.each(IN_SHORT)(
    '%s goes on to be strict when its Service is deleted while it runs, and when it is there again',
    async (face) => {
      const all = marker(1) + meshConfig('mtls: strict');
      const { mesh, warned, edit } = await start(way, 'shop', SHOP + all);
      await mesh.ready('marker');
      const port = await (FACES[face] as (typeof FACES)[string])(mesh, 'shop');
      const seen = new Set<unknown>();
      const look = async (): Promise<void> => void seen.add(await ask(port));
      await look();
      for (const deleted of [1, 2]) {
        await edit(all);
        do await look();
        while (warned.length < deleted);
        const there = SHOP + all.replace(marker(1), marker(1 + deleted));
        await edit(there);
        do await look();
        while (!(await hasMarker(mesh, 1 + deleted)));
        await look();
      }
      // Told again as it was there in between.
      expect(warned.map((line) => line.split(' {')[0])).toEqual(['no Service "shop"', 'no Service "shop"']);
      expect([...seen]).toEqual([refusalOf(face)]);
    },
  );

  test('authorization that denies by default, tokens and policies of the whole mesh hold for servers that are no Service’s', async () => {
    const denied = await start(way, 'shpo', SHOP + meshConfig('authorization: { default: deny }'));
    // What is asked of requests is not mesh.secure's.
    for (const [name, serve] of Object.entries(FACES))
      if (name !== 'mesh.secure') expect(await ask(await serve(denied.mesh, 'shpo'))).toBe(403);
    const everywhere = policy('AuthorizationPolicy', 'action: DENY, rules: [{ to: [{ paths: [/] }] }]');
    const byPolicy = await start(way, 'shpo', SHOP + everywhere);
    expect(await ask(await served(byPolicy.mesh, 'shpo'))).toBe(403);
    const jwt = policy('AuthenticationPolicy', `jwt: [{ issuer: x, jwks: '{"keys":[]}' }]`);
    const byToken = await start(way, 'shpo', SHOP + jwt);
    expect(await ask(await served(byToken.mesh, 'shpo'))).toBe(401);
  });

  test('gRPC: neither the interceptor nor mesh.secure lets in whom the mesh does not', async () => {
    const { mesh } = await start(way, 'shpo', SHOP + meshConfig('mtls: strict, authorization: { default: deny }'));
    let handled = 0;
    const echo = await EchoGrpc.start(() => void handled++, { mesh, service: 'shpo' });
    closing.push(() => echo.close());
    await expect(echo.unary()).rejects.toMatchObject({ code: grpc.status.UNAUTHENTICATED });
    const server = new grpc.Server();
    closing.push(() => server.forceShutdown());
    const { address } = await mesh.secure(server, { address: '127.0.0.1:0' });
    expect([await ask(address?.port ?? 0), handled]).toEqual(['cut off', 0]);
  });

  test('where nothing is asked of the whole mesh they are told of all the same; a Service that asks for less than the mesh has what it asks for', async () => {
    const strictShop = serviceYaml('shop', 'endpoints: ["127.0.0.1:9001"], mtls: strict');
    const { mesh, warned } = await start(way, 'shpo', strictShop);
    expect(await ask(await secured(mesh))).toBe(200);
    expect(warned).toEqual([
      'no Service "shpo": did you mean "shop"? {"service":"shpo","itsServers":"are asked nothing"}',
    ]);
    const open = serviceYaml('shop', 'endpoints: ["127.0.0.1:9001"], mtls: disabled') + meshConfig('mtls: strict');
    const shop = await start(way, 'shop', open);
    for (const face of IN_SHORT)
      expect(await ask(await (FACES[face] as (typeof FACES)[string])(shop.mesh, 'shop'))).toBe(200);
    expect(shop.warned).toEqual([]);
  });
});
