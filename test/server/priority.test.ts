import { afterEach, describe, expect, test } from 'vitest';
import * as grpc from '@grpc/grpc-js';
import { withAmbient } from '../../src/core/ambient.js';
import type { Priority } from '../../src/core/call.js';
import { inboundContext } from '../../src/server/context.js';
import { Inbound } from '../../src/server/inbound.js';
import { grpcService, type TestMesh, testMesh } from '../../src/testing/index.js';

let mesh: TestMesh;
afterEach(() => mesh.close());

const text = (value: string): Buffer => Buffer.from(value);
const method = {
  path: '/test.Echo/get',
  requestStream: false,
  responseStream: false,
  requestSerialize: text,
  requestDeserialize: String,
  responseSerialize: text,
  responseDeserialize: String,
} as const;

function aMesh(): TestMesh {
  mesh = testMesh({
    services: { ratings: () => new Response(), echo: grpcService({ get: method }, { get: () => 'ok' }) },
  });
  return mesh;
}

/** What the server was told, and what the limits here saw. */
const sent = (): unknown[] =>
  mesh.requests.map(({ request, call }) => [request.headers.get('inmesh-priority'), call.priority]);

function overGrpc(metadata = new grpc.Metadata()): Promise<unknown> {
  const Echo = grpc.makeGenericClientConstructor({ get: method }, 'Echo');
  const client = mesh.grpc(Echo, 'echo') as unknown as {
    get(message: string, metadata: grpc.Metadata, done: (error: Error | null) => void): void;
  };
  return new Promise((resolve) => client.get('x', metadata, resolve));
}

describe('the priority of a call', () => {
  test('is none when nobody says one', async () => {
    await aMesh().fetch('http://ratings/');
    expect(sent()).toEqual([[null, undefined]]);
  });

  test('is what the call says, by an option of fetch or by metadata, and the server is told', async () => {
    await aMesh().fetch('http://ratings/', { mesh: { priority: 'high' } });
    const metadata = new grpc.Metadata();
    metadata.set('inmesh-priority', 'batch');
    await overGrpc(metadata);
    expect(sent()).toEqual([
      ['high', 'high'],
      ['batch', 'batch'],
    ]);
  });

  test('is that of the request being served otherwise, over HTTP and gRPC', async () => {
    aMesh();
    await withAmbient(inboundContext({ 'inmesh-priority': 'batch' }), async () => {
      await mesh.fetch('http://ratings/');
      await overGrpc();
      await mesh.fetch('http://ratings/', { mesh: { priority: 'default' } });
    });
    expect(sent()).toEqual([
      ['batch', 'batch'],
      ['batch', 'batch'],
      ['default', 'default'],
    ]);
  });

  test('that is none of the three is refused as an option, and nothing as a field', async () => {
    await expect(aMesh().fetch('http://ratings/', { mesh: { priority: 'urgent' as Priority } })).rejects.toThrow(
      'mesh.priority must be "high", "default" or "batch", got "urgent"',
    );
    expect(inboundContext({ 'inmesh-priority': 'urgent' }).priority).toBeUndefined();
  });
});

test('where requests come from outside, the application decides which are important', () => {
  aMesh();
  const edge = new Inbound({ priority: ({ 'x-tier': tier }) => (tier === 'gold' ? 'high' : undefined) });
  expect(edge.context({ 'inmesh-priority': 'high' }, 'http').priority).toBeUndefined();
  expect(edge.context({ 'x-tier': 'gold' }, 'http').priority).toBe('high');
});
