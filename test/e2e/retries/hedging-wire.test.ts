import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { type Mesh, meshClient } from '../../../src/index.js';
import { ECHO } from '../support/backend.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** The first request of all, whichever endpoint gets it, is never answered; `left` resolves when its client has let it go. */
function firstHangs() {
  let asked = 0;
  let leave: () => void = () => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  return { hangs: () => asked++ === 0, leave: () => leave(), left };
}

async function overHttp(first: ReturnType<typeof firstHangs>): Promise<string> {
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    if (first.hangs()) response.once('close', first.leave);
    else request.on('end', () => response.end(`got ${text}`));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
  );
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function overGrpc(first: ReturnType<typeof firstHangs>): Promise<string> {
  const server = new grpc.Server();
  server.addService(ECHO, {
    get: (call: grpc.ServerUnaryCall<unknown, unknown>, done: grpc.sendUnaryData<unknown>) => {
      if (first.hangs()) call.once('cancelled', first.leave);
      else done(null, { got: call.request });
    },
  });
  closing.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(`127.0.0.1:${port}`) : reject(error),
    );
  });
}

function meshTo(endpoints: readonly string[], kind: 'HTTPRoute' | 'GRPCRoute'): Mesh {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-hedging-'));
  closing.push(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'mesh.yaml');
  writeFileSync(
    config,
    `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ${JSON.stringify(endpoints)} }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules: [{ backendRefs: [{ name: reviews, port: 80 }] }]
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: ${kind}, name: reviews }]
  hedge: { delay: 20ms, maxExtraPercent: 100 }
`,
  );
  const mesh = meshClient({ config });
  closing.push(() => mesh.close());
  return mesh;
}

describe('a hedged call over the wire', () => {
  test('is answered by the other server, and the first hears that it is not wanted any more: HTTP, with a streamed body', async () => {
    const first = firstHangs();
    const mesh = meshTo([await overHttp(first), await overHttp(first)], 'HTTPRoute');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const word of ['one ', 'two ', 'three']) controller.enqueue(Buffer.from(word));
        controller.close();
      },
    });
    const reply = await mesh.fetch('http://reviews/', { method: 'PUT', body, duplex: 'half' } as RequestInit);
    expect(await reply.text()).toBe('got one two three');
    await first.left;
  });

  test('is answered by the other server, and the first hears that it is not wanted any more: gRPC', async () => {
    const first = firstHangs();
    const mesh = meshTo([await overGrpc(first), await overGrpc(first)], 'GRPCRoute');
    const client = mesh.grpc(grpc.makeGenericClientConstructor(ECHO, 'Echo'), 'reviews');
    closing.push(() => client.close());
    type Get = (message: object, metadata: grpc.Metadata, done: (error: unknown, value: unknown) => void) => void;
    const answer = await new Promise((resolve, reject) =>
      (client as unknown as { get: Get }).get(
        { id: 7 },
        new grpc.Metadata({ idempotentRequest: true }),
        (error, value) => (error === null ? resolve(value) : reject(error)),
      ),
    );
    expect(answer).toEqual({ got: { id: 7 } });
    await first.left;
  });
});
