import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RateLimitServerOptions, rateLimitServer, startControlPlane } from '../../../src/controlplane/index.js';
import type { LimitStore } from '../../../src/core/limits.js';
import { RLS_METHOD } from '../../../src/core/rls.js';
import { hasRedis, RedisServer } from '../../support/redis.js';
import { RlsClient, requestOf } from './support.js';

const OK = 1;
const OVER_LIMIT = 2;

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-rls-'));
  cleanups.push(() => rm(folder, { recursive: true }));
});

const limitOf = (requests: number): string =>
  `{ domain: edge, descriptors: [{ key: user, rate_limit: { unit: year, requests_per_unit: ${requests} } }] }`;

async function write(text: string): Promise<string> {
  const path = join(folder, 'limits.yaml');
  await writeFile(path, text);
  return path;
}

async function serve(text: string, more: { readonly rateLimitRedis?: string } = {}) {
  const path = await write(text);
  const plane = await startControlPlane({ rateLimits: path, listen: '127.0.0.1:0', ...more });
  cleanups.push(() => plane.close());
  const client = new RlsClient(plane.port);
  cleanups.push(() => client.close());
  const code = async (descriptor = 'user=ann') => (await client.ask(requestOf('edge', descriptor))).overallCode;
  return { plane, client, code };
}

/** Until `check` holds; a file is noticed when the system says so. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test('it answers on the port of the control plane, whoever asks', async () => {
  const { plane, code } = await serve(limitOf(2));
  expect([await code(), await code(), await code()]).toEqual([OK, OK, OVER_LIMIT]);
  expect(await code('user=bob')).toBe(OK);
  expect(plane.status()).toMatchObject({ ready: true, rateLimits: { ready: true, domains: ['edge'] } });
});

test('a file that changes is taken over, and the counts go on', async () => {
  const { plane, code } = await serve(limitOf(1));
  expect([await code(), await code()]).toEqual([OK, OVER_LIMIT]);
  await write(`${limitOf(3)}\n---\ndomain: other`);
  await until(() => plane.status().rateLimits?.domains.length === 2);
  expect([await code(), await code(), await code()]).toEqual([OK, OK, OVER_LIMIT]);
});

test('a broken edit leaves the limits before in force, and its mistakes are in the status', async () => {
  const { plane, code } = await serve(limitOf(1));
  await write('domain: edge\ndescriptor: []');
  await until(() => plane.status().rateLimits?.refused !== undefined);
  const { ready, rateLimits } = plane.status();
  expect(ready).toBe(true);
  expect(rateLimits?.refused).toEqual([expect.stringContaining('limits.yaml:2:1 descriptor: unknown field')]);
  expect([await code(), await code()]).toEqual([OK, OVER_LIMIT]);
});

test('a file that is broken from the start answers nobody until it is mended', async () => {
  const { plane, code } = await serve('domain: 5 5\nx: 1');
  expect(plane.status().ready).toBe(false);
  await expect(code()).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: 'no good rate limit configuration has been loaded',
  });
  await write(limitOf(1));
  await until(() => plane.status().ready);
  expect(await code()).toBe(OK);
});

describe('what cannot be answered', () => {
  test('is said to be the asker’s fault where it is', async () => {
    const { client } = await serve(limitOf(1));
    await expect(client.ask(requestOf('', 'user=ann'))).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(client.ask(requestOf('edge'))).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test('is said to be ours where the counts cannot be had', async () => {
    const store: LimitStore = { take: () => Promise.reject(new Error('redis is gone')), close() {} };
    const { ask } = await serveAlone({ store });
    await expect(ask()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('redis is gone'),
    });
  });

  test('are bytes that are no request, and the next one is answered', async () => {
    const { plane, code } = await serve(limitOf(1));
    const client = new Client(`127.0.0.1:${plane.port}`, credentials.createInsecure());
    cleanups.push(() => client.close());
    const raw = (bytes: Buffer) => bytes;
    const error = await new Promise((resolve) => {
      client.makeUnaryRequest(RLS_METHOD, raw, raw, Buffer.from([10, 200]), (failed) => resolve(failed));
    });
    expect(error).toMatchObject({ code: status.INTERNAL, details: 'Error deserializing request' });
    expect(await code()).toBe(OK);
  });
});

test('its store is closed with it', async () => {
  let closed = 0;
  const state = { allowed: true, limit: 1, remaining: 0, resetMs: 0, retryAfterMs: 0 };
  const store: LimitStore = { take: () => state, close: () => void closed++ };
  const { limits } = await serveAlone({ store });
  await limits.close();
  expect(closed).toBe(1);
});

test('it stands beside ADS: configuration and rate limits each are ready or not', async () => {
  const rateLimits = await write(limitOf(1));
  const services = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'reviews' },
    spec: { ports: [{ port: 80 }] },
  };
  const config = join(folder, 'mesh.json');
  await writeFile(config, JSON.stringify(services));
  const plane = await startControlPlane({ config, rateLimits, listen: '127.0.0.1:0' });
  cleanups.push(() => plane.close());
  expect(plane.status()).toMatchObject({ ready: true, configuration: {}, rateLimits: { ready: true } });
  await write('domain: ""');
  await until(() => plane.status().rateLimits?.refused !== undefined);
  expect(plane.status()).toMatchObject({ ready: true, rateLimits: { ready: true } });
});

test('a control plane with nothing to serve is refused', async () => {
  await expect(startControlPlane({ listen: '127.0.0.1:0' })).rejects.toThrow(
    'give config, resources, rateLimits or ca',
  );
});

/** On a gRPC server of the application's own. */
async function serveAlone(options: Partial<RateLimitServerOptions> = {}, text = limitOf(1)) {
  const limits = await rateLimitServer({ config: await write(text), ...options });
  cleanups.push(() => limits.close());
  const server = new Server();
  cleanups.push(() => server.forceShutdown());
  server.addService(limits.definition, limits.implementation);
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  const client = new RlsClient(port);
  cleanups.push(() => client.close());
  return { limits, ask: async () => (await client.ask(requestOf('edge', 'user=ann'))).overallCode };
}

test('a gRPC server of the application’s own can serve it', async () => {
  const { limits, ask } = await serveAlone();
  expect([await ask(), await ask()]).toEqual([OK, OVER_LIMIT]);
  await limits.close();
  await expect(ask()).rejects.toMatchObject({ details: 'the service is closing' });
});

describe.skipIf(!hasRedis())('with its counts in Redis', () => {
  test('two services count together, and neither answers while Redis is gone', async () => {
    const redis = await RedisServer.start();
    cleanups.push(() => redis.stop());
    const one = await serve(limitOf(3), { rateLimitRedis: redis.url });
    const other = await serveAlone({ redis: redis.url }, limitOf(3));
    expect([await one.code(), await other.ask(), await other.ask()]).toEqual([OK, OK, OK]);
    expect([await one.code(), await other.ask()]).toEqual([OVER_LIMIT, OVER_LIMIT]);
    await redis.kill();
    await expect(one.code()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await redis.resume();
    for (;;) if ((await one.code().catch(() => undefined)) === OK) break;
  });
});

test('a Redis that cannot be meant is refused, and so are a Redis and a store', async () => {
  const config = await write(limitOf(1));
  await expect(rateLimitServer({ config, redis: 'http://x' })).rejects.toThrow('options.redis');
  await expect(rateLimitServer({ config, redis: 'redis://x', store: {} as never })).rejects.toThrow('and not both');
});

test('options that are not known are refused', async () => {
  await expect(rateLimitServer({ config: 'x', stroe: 1 } as never)).rejects.toThrow('did you mean "store"?');
});
