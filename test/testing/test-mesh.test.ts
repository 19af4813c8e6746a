import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import {
  connectionRefused,
  FakeClock,
  GrpcFailure,
  grpcService,
  settle,
  type TestMesh,
  type TestMeshOptions,
  testMesh,
} from '../../src/testing/index.js';

let mesh: TestMesh;
const make = (options: TestMeshOptions): TestMesh => {
  mesh = testMesh(options);
  return mesh;
};
afterEach(() => mesh.close());

const unavailable = () => new Response(null, { status: 503 });

describe('testMesh', () => {
  test('a handler is a service', async () => {
    make({
      services: {
        reviews: async (request) => Response.json({ path: new URL(request.url).pathname, sent: await request.text() }),
      },
    });
    const response = await mesh.fetch('http://reviews/7', { method: 'POST', body: 'hello' });
    expect(await response.json()).toEqual({ path: '/7', sent: 'hello' });
    expect(mesh.requests).toMatchObject([{ service: 'reviews', endpoint: 0 }]);
  });

  test('a failed attempt is retried on another endpoint', async () => {
    let first: number | undefined;
    const flaky = (index: number) => () => {
      first ??= index;
      return first === index ? unavailable() : new Response('ok');
    };
    make({ services: { reviews: [flaky(0), flaky(1)] } });
    const response = await mesh.fetch('http://reviews/');
    expect(await response.text()).toBe('ok');
    expect(new Set(mesh.requests.map(({ endpoint }) => endpoint)).size).toBe(2);
    expect(mesh.requests.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  test('what was never sent is retried whatever the method', async () => {
    let calls = 0;
    make({
      services: {
        reviews: () => {
          if (calls++ === 0) throw connectionRefused();
          return new Response('ok');
        },
      },
    });
    expect((await mesh.fetch('http://reviews/', { method: 'POST' })).status).toBe(200);
  });

  test('routes of the configuration decide', async () => {
    make({
      services: { reviews: () => new Response('v1'), 'reviews-v2': () => new Response('v2') },
      config: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, name: reviews, group: '' }]
  rules:
    - matches: [{ headers: [{ name: x-canary, value: 'yes' }] }]
      backendRefs: [{ name: reviews-v2, port: 80 }]
    - backendRefs: [{ name: reviews, port: 80 }]
`,
    });
    expect(await (await mesh.fetch('http://reviews/')).text()).toBe('v1');
    expect(await (await mesh.fetch('http://reviews/', { headers: { 'x-canary': 'yes' } })).text()).toBe('v2');
  });

  test('a configuration that is refused says why, at once', () => {
    expect(() =>
      testMesh({
        services: { reviews: unavailable },
        config: 'kind: HTTPRout\napiVersion: gateway.networking.k8s.io/v1',
      }),
    ).toThrow(/testMesh: the configuration is refused:\n.*HTTPRoute/s);
  });

  test('deadlines run on the clock that was given, and the handler hears of it', async () => {
    const clock = new FakeClock();
    make({ clock, services: { reviews: () => new Promise<Response>(() => {}) } });
    const failed = expect(mesh.fetch('http://reviews/', { mesh: { timeoutMs: 250 } })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    await settle();
    await clock.advance(300);
    await failed;
    expect(mesh.requests[0]?.call.cancellation.cancelled).toBe(true);
    await mesh.close();
    expect(clock.pending).toBe(0);
  });

  test('a host that the test did not name is unknown, and nothing is dialled', async () => {
    make({ services: { reviews: unavailable } });
    await expect(mesh.fetch('http://elsewhere.example/')).rejects.toMatchObject({ code: 'UNKNOWN_HOST' });
  });

  test('a handler that throws is a server that answers 500', async () => {
    make({
      services: {
        reviews: () => {
          throw new Error('a mistake in the test');
        },
      },
    });
    const response = await mesh.fetch('http://reviews/');
    expect([response.status, await response.text()]).toEqual([500, 'Error: a mistake in the test']);
  });
});

describe('grpcService', () => {
  const text = (value: string): Buffer => Buffer.from(value);
  const method = (name: string, responseStream = false) => ({
    path: `/test.Echo/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: text,
    requestDeserialize: String,
    responseSerialize: text,
    responseDeserialize: String,
  });
  const definition = { say: method('say'), many: method('many', true), fail: method('fail'), other: method('other') };
  const EchoClient = grpc.makeGenericClientConstructor(definition, 'test.Echo');
  const services = () => ({
    echo: grpcService(definition, {
      say: (request: string) => `you said ${request}`,
      many: (request: string) => [request, request],
      fail: () => {
        throw new GrpcFailure(grpc.status.NOT_FOUND, 'no such thing: 100%');
      },
    }),
  });

  // biome-ignore lint/suspicious/noExplicitAny: a generic client has its methods by name only
  const client = (): any => make({ services: services() }).grpc(EchoClient, 'echo');
  const call = (name: string): Promise<string> =>
    new Promise((resolve, reject) =>
      client()[name]('hi', (error: Error | null, value: string) => (error ? reject(error) : resolve(value))),
    );

  test('serves a generated definition', async () => {
    expect(await call('say')).toBe('you said hi');
  });

  test('streams answers', async () => {
    const got: string[] = [];
    for await (const message of client().many('hi')) got.push(message as string);
    expect(got).toEqual(['hi', 'hi']);
  });

  test('fails with the status that the handler throws', async () => {
    await expect(call('fail')).rejects.toMatchObject({ code: grpc.status.NOT_FOUND, details: 'no such thing: 100%' });
  });

  test('a method without a handler is UNIMPLEMENTED', async () => {
    await expect(call('other')).rejects.toMatchObject({ code: grpc.status.UNIMPLEMENTED });
  });
});
