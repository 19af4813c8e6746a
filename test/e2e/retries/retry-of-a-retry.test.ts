import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { meshServerInterceptor } from '../../../src/grpc.js';
import { type Mesh, meshClient, meshHandler } from '../../../src/index.js';
import { ECHO } from '../support/backend.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function service(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => server.closeAllConnections(),
  );
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function meshTo(services: Record<string, string[]>): Mesh {
  const mesh = meshClient({ services });
  closing.push(() => mesh.close());
  return mesh;
}

/** The leaf of the tree: always down. Writes down which of the requests say that they were made for a repetition. */
async function failingLeaf() {
  const marks: (string | string[] | undefined)[] = [];
  const endpoint = await service((request, response) => {
    marks.push(request.headers['inmesh-retry']);
    response.writeHead(503).end();
  });
  return { endpoint, marks };
}

describe('a service that fails at the end of a chain in which everybody retries once', () => {
  test('gets three requests for one, not four: the repetition is not repeated below', async () => {
    const leaf = await failingLeaf();
    const inner = meshTo({ leaf: [leaf.endpoint] });
    const middle = await service(
      meshHandler(async (_request, response) => {
        const reply = await inner.fetch('http://leaf/');
        await reply.arrayBuffer();
        response.writeHead(reply.status).end();
      }) as RequestListener,
    );
    const reply = await meshTo({ middle: [middle] }).fetch('http://middle/');
    expect(reply.status).toBe(503);
    expect(leaf.marks).toEqual([undefined, '1', '1']);
  });

  test('that is the fifth service of the chain gets five requests, not sixteen', async () => {
    const leaf = await failingLeaf();
    let next = leaf.endpoint;
    for (let hop = 0; hop < 3; hop++) {
      const mesh = meshTo({ next: [next] });
      next = await service(
        meshHandler(async (_request, response) => {
          const reply = await mesh.fetch('http://next/');
          await reply.arrayBuffer();
          response.writeHead(reply.status).end();
        }) as RequestListener,
      );
    }
    expect((await meshTo({ next: [next] }).fetch('http://next/')).status).toBe(503);
    expect(leaf.marks).toHaveLength(5);
    expect(leaf.marks.filter((mark) => mark === undefined)).toHaveLength(1);
  });

  test('is spared over gRPC as over HTTP: the mark goes along through a grpc-js server', async () => {
    const leaf = await failingLeaf();
    const inner = meshTo({ leaf: [leaf.endpoint] });
    const server = new grpc.Server({ interceptors: [meshServerInterceptor()] });
    server.addService(ECHO, {
      get: (_call: grpc.ServerUnaryCall<unknown, unknown>, done: grpc.sendUnaryData<unknown>) => {
        inner.fetch('http://leaf/').then(
          async (reply) => {
            await reply.arrayBuffer();
            done({ code: grpc.status.UNAVAILABLE, details: `the leaf says ${reply.status}` });
          },
          (error: Error) => done({ code: grpc.status.INTERNAL, details: error.message }),
        );
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    closing.push(() => server.forceShutdown());
    const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    const client = meshTo({ middle: [`127.0.0.1:${port}`] }).grpc(Echo, 'middle');
    closing.push(() => client.close());
    type Get = (message: object, metadata: grpc.Metadata, done: (error: grpc.ServiceError | null) => void) => void;
    const error = await new Promise<grpc.ServiceError | null>((resolve) =>
      (client as unknown as { get: Get }).get({}, new grpc.Metadata({ idempotentRequest: true }), resolve),
    );
    expect(error?.details).toBe('the leaf says 503');
    expect(leaf.marks).toEqual([undefined, '1', '1']);
  });
});
