import { afterEach, expect, test } from 'vitest';
import { connectionLost, type TestHandler, type TestMesh, testMesh } from '../../../src/testing/index.js';

/*
 * A request body that is a stream, and a service that is fallen back to: it gets all of it or nothing.
 */

const meshes: TestMesh[] = [];
afterEach(async () => {
  for (const mesh of meshes.splice(0)) await mesh.close();
});

const policy = (more: string): string => `
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ group: "", kind: Service, name: reviews }], fallback: [{ service: { name: archive } }]${more} }
`;
const open = (reviews: TestHandler, more = ''): TestMesh => {
  const archive: TestHandler = async (request) => Response.json({ length: (await request.text()).length });
  const mesh = testMesh({ services: { reviews, archive }, config: policy(more) });
  meshes.push(mesh);
  return mesh;
};
const CHUNK = new Uint8Array(10_000).fill(120);
const streamOf = (chunks: number): ReadableStream<Uint8Array> => {
  let left = chunks;
  return new ReadableStream({
    pull: (controller) => (left-- > 0 ? controller.enqueue(CHUNK) : controller.close()),
  });
};
const put = (mesh: TestMesh, chunks: number): Promise<Response> =>
  mesh.fetch('http://reviews/', { method: 'PUT', body: streamOf(chunks), duplex: 'half' } as RequestInit);

test('what has been read already is kept and read again, after retries too', async () => {
  const mesh = open(() => {
    throw connectionLost();
  });
  const response = await put(mesh, 5);
  expect(response.headers.get('inmesh-fallback')).toBe('service');
  expect(await response.json()).toEqual({ length: 50_000 });
  expect(mesh.requests.map(({ service }) => service)).toEqual(['reviews', 'reviews', 'archive']);
});

test('what is too long to be kept goes nowhere else: the answer that there is stands', async () => {
  const mesh = open(() => new Response('busy', { status: 503 }));
  const response = await put(mesh, 20);
  expect([response.status, await response.text()]).toEqual([503, 'busy']);
  expect(mesh.requests.length).toBe(1);
});

test('what has not been read is of any length: while the breaker is open nobody takes it', async () => {
  const mesh = open(
    () => new Response(null, { status: 500 }),
    ', breaker: { consecutiveFailures: 1, basePenalty: 1m }',
  );
  await mesh.fetch('http://reviews/');
  const response = await put(mesh, 200);
  expect(await response.json()).toEqual({ length: 2_000_000 });
  expect(mesh.requests.map(({ service }) => service)).toEqual(['reviews', 'archive']);
});
