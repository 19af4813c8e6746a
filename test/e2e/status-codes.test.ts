import { readdirSync, readFileSync } from 'node:fs';
import { Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../src/core/resources.js';
import { silentLogger } from '../../src/core/log.js';
import { type Mesh, meshClient } from '../../src/index.js';
import { deadPort } from './fallback/planes.js';
import { ScriptedAds } from '../support/scripted-ads.js';
import { clusterResource, listenerResource, routeResource, toCluster } from '../support/xds-resources.js';
import { packed } from './robustness/scripted-plane.js';
import { Opened } from './robustness/support.js';

/** "Inappropriate statuses" of gRFC A54, by number: those that only a server's application may give, and OK. */
const FORBIDDEN = [
  status.OK,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.DATA_LOSS,
];
const ALL = Array.from({ length: 17 }, (_, code) => code);

const opened = new Opened();
afterEach(() => opened.close());

function meshUnder(port: number): Mesh {
  const xds = `127.0.0.1:${port}`;
  return opened.add(meshClient({ xds, logger: silentLogger, unknownHosts: 'deny' }), (mesh) => mesh.close());
}

/** How one call to `host` ended. */
function outcome(mesh: Mesh, host: string): Promise<{ readonly code: status; readonly details: string }> {
  const client = mesh.grpc(Client as never, host) as unknown as Client;
  const options = { deadline: new Date(Date.UTC(2100, 0)) };
  return new Promise((resolve) => {
    const done = (error: ServiceError | null): void =>
      resolve({ code: error?.code ?? status.OK, details: error?.details ?? '' });
    client.makeUnaryRequest('/a.B/C', (it: Buffer) => it, String, Buffer.alloc(0), new Metadata(), options, done);
  });
}

const STAGES: Readonly<Record<ResourceType, string>> = {
  [LISTENER]: 'lds',
  [ROUTE]: 'rds',
  [CLUSTER]: 'cds',
  [ENDPOINT]: 'eds',
};
const MAKE: Readonly<Record<string, (name: string) => Resource>> = {
  [LISTENER]: (name) => listenerResource(name, name),
  [ROUTE]: (name) => routeResource(name, [toCluster(name)]),
  [CLUSTER]: (name) => clusterResource(name),
};

/** Has an error with status N for the resource of type T that is named `T-N`, and resources for all others. */
async function erring(): Promise<ScriptedAds> {
  const ads = opened.add(await ScriptedAds.start(), (each) => each.close());
  void (async () => {
    const stream = await ads.nextStream();
    const answered = new Map<string, string>();
    for (let version = 1; ; version++) {
      const { type_url = '', resource_names = [] } = await stream.next();
      const type = type_url as ResourceType;
      if (answered.get(type) === resource_names.join()) continue;
      answered.set(type, resource_names.join());
      const [bad, good] = [true, false].map((is) =>
        resource_names.filter((name) => name.startsWith(`${STAGES[type]}-`) === is),
      );
      stream.send({
        type_url,
        version_info: `v${version}`,
        nonce: `n${version}`,
        resources: (good ?? []).map((name) => packed(type, MAKE[type]?.(name) ?? {})),
        resource_errors: (bad ?? []).map((name) => ({
          resource_name: { name },
          error_detail: { code: Number(name.split('-')[1]), message: 'because' },
        })),
      });
    }
  })();
  return ads;
}

test('A54: whatever status a control plane has for a resource of any type, calls that need it are UNAVAILABLE', async () => {
  const mesh = meshUnder((await erring()).port);
  const hosts = Object.values(STAGES).flatMap((stage) => ALL.map((code) => `${stage}-${code}`));
  const outcomes = await Promise.all(hosts.map(async (host) => [host, await outcome(mesh, host)] as const));
  for (const [host, { code, details }] of outcomes) {
    expect([host, code]).toEqual([host, status.UNAVAILABLE]);
    // A listener that does not exist is no trouble, but a host that is not of the mesh.
    if (host !== 'lds-5') expect(details).toContain(`status ${host.split('-')[1]}: because`);
  }
});

test.each(FORBIDDEN)(
  'A54: a control plane that ends its stream with status %i leaves calls UNAVAILABLE',
  async (code) => {
    const ads = opened.add(await ScriptedAds.start(), (each) => each.close());
    const call = outcome(meshUnder(ads.port), 'anything');
    const stream = await ads.nextStream();
    await stream.next();
    if (code === status.OK) stream.end();
    else stream.fail(code, 'because');
    expect((await call).code).toBe(status.UNAVAILABLE);
  },
);

test('A54: a control plane that is not there leaves calls UNAVAILABLE', async () => {
  expect((await outcome(meshUnder(await deadPort()), 'anything')).code).toBe(status.UNAVAILABLE);
});

test('A54: no error of the mesh has a status that only servers give', () => {
  const src = new URL('../../src/', import.meta.url);
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  // Not `const { grpcStatus = 0 }`: that reads what an application's fallback answers.
  const statuses = files.flatMap((path) =>
    [...readFileSync(new URL(path, src), 'utf8').matchAll(/^(?! *const \{).*grpcStatus\b.*?[=:?] (\d+)/gm)].map(
      ([, code]) => Number(code),
    ),
  );
  expect(statuses.length).toBeGreaterThan(15);
  expect(statuses.filter((code) => FORBIDDEN.includes(code))).toEqual([]);
});
