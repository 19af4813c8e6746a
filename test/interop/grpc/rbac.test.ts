import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { Authorizer } from '../../../src/identity/authz/authorizer.js';
import { Dice, generatedRbac, generatedRequest } from '../../identity/authz/generate.js';
import { authzRequest } from '../../identity/authz/requests.js';
import { freeAddress } from '../../server/xds/support.js';
import { decoders } from '../../support/decoders.js';
import { OpenAds } from '../../support/open-ads.js';
import { pythonWithGrpc } from '../../support/python.js';
import { chain, httpFilter, socketAddress } from '../../support/server-resources.js';
import { any, routerFilter } from '../../support/xds-resources.js';

/* A server of grpcio under xDS (C core), and our engine with the same rules: call by call the same. */

const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC';
const PER_ROUTE = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute';
const SEED = 41_59;
const TABLES = 50;
const CALLS = 100;
const AT_ONCE = 25;

const WORDS = {
  paths: ['/pkg.A/Get', '/pkg.A/List', '/pkg.B/Get', '/PKG.A/Get'],
  hosts: ['reviews', 'reviews.example', 'other'],
  methods: ['POST'],
  principals: ['spiffe://cluster.local/ns/default/sa/x', ''],
  // C core 1.7x compares the name as the policy writes it, so that one in capitals never matches: Envoy and we take no notice of case.
  names: ['x-a', 'x-b', 'x-c'],
};

const python = await pythonWithGrpc();
const dice = new Dice(SEED);
const RULES = Array.from({ length: TABLES }, () => generatedRbac(dice, WORDS));

/** A route for each RBAC, which a header asks for. */
const routes: readonly Resource[] = RULES.map((rbac, i) => ({
  match: { prefix: '', headers: [{ name: 'x-table', string_match: { exact: String(i) } }] },
  non_forwarding_action: {},
  typed_per_filter_config: { rbac: any(PER_ROUTE, { rbac }) },
}));

const listener = (name: string, port: number): Resource => ({
  name,
  address: socketAddress('127.0.0.1', port),
  filter_chains: [
    chain(undefined, {
      filters: [
        httpFilter({
          rds: undefined,
          route_config: { name: 'r', virtual_hosts: [{ name: 'v', domains: ['*'], routes }] },
          http_filters: [{ name: 'rbac', typed_config: any(RBAC) }, routerFilter],
        } as unknown as Resource),
      ],
    }),
  ],
});

/** Per route, our decision. */
function deciders(resource: Resource): readonly Authorizer[] {
  const found = decoders[LISTENER](resource, String(resource['name']));
  if (found.kind !== 'server') throw new Error('no server');
  const source = found.listener.filterChains[0]?.routes;
  if (source?.kind !== 'inline') throw new Error('no routes');
  const own = source.config.virtualHosts[0]?.routes ?? [];
  return own.map(({ authorization }) => new Authorizer(authorization?.filters ?? [], { wallTime: () => 0 }, () => {}));
}

describe.skipIf('reason' in python)('beside a server of grpcio', () => {
  let ads: OpenAds;
  let child: ChildProcess;
  let client: grpc.Client;
  let port: number;
  let resource: Resource;

  beforeAll(async () => {
    ({ port } = await freeAddress());
    const name = `srv/127.0.0.1:${port}`;
    resource = JSON.parse(JSON.stringify(listener(name, port)));
    const plane = await OpenAds.start({ [LISTENER]: [resource] });
    ads = plane.ads;
    const bootstrap = {
      xds_servers: [
        { server_uri: `127.0.0.1:${plane.port}`, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] },
      ],
      node: { id: 'rbac', locality: {} },
      server_listener_resource_name_template: 'srv/%s',
    };
    const { GRPC_XDS_BOOTSTRAP: _, ...inherited } = process.env;
    const script = fileURLToPath(new URL('./rbac_server.py', import.meta.url));
    child = spawn('python' in python ? python.python : '', [script, String(port)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...inherited, GRPC_XDS_BOOTSTRAP_CONFIG: JSON.stringify(bootstrap) },
    });
    client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + 30_000, (error) => (error ? reject(error) : resolve())),
    );
  }, 120_000);

  afterAll(async () => {
    client?.close();
    if (child !== undefined && child.exitCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    ads?.close();
  });

  const call = (path: string, host: string, headers: Readonly<Record<string, string>>): Promise<number> => {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const same = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve) => {
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadata, { host }, (error) =>
        resolve(error?.code ?? 0),
      );
    });
  };

  test(`the same ${TABLES * CALLS} calls are let in of ${TABLES} generated RBACs`, async () => {
    expect([...ads.refusals.values()].map((texts) => [...texts])).toEqual([]);
    const decide = deciders(resource);
    const own = new Dice(SEED + 1);
    const planned = RULES.flatMap((_, i) =>
      Array.from({ length: CALLS }, () => ({ i, asked: generatedRequest(own, WORDS) })),
    );
    const differ: unknown[] = [];
    let allowed = 0;
    for (let from = 0; from < planned.length; from += AT_ONCE) {
      const some = planned.slice(from, from + AT_ONCE);
      await Promise.all(
        some.map(async ({ i, asked }) => {
          const status = await call(asked.path, asked.host, { ...asked.headers, 'x-table': String(i) });
          const ours = decide[i]?.decide(
            authzRequest({
              ...asked,
              protocol: 'grpc',
              judgedPath: asked.path,
              peerAddress: '127.0.0.1',
              clientAddress: '127.0.0.1',
              localAddress: '127.0.0.1',
              localPort: port,
            }),
          ).allowed;
          if (status === 0) allowed++;
          if ((status === 0) !== ours || (status !== 0 && status !== grpc.status.PERMISSION_DENIED))
            differ.push({ rbac: JSON.stringify(RULES[i]), asked, status, ours });
        }),
      );
    }
    expect(differ.slice(0, 3)).toEqual([]);
    expect(allowed / planned.length).toBeGreaterThan(0.2);
    expect(allowed / planned.length).toBeLessThan(0.8);
  }, 120_000);
});
