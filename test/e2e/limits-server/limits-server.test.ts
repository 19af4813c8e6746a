import { createServer as createHttp } from 'node:http';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import { addressKey } from '../../../src/core/model/endpoint.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { meshHandler } from '../../../src/server/http.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { EchoGrpc, FRAMEWORKS, listening } from '../../support/inbound-servers.js';
import { grpcMethod, SERVER_FACES } from '../../support/server-faces.js';
import { freeAddress } from '../../server/xds/support.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';

/*
 * Policies with `side: server`, from a file and from our own control plane over a real socket: middleware of each framework finds them by the name of the service
 * that it is, and so do servers of mesh.serve. Counts are of the process's own time, so limits are a few per hour.
 */

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const SERVICE = `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:1"] }
`;
const ROUTES = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules:
    - { name: search, matches: [{ headers: [{ name: x-search, value: "yes" }] }], backendRefs: [{ name: reviews }] }
    - { name: rest, backendRefs: [{ name: reviews }] }
`;
const policy = (kind: string, name: string, target: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name} }
spec: { side: server, targetRefs: [{ ${target} }], ${spec} }
`;
const ALL = 'group: "", kind: Service, name: reviews';
const limit = (requests: number): string => `limit: { requests: ${requests}, per: 1h }`;
const PER_USER = policy(
  'RateLimitPolicy',
  'users',
  ALL,
  `limits: [{ name: user, key: [{ header: x-user }], ${limit(2)} }]`,
);
const OF_SEARCH = policy(
  'RateLimitPolicy',
  'search',
  'group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews, sectionName: search',
  `limits: [{ name: all, ${limit(3)} }]`,
);
const ABORTS = policy('FaultPolicy', 'chaos', ALL, 'abort: { headerAbort: {} }');

type Headers = Readonly<Record<string, string>>;
interface Answer {
  readonly status: number;
  readonly remaining: string | undefined;
}
interface Server {
  ask(headers?: Headers): Promise<Answer>;
}

const overHttp = (port: number): Server => ({
  async ask(headers = {}) {
    const reply = await fetch(`http://127.0.0.1:${port}/`, { headers });
    await reply.text();
    return { status: reply.status, remaining: reply.headers.get('x-ratelimit-remaining') ?? undefined };
  },
});

const echo = async (mesh: Mesh, service: string): Promise<Server> => {
  const server = await EchoGrpc.start(() => {}, { mesh, service });
  opened.push(() => server.close());
  return {
    async ask(headers = {}) {
      const metadata = new grpc.Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      let told: grpc.Metadata | undefined;
      const status = await server
        .unary(metadata, (call) => call.on('metadata', (head) => (told = head)))
        .then(
          () => 0,
          (error: grpc.ServiceError) => {
            told = error.metadata;
            return error.code;
          },
        );
      return { status, remaining: told?.get('x-ratelimit-remaining')[0]?.toString() };
    },
  };
};

const middleware =
  (framework: (typeof FRAMEWORKS)[string]) =>
  async (mesh: Mesh, service: string): Promise<Server> => {
    const { port, close } = await framework(() => {}, { mesh, service });
    opened.push(close);
    return overHttp(port);
  };

const served =
  (face: (typeof SERVER_FACES)[string]) =>
  async (mesh: Mesh, service: string): Promise<Server> => {
    const address = await freeAddress();
    const serving = await mesh.serve(
      face.server(() => {}),
      { address: addressKey(address), service },
    );
    await serving.ready();
    return askingFace(face, address);
  };

const askingFace = (face: (typeof SERVER_FACES)[string], address: Address): Server => ({
  async ask(headers) {
    const { status, headers: told } = await face.ask(address, '/', headers).told;
    return { status, remaining: told['x-ratelimit-remaining'] };
  },
});

const SERVERS: readonly { name: string; grpc: boolean; start(mesh: Mesh, service: string): Promise<Server> }[] = [
  ...Object.entries(FRAMEWORKS).map(([name, framework]) => ({ name, grpc: false, start: middleware(framework) })),
  { name: 'grpc-js', grpc: true, start: echo },
  ...Object.entries(SERVER_FACES).map(([name, face]) => ({
    name: `mesh.serve of ${name}`,
    grpc: name === 'grpc-js',
    start: served(face),
  })),
];

