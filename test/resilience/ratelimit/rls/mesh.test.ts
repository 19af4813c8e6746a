import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../../src/controlplane/index.js';
import { RLS_METHOD } from '../../../../src/core/rls.js';
import type { Mesh } from '../../../../src/index.js';
import { startProxy } from '../../../../src/proxy/index.js';
import { Backend } from '../../../e2e/support/backend.js';
import { CARRIERS, type CarrierName, openCarrier } from '../../../e2e/support/carriers.js';
import { get as fromOutside } from '../../../proxy/support.js';
import { requestPolicyYaml, serviceYaml } from '../../../support/mesh-yaml.js';

/* Our client and our rate limit service, over real sockets. Windows are of a year, so that none of them ends while a test runs. */

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const LIMITS = `
domain: edge
descriptors:
  - { key: user, rate_limit: { unit: year, requests_per_unit: 3, name: users } }
  - { key: path, value: /closed, rate_limit: { unit: year, requests_per_unit: 0 } }
`;

async function startLimits(listen = '127.0.0.1:0'): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-rls-'));
  opened.push(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'limits.yaml'), LIMITS);
  const plane = await startControlPlane({ rateLimits: folder, listen });
  opened.push(() => plane.close());
  return plane;
}

interface Options {
  readonly carrier?: CarrierName;
  /** Of the rate limit service. */
  readonly port: number;
  readonly backend?: number;
  readonly domain?: string;
  readonly timeout?: string;
  /** More of each rule. */
  readonly rule?: string;
  readonly more?: string;
  /** One rule alone. */
  readonly only?: 'users';
}

async function openMesh(options: Options): Promise<Mesh> {
  const { carrier = 'embedded', port, domain = 'edge', timeout = '10s', rule = '', more = '', only } = options;
  let { backend } = options;
  if (backend === undefined) {
    const reviews = await Backend.start('reviews');
    opened.push(() => reviews.kill());
    backend = reviews.httpPort;
  }
  const store = `store: { rateLimitService: { name: limits, domain: ${domain}, timeout: ${timeout} } }${rule}`;
  const rules = [
    `{ name: users, key: [{ header: x-user, as: user }], ${store} }`,
    ...(only === undefined ? [`{ name: paths, key: [{ path: {}, as: path }], ${store} }`] : []),
  ];
  const yaml =
    serviceYaml('reviews', `endpoints: ["127.0.0.1:${backend}"]`) +
    serviceYaml('limits', `endpoints: ["127.0.0.1:${port}"]`) +
    requestPolicyYaml(
      'RateLimitPolicy',
      'edge',
      'group: "", kind: Service, name: reviews',
      `limits: [${rules.join(', ')}]`,
    ) +
    more;
  const opening = await openCarrier(carrier, yaml);
  opened.push(() => opening.close());
  return opening.mesh;
}

async function get(mesh: Mesh, user: string, headers: Record<string, string> = {}, path = '/'): Promise<Response> {
  const response = await mesh.fetch(`http://reviews${path}`, { headers: { 'x-user': user, ...headers } });
  await response.text();
  return response;
}

/** Status of the reply, or the code of the error. */
const outcome = (mesh: Mesh, user: string, headers?: Record<string, string>, path?: string): Promise<unknown> =>
  get(mesh, user, headers, path).then(
    ({ status }) => status,
    (error: { readonly code?: string; readonly cause?: { readonly code: string } }) => error.cause?.code ?? error.code,
  );

async function outcomes(mesh: Mesh, user: string, count: number): Promise<unknown[]> {
  const found = [];
  for (let i = 0; i < count; i++) found.push(await outcome(mesh, user));
  return found;
}

describe.each(CARRIERS)('a rate limit service in a mesh whose configuration comes %s', (carrier) => {
  test('lets calls through up to its limit, and the next fails before anything is sent', async () => {
    const mesh = await openMesh({ carrier, port: (await startLimits()).port });
    expect(await outcomes(mesh, 'ann', 4)).toEqual([200, 200, 200, 'RATE_LIMITED']);
    expect(await outcome(mesh, 'bob')).toBe(200);
  });
});

test('what it says of the limit is in the replies', async () => {
  const mesh = await openMesh({ port: (await startLimits()).port });
  const { headers } = await get(mesh, 'ann');
  expect(headers.get('x-ratelimit-limit')).toBe('3');
  expect(headers.get('x-ratelimit-remaining')).toBe('2');
  await expect(get(mesh, 'ann', {}, '/closed')).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    cause: { message: expect.stringContaining('default/edge/paths') },
  });
});

test('a domain that it does not know limits nothing', async () => {
  const mesh = await openMesh({ port: (await startLimits()).port, domain: 'elsewhere' });
  expect(await outcomes(mesh, 'ann', 5)).toEqual([200, 200, 200, 200, 200]);
});

test('a limit of the policy takes the place of the one that it has, and an override for those that it names', async () => {
  const rule =
    ', limit: { requests: 1, per: year }, overrides: [{ match: { user: root }, limit: { requests: 5, per: year } }]';
  const mesh = await openMesh({ port: (await startLimits()).port, only: 'users', rule });
  expect(await outcomes(mesh, 'ann', 2)).toEqual([200, 'RATE_LIMITED']);
  expect(await outcomes(mesh, 'root', 6)).toEqual([200, 200, 200, 200, 200, 'RATE_LIMITED']);
});

