import * as grpc from '@grpc/grpc-js';
import { request } from 'undici';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Mesh } from '../../../src/index.js';
import { Backend, ECHO } from '../support/backend.js';
import { openCarrier } from '../support/carriers.js';

const WAIT = { timeout: 10_000, interval: 10 };
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

type Priority = 'high' | 'default' | 'batch';
interface Sent {
  /** Settles when it has failed. */
  readonly failed: Promise<unknown>;
  cancel(): void;
}

/** Ways of making a call that is not answered. */
const ways: Readonly<Record<string, (mesh: Mesh, priority?: Priority) => Sent>> = {
  fetch: (mesh, priority) => {
    const controller = new AbortController();
    const { signal } = controller;
    const headers = { 'x-behave': 'hang' };
    const calling = mesh.fetch('http://reviews/get', { headers, signal, ...(priority && { mesh: { priority } }) });
    return { failed: calling.catch(noop), cancel: () => controller.abort() };
  },
  dispatcher: (mesh, priority) => {
    const controller = new AbortController();
    const { signal } = controller;
    const headers = { 'x-behave': 'hang', ...(priority && { 'inmesh-priority': priority }) };
    const calling = request('http://reviews/get', { dispatcher: mesh.dispatcher, headers, signal });
    return { failed: calling.catch(noop), cancel: () => controller.abort() };
  },
  gRPC: (mesh, priority) => {
    const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    const client = mesh.grpc(Echo, 'reviews') as unknown as {
      get(message: unknown, metadata: grpc.Metadata, done: (error: Error | null) => void): grpc.ClientUnaryCall;
    };
    const metadata = new grpc.Metadata();
    metadata.set('x-behave', 'hang');
    if (priority !== undefined) metadata.set('inmesh-priority', priority);
    let cancel = (): void => {};
    const failed = new Promise((resolve) => {
      const call = client.get({}, metadata, resolve);
      cancel = () => call.cancel();
    });
    return { failed, cancel: () => cancel() };
  },
};
const noop = (): void => {};

describe.each(Object.keys(ways))('limits at the client, %s', (way) => {
  const send = ways[way] as NonNullable<(typeof ways)[string]>;
  const open = async (pool: string): Promise<{ mesh: Mesh; reviews: Backend }> => {
    const reviews = await Backend.start('reviews');
    opened.push(() => reviews.kill());
    const port = way === 'gRPC' ? reviews.grpcPort : reviews.httpPort;
    const carrier = await openCarrier(
      'embedded',
      `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:${port}"] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: Service, group: "", name: reviews }], connectionPool: ${pool} }
`,
    );
    opened.push(() => carrier.close());
    return { mesh: carrier.mesh, reviews };
  };
  /** Resolves when `arrive` requests have reached the service since the beginning, and all other calls of these have failed. */
  const settled = async (sent: readonly Sent[], reviews: Backend, arrive: number, refuse: number): Promise<void> => {
    let refused = 0;
    for (const { failed } of sent) void failed.then(() => refused++);
    await vi.waitFor(() => expect([reviews.seen.length, refused]).toEqual([arrive, refuse]), WAIT);
  };

  test('20 calls in one tick against a limit of 3 let 3 through', async () => {
    const { mesh, reviews } = await open('{ maxRequests: 3 }');
    const sent = Array.from({ length: 20 }, () => send(mesh));
    await settled(sent, reviews, 3, 17);
    for (const one of sent) one.cancel();
    await vi.waitFor(async () => expect((await mesh.configDump()).clusters[0]?.requests).toBe(0), WAIT);
    // Their places are free again.
    const more = Array.from({ length: 20 }, () => send(mesh));
    await settled(more, reviews, 6, 17);
    for (const one of more) one.cancel();
  });

  test('high priority has room when the others have filled theirs, and batch has but its share', async () => {
    const { mesh, reviews } = await open('{ maxRequests: 10, high: { maxRequests: 2 }, batchPercent: 20 }');
    const sent = (['batch', 'default', 'high'] as const).flatMap((priority) =>
      Array.from({ length: 20 }, () => send(mesh, priority)),
    );
    await settled(sent, reviews, 12, 48);
    for (const one of sent) one.cancel();
  });

  test.skipIf(way === 'gRPC')('the line for a connection is bounded, for each priority on its own', async () => {
    const { mesh, reviews } = await open(
      '{ maxConnections: 1, maxPendingRequests: 2, high: { maxPendingRequests: 1 } }',
    );
    const sent = [undefined, undefined, undefined, undefined, 'high', 'high'] as const;
    const calls = sent.map((priority) => send(mesh, priority));
    await settled(calls, reviews, 1, 2);
    expect((await mesh.configDump()).clusters[0]).toMatchObject({ connections: 1, pending: 3, requests: 4 });
    for (const one of calls) one.cancel();
    await vi.waitFor(
      async () => expect((await mesh.configDump()).clusters[0]).toMatchObject({ pending: 0, requests: 0 }),
      WAIT,
    );
  });
});
