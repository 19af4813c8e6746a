import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { type Mesh, meshClient, meshHandler, MetricRecorder } from '../../../src/index.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { policyYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { ECHO, orcaServer } from '../../support/orca-server.js';

/* Servers report how full they are by our own middleware, and a mesh balances by it: real sockets, embedded configuration. */

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

/** At the same rate of requests these can take 4 : 2 : 1. */
const FULL = [0.2, 0.4, 0.8];
const CALLS = 70;

function recorderFull(full: number): MetricRecorder {
  const recorder = new MetricRecorder();
  recorder.setApplicationUtilization(full);
  recorder.setRps(100);
  cleanUp.push(() => recorder.close());
  return recorder;
}

function meshOver(ports: readonly number[], more = ''): Mesh {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-orca-'));
  const endpoints = ports.map((port) => `"127.0.0.1:${port}"`).join(', ');
  const wrr = `weightedRoundRobin: { blackoutPeriod: 0s, weightUpdatePeriod: 100ms${more} }`;
  const file = join(folder, 'mesh.yaml');
  writeFileSync(
    file,
    serviceYaml('reviews', `endpoints: [${endpoints}]`) +
      policyYaml('by-load', 'reviews', `loadBalancer: { simple: WEIGHTED_ROUND_ROBIN, ${wrr} }`),
  );
  const mesh = meshClient({ config: file });
  cleanUp.push(async () => {
    await mesh.close();
    rmSync(folder, { recursive: true });
  });
  return mesh;
}

/** Calls until they spread as the reports say: 40, 20 and 10 of 70, give or take the turns that a look at the weights shifts. */
async function spreadsByLoad(call: () => Promise<number>): Promise<void> {
  await vi.waitFor(
    async () => {
      const spread = [0, 0, 0];
      for (let i = 0; i < CALLS; i++) {
        const server = await call();
        spread[server] = (spread[server] as number) + 1;
      }
      for (const [i, expected] of [40, 20, 10].entries())
        expect(Math.abs((spread[i] as number) - expected), `spread ${spread}`).toBeLessThanOrEqual(3);
    },
    { timeout: 20_000, interval: 1 },
  );
}

test('over HTTP, by what the heads of replies say', async () => {
  const ports: number[] = [];
  for (const [i, full] of FULL.entries()) {
    const server = createServer(
      meshHandler((_request: IncomingMessage, response: ServerResponse) => response.end(String(i)), {
        orca: { recorder: recorderFull(full) },
      }),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
    ports.push((server.address() as AddressInfo).port);
  }
  const mesh = meshOver(ports);
  await spreadsByLoad(async () => Number(await (await mesh.fetch('http://reviews/')).text()));
});

const { requestSerialize, responseDeserialize, path } = ECHO;

function grpcCalls(mesh: Mesh): () => Promise<number> {
  const client = new grpc.Client('reviews', grpc.credentials.createInsecure(), {
    channelOverride: mesh.channel('reviews'),
  });
  cleanUp.push(() => client.close());
  return () =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.from('x'), (error, reply) =>
        error === null ? resolve(Number(String(reply))) : reject(error),
      ),
    );
}

test('over gRPC, by what the trailers say', async () => {
  const ports: number[] = [];
  for (const [i, full] of FULL.entries()) {
    const interceptors = [meshServerInterceptor({ orca: { recorder: recorderFull(full) } })];
    const server = await orcaServer(undefined, {
      interceptors,
      echo: (_call, callback) => callback(null, Buffer.from(String(i))),
    });
    cleanUp.push(server.close);
    ports.push(server.port);
  }
  await spreadsByLoad(grpcCalls(meshOver(ports)));
});

test('over gRPC, by what the servers say out of band', async () => {
  const ports: number[] = [];
  const servers: grpc.Server[] = [];
  for (const [i, full] of FULL.entries()) {
    const orca = { recorder: recorderFull(full), minIntervalMs: 100 };
    const server = await orcaServer(orca, { echo: (_call, callback) => callback(null, Buffer.from(String(i))) });
    cleanUp.push(server.close);
    ports.push(server.port);
    servers.push(server.server);
  }
  const mesh = meshOver(ports, ', enableOobLoadReport: true, oobReportingPeriod: 100ms');
  await spreadsByLoad(grpcCalls(mesh));
  await mesh.close();
  // No stream is left to wait for.
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
  }
});