test('a call counts as often as it says', async () => {
  const mesh = await openMesh({ port: (await startLimits()).port, rule: ', cost: { header: x-cost }' });
  expect(await outcome(mesh, 'ann', { 'x-cost': '2' })).toBe(200);
  expect(await outcome(mesh, 'ann', { 'x-cost': '2' })).toBe('RATE_LIMITED');
});

test('a stream counts once, however many messages it carries', async () => {
  const raw = (bytes: Buffer): Buffer => bytes;
  const chat: grpc.MethodDefinition<Buffer, Buffer> = {
    path: '/test.Chat/Talk',
    requestStream: true,
    responseStream: true,
    ...{ requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw },
  };
  const server = new grpc.Server();
  server.addService(
    { talk: chat },
    { talk: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => call.pipe(call as unknown as NodeJS.WritableStream) },
  );
  opened.push(() => server.forceShutdown());
  const backend = await new Promise<number>((resolve) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (_, port) => resolve(port));
  });
  const mesh = await openMesh({ port: (await startLimits()).port, backend });
  const client = mesh.grpc(grpc.Client as never, 'reviews') as grpc.Client;
  const talk = async (): Promise<{ readonly code: number; readonly heard: number }> => {
    const metadata = new grpc.Metadata();
    metadata.set('x-user', 'ann');
    const call = client.makeBidiStreamRequest(chat.path, raw, raw, metadata);
    let heard = 0;
    call.on('data', () => heard++);
    call.on('error', () => {});
    const status = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
    for (let i = 0; i < 10; i++) call.write(Buffer.from([i]));
    call.end();
    return { code: (await status).code, heard };
  };
  for (let i = 0; i < 3; i++) expect(await talk()).toEqual({ code: grpc.status.OK, heard: 10 });
  expect(await talk()).toEqual({ code: grpc.status.RESOURCE_EXHAUSTED, heard: 0 });
});

test('limits on the way to the service itself do not ask it about the question', async () => {
  const store = 'store: { rateLimitService: { name: limits, domain: edge, timeout: 10s } }, onStoreFailure: deny';
  const more = requestPolicyYaml(
    'RateLimitPolicy',
    'itself',
    'group: "", kind: Service, name: limits',
    `limits: [{ name: all, key: [{ generic: x, as: path }], ${store} }]`,
  );
  const mesh = await openMesh({ port: (await startLimits()).port, more, rule: ', onStoreFailure: deny' });
  expect(await outcomes(mesh, 'ann', 4)).toEqual([200, 200, 200, 'RATE_LIMITED']);
});

test('a request from outside for the path of the question is limited like any other', async () => {
  const mesh = await openMesh({ port: (await startLimits()).port });
  const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
  opened.push(() => proxy.close({ graceMs: 0 }));
  const statuses = [];
  for (let i = 0; i < 4; i++) {
    const headers = { host: 'reviews', 'x-user': 'ann' };
    statuses.push((await fromOutside(proxy.port, { path: RLS_METHOD, method: 'POST', headers })).status);
  }
  expect(statuses).toEqual([200, 200, 200, 429]);
});

/** Takes connections and never says a word. */
async function startSilent(): Promise<number> {
  const sockets = new Set<Socket>();
  const server: NetServer = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Begins an answer and never ends it. */
async function startStuck(): Promise<number> {
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer().on('session', (session) => sessions.add(session.on('error', () => {})));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.write(Buffer.from([0, 0, 0]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe.each<[string, () => Promise<number>]>([
  ['is not there', () => Promise.resolve(1)],
  ['does not answer', startSilent],
  ['does not end its answer', startStuck],
])('a service that %s', (_, port) => {
  test.each([
    ['allow', [200, 200, 200, 200, 200]],
    ['deny', Array.from({ length: 5 }, () => 'RATE_LIMITED')],
    // Nothing has been heard of its limits.
    ['local', [200, 200, 200, 200, 200]],
  ])('leaves the decision to the policy: %s', async (mode, expected) => {
    const mesh = await openMesh({ port: await port(), timeout: '30ms', rule: `, onStoreFailure: ${mode}` });
    expect(await outcomes(mesh, 'ann', 5)).toEqual(expected);
  });
});

test('a service that is lost is stood in for by what it last said, where the policy says so, until it is back', async () => {
  const limits = await startLimits();
  const mesh = await openMesh({ port: limits.port, rule: ', onStoreFailure: local' });
  expect(await outcome(mesh, 'ann')).toBe(200);
  await limits.close();
  expect(await outcomes(mesh, 'ann', 4)).toEqual([200, 200, 200, 'RATE_LIMITED']);
  expect(await outcomes(mesh, 'bob', 4)).toEqual([200, 200, 200, 'RATE_LIMITED']);
  await startLimits(`127.0.0.1:${limits.port}`);
  // Asked again by a probe now and then.
  while ((await outcome(mesh, 'ann')) !== 200);
});