describe.each(CARRIERS)('%s', (carrierName) => {
  const open = async (yaml: string): Promise<Awaited<ReturnType<typeof openCarrier>>> => {
    const carrier = await openCarrier(carrierName, yaml);
    opened.push(() => carrier.close());
    return carrier;
  };

  describe.each(SERVERS)('$name', ({ grpc: isGrpc, start }) => {
    const OK = isGrpc ? 0 : 200;
    const REFUSED = isGrpc ? grpc.status.RESOURCE_EXHAUSTED : 429;

    test('requests are counted by key and by route, and refused beyond a limit', async () => {
      const { mesh } = await open(SERVICE + ROUTES + PER_USER + OF_SEARCH);
      const { ask } = await start(mesh, 'reviews');
      const search = { 'x-search': 'yes' };
      const answers: Answer[] = [];
      for (const headers of [
        { 'x-user': 'ann' },
        { 'x-user': 'ann' },
        { 'x-user': 'ann' },
        { 'x-user': 'bob', ...search },
        { 'x-user': 'cid', ...search },
        { 'x-user': 'dan', ...search },
        { 'x-user': 'eve', ...search },
        { 'x-user': 'eve' },
      ]) {
        answers.push(await ask(headers));
      }
      // The least that any rule leaves.
      expect(answers).toEqual([
        { status: OK, remaining: '1' },
        { status: OK, remaining: '0' },
        { status: REFUSED, remaining: '0' },
        { status: OK, remaining: '1' },
        { status: OK, remaining: '1' },
        { status: OK, remaining: '0' },
        { status: REFUSED, remaining: '0' },
        { status: OK, remaining: '1' },
      ]);
    });

    test('faults are for requests that ask for them', async () => {
      const { mesh } = await open(SERVICE + ABORTS);
      const { ask } = await start(mesh, 'reviews');
      expect((await ask()).status).toBe(OK);
      const abort = isGrpc ? { 'x-envoy-fault-abort-grpc-request': '7' } : { 'x-envoy-fault-abort-request': '418' };
      expect((await ask(abort)).status).toBe(isGrpc ? 7 : 418);
    });
  });

  test('a service without policies is served as ever; they come and go with the file, and counts outlive that', async () => {
    const { mesh, edit } = await open(SERVICE);
    const { ask } = await middleware(FRAMEWORKS['node:http'] as (typeof FRAMEWORKS)[string])(mesh, 'reviews');
    expect(await ask()).toEqual({ status: 200, remaining: undefined });
    const limited = policy(
      'RateLimitPolicy',
      'users',
      ALL,
      'limits: [{ name: all, limit: { requests: 100000, per: 1h, algorithm: slidingLog } }]',
    );
    await edit(SERVICE + limited);
    while ((await ask()).remaining === undefined);
    const { remaining } = await ask();
    await edit(SERVICE);
    while ((await ask()).remaining !== undefined);
    await edit(SERVICE + limited);
    let again: Answer;
    do again = await ask();
    while (again.remaining === undefined);
    expect(Number(again.remaining)).toBeLessThan(Number(remaining));
    // Nonsense changes nothing.
    await edit(SERVICE + limited.replace('requests', 'reqests'));
    await new Promise((resolve) => setImmediate(resolve));
    expect((await ask()).remaining).toBeDefined();
  });

  test.each([
    ['node:http', 'reviews'],
    ['grpc-js', 'reviews'],
    ['node:http', 'reviews.default:80'],
    ['grpc-js', 'reviews.default'],
  ])(
    '%s: a request that mesh.serve has counted is not counted by middleware again, which knows the service as %s',
    async (name, service) => {
      const { mesh } = await open(SERVICE + PER_USER);
      const face = SERVER_FACES[name] as (typeof SERVER_FACES)[string];
      const address = await freeAddress();
      const options = { mesh, service };
      const server = (() => {
        if (name === 'node:http') return createHttp(meshHandler((_, response) => response.end('ok'), options));
        const made = new XdsServer({ interceptors: [meshServerInterceptor(options)] });
        made.addService(
          { get: grpcMethod('/test/Get') },
          { get: (_: unknown, done: grpc.sendUnaryData<Buffer>) => done(null, Buffer.from('ok')) },
        );
        return made;
      })();
      const serving = await mesh.serve(server, { address: addressKey(address), service: 'reviews' });
      await serving.ready();
      const { ask } = askingFace(face, address);
      const remaining = [];
      for (let i = 0; i < 3; i++) remaining.push((await ask({ 'x-user': 'ann' })).remaining);
      expect(remaining).toEqual(['1', '0', '0']);
    },
  );

  test('a server of mesh.serve by the name of a service serves without policies', async () => {
    const { mesh } = await open(SERVICE);
    const { ask } = await served(SERVER_FACES['node:http'] as (typeof SERVER_FACES)[string])(mesh, 'reviews');
    expect(await ask()).toEqual({ status: 200, remaining: undefined });
  });

  test('the first requests of a server that says its service wait for its policies', async () => {
    const carrier = await open(SERVICE + PER_USER);
    const { ask } = await middleware(FRAMEWORKS['node:http'] as (typeof FRAMEWORKS)[string])(carrier.mesh, 'reviews');
    expect((await Promise.all([ask(), ask(), ask()])).map(({ status }) => status).sort()).toEqual([200, 200, 429]);
  });
});

test('a mesh’s own service is the one whose policies count, where middleware names none', async () => {
  const { mesh } = await (async () => {
    const carrier = await openCarrier(
      'embedded',
      SERVICE.replaceAll('reviews', 'e2e') + PER_USER.replaceAll('reviews', 'e2e'),
    );
    opened.push(() => carrier.close());
    return carrier;
  })();
  const { port, close } = await listening(meshHandler((_, response) => response.end('ok'), { mesh }));
  opened.push(close);
  const { ask } = overHttp(port);
  let answer: Answer;
  do answer = await ask();
  while (answer.remaining === undefined);
  expect(answer).toEqual({ status: 200, remaining: '1' });
});

test('a server by the name of a service, in a mesh whose configuration never comes, refuses after a second: policies might', async () => {
  const mesh = meshClient({ service: 'e2e', xds: '127.0.0.1:1', logger: silentLogger });
  opened.push(() => mesh.close());
  const { port, close } = await listening(
    meshHandler((_, response) => response.end('ok'), { mesh, service: 'reviews' }),
  );
  opened.push(close);
  expect(await overHttp(port).ask()).toEqual({ status: 503, remaining: undefined });
});
