import { createServer } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { type Address, addressKey } from '../../../src/core/model/endpoint.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { freeAddress } from '../../server/xds/support.js';
import { grpcMethod } from '../../support/server-faces.js';

/* The demo's services in a mesh that denies by default: exactly the edges that policies declare work, over mutual TLS by the identities of the callers. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const HTTP = ['frontend', 'details', 'reviews'] as const;
const GRPC = ['ratings', 'inventory'] as const;
const SERVICES = [...HTTP, ...GRPC];
type Service = (typeof SERVICES)[number];

const EDGES: readonly (readonly [caller: Service, callee: Service])[] = [
  ['frontend', 'details'],
  ['frontend', 'reviews'],
  ['reviews', 'ratings'],
  ['details', 'inventory'],
];

const service = (name: Service, address: Address): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  endpoints: ["${addressKey(address)}"]
  ports: [{ port: 80${(GRPC as readonly string[]).includes(name) ? ', appProtocol: grpc' : ''} }]
`;
const edge = ([caller, callee]: readonly [Service, Service]): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: ${caller}-calls-${callee} }
spec: { targetRefs: [{ kind: Service, name: ${callee} }], rules: [{ from: [{ principals: [${caller}] }] }] }
`;
const meshConfig = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { ${spec}authorization: { default: deny } }
`;

const PATH = '/shop.Service/Get';

async function start(spec: string): Promise<{ meshes: Map<Service, Mesh>; addresses: Map<Service, Address> }> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-deny-'));
  closing.push(() => rm(folder, { recursive: true }));
  const addresses = new Map<Service, Address>();
  for (const name of SERVICES) addresses.set(name, await freeAddress());
  const config = join(folder, 'mesh.yaml');
  const services = SERVICES.map((name) => service(name, addresses.get(name) as Address));
  await writeFile(config, [...services, ...EDGES.map(edge), meshConfig(spec)].join(''));
  const meshes = new Map<Service, Mesh>();
  for (const name of SERVICES) {
    const mesh = meshClient({ service: name, config, logger: silentLogger });
    closing.push(() => mesh.close());
    meshes.set(name, mesh);
    const serving = await mesh.serve(serverOf(name), {
      address: addressKey(addresses.get(name) as Address),
      service: name,
    });
    await serving.ready();
  }
  return { meshes, addresses };
}

function serverOf(name: Service) {
  if (!(GRPC as readonly string[]).includes(name)) return createServer((_, response) => response.end('ok'));
  const server = new XdsServer();
  server.addService(
    { get: grpcMethod(PATH) },
    { get: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => done(null, Buffer.from('ok')) },
  );
  return server;
}

/** What became of a call: `ok`, or how it was refused. */
async function call(mesh: Mesh, callee: Service): Promise<string> {
  if ((GRPC as readonly string[]).includes(callee)) {
    const Client = grpc.makeGenericClientConstructor({ get: grpcMethod(PATH) }, 'shop.Service');
    const client = mesh.grpc(Client as never, callee) as unknown as {
      get(request: Buffer, done: (error: grpc.ServiceError | null) => void): void;
    };
    return new Promise((resolve) => {
      client.get(Buffer.alloc(0), (error) =>
        resolve(error === null ? 'ok' : `${grpc.status[error.code]}: ${error.details}`),
      );
    });
  }
  const reply = await mesh.fetch(`http://${callee}/`);
  const text = await reply.text();
  return reply.status === 200 ? text : `${reply.status}: ${text}`;
}

const REFUSAL = '{"code":"ACCESS_DENIED","origin":"mesh","message":"RBAC: access denied"}\n';

test('exactly the declared edges work, and who is not of the mesh does not get in', async () => {
  const { meshes, addresses } = await start('mtls: strict, ');
  for (const [caller, mesh] of meshes) {
    for (const callee of SERVICES) {
      const declared = EDGES.some(([from, to]) => from === caller && to === callee);
      const denied = (GRPC as readonly string[]).includes(callee)
        ? 'PERMISSION_DENIED: RBAC: access denied'
        : `403: ${REFUSAL}`;
      expect([caller, callee, await call(mesh, callee)]).toEqual([caller, callee, declared ? 'ok' : denied]);
    }
  }
  for (const address of addresses.values())
    await expect(fetch(`http://${addressKey(address)}/`)).rejects.toThrow('fetch failed');
}, 60_000);

test('without mutual TLS nobody is anybody: callers of the mesh are refused like all others', async () => {
  const { meshes, addresses } = await start('');
  expect(await call(meshes.get('frontend') as Mesh, 'details')).toBe(`403: ${REFUSAL}`);
  const reply = await fetch(`http://${addressKey(addresses.get('details') as Address)}/`);
  expect([reply.status, await reply.text()]).toEqual([403, REFUSAL]);
}, 60_000);
