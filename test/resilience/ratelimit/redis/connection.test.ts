import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import type { LimitStore } from '../../../../src/core/limits.js';
import { silentLogger } from '../../../../src/core/log.js';
import { compiled } from '../../../support/compiled.js';
import { hasRedis, RedisServer, scratch, until } from '../../../support/redis.js';
import { RedisCluster } from '../../../support/redis-cluster.js';
import { startSentinel } from '../../../support/redis-sentinel.js';
import { selfSigned } from '../../../support/self-signed.js';
import { allowedOf, perYear, REF, storesOf } from './support.js';

const LIMIT = perYear(100);

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(args: readonly string[] = [], options: { readonly tls?: boolean } = {}): Promise<RedisServer> {
  const redis = await RedisServer.start(args, options);
  closing.push(() => redis.stop());
  return redis;
}

function open(option: unknown, tell: (message: string) => void = () => {}): LimitStore {
  const store = storesOf(option, { logger: { ...silentLogger, info: tell, warn: tell } }).open(REF);
  closing.push(() => store.close());
  return store;
}

describe.skipIf(!hasRedis())('a connection to Redis', () => {
  it('is one for all rules that name the same, and ends with the last of them', async () => {
    const redis = await start();
    const stores = storesOf(redis.url);
    const [a, b] = [
      stores.open(REF),
      stores.open({ ...REF, timeoutMs: 5_000, lease: { maxPermits: 2, ttlMs: 1_000 } }),
    ];
    await Promise.all([a.take('k', LIMIT, 1), b.take('k', LIMIT, 1)]);
    const named = async (): Promise<number> =>
      String(await redis.admin.client('LIST'))
        .split('\n')
        .filter((line) => line.includes('name=inmesh')).length;
    expect(await named()).toBe(1);
    await a.close();
    expect((await b.take('k', LIMIT, 1)).allowed).toBe(true);
    await b.close();
    await expect(b.take('other', LIMIT, 1)).rejects.toThrow('closed');
    while ((await named()) > 0);
  });

  it('waits for no answer before it sends the next question', async () => {
    const redis = await start();
    let hold = false;
    let questions = 0;
    const held: Buffer[] = [];
    const middle = createServer((socket) => {
      const mine = connect(redis.port, '127.0.0.1').on('error', () => {});
      socket.on('error', () => {}).on('close', () => mine.destroy());
      socket.on('data', (bytes) => {
        questions += String(bytes).split('evalsha').length - 1;
        mine.write(bytes);
        if (questions < 100 || !hold) return;
        hold = false;
        for (const answer of held) socket.write(answer);
      });
      mine.on('data', (bytes) => (hold ? held.push(bytes) : socket.write(bytes)));
    }).listen(0, '127.0.0.1');
    closing.push(() => middle.close());
    await once(middle, 'listening');
    const store = open(`redis://127.0.0.1:${(middle.address() as AddressInfo).port}`);
    await store.take('k', LIMIT, 1);
    hold = true;
    questions = 0;
    const states = await Promise.all(Array.from({ length: 100 }, () => store.take('k', LIMIT, 1)));
    expect(allowedOf(states)).toBe(99);
  });

  it('sends a script again to a server that has forgotten it, and counts once', async () => {
    const redis = await start();
    const store = open(redis.url);
    expect((await store.take('k', LIMIT, 1)).remaining).toBe(99);
    await redis.admin.script('FLUSH');
    expect((await store.take('k', LIMIT, 1)).remaining).toBe(98);
  });

  it('signs in with the user and the password of the URL or of the options', async () => {
    const redis = await start(['--user', 'default', 'off', '--user', 'limits', 'on', '>p@ss', '~inmesh:*', '+@all']);
    const at = `127.0.0.1:${redis.port}`;
    const own = open(`redis://limits:p%40ss@${at}`);
    expect((await own.take('k', LIMIT, 1)).allowed).toBe(true);
    const options = open({ url: `redis://${at}`, username: 'limits', password: 'p@ss' });
    expect((await options.take('k', LIMIT, 1)).remaining).toBe(98);
    const wrong = open(`redis://limits:secret@${at}`);
    const refused = Promise.resolve(wrong.take('k', LIMIT, 1));
    await expect(refused).rejects.toThrow(/not connected: WRONGPASS/);
    await expect(refused).rejects.not.toThrow('secret');
  });

  it('speaks TLS, and gives a certificate where the server asks for one', async (context) => {
    const { folder, remove } = await scratch('redis-tls');
    closing.push(remove);
    const server = selfSigned(folder, 'server');
    const client = selfSigned(folder, 'client');
    if (server === undefined || client === undefined) return context.skip('no openssl');
    const files = ['--tls-cert-file', server.cert, '--tls-key-file', server.key, '--tls-ca-cert-file', client.cert];
    const redis = await start([...files, '--tls-auth-clients', 'yes'], { tls: true });
    const url = `rediss://127.0.0.1:${redis.port}`;
    const ca = readFileSync(server.cert);
    const tls = { ca, cert: readFileSync(client.cert), key: readFileSync(client.key) };
    expect((await open({ url, tls }).take('k', LIMIT, 1)).allowed).toBe(true);
    await expect(open({ url, tls: { ...tls, ca: tls.cert } }).take('k', LIMIT, 1)).rejects.toThrow(/not connected: /);
    await expect(open({ url, tls: { ca } }).take('k', LIMIT, 1)).rejects.toThrow('redis "default"');
    await expect(open(`redis://127.0.0.1:${redis.port}`).take('k', LIMIT, 1)).rejects.toThrow('redis "default"');
  });

  it('speaks TLS to every node of a cluster, and trusts none without', async (context) => {
    const { folder, remove } = await scratch('redis-cluster-tls');
    closing.push(remove);
    const server = selfSigned(folder, 'server');
    if (server === undefined) return context.skip('no openssl');
    const cluster = await RedisCluster.start(server);
    closing.push(() => cluster.stop());
    const urls = cluster.tlsUrls.slice(0, 1);
    const store = open({ urls, tls: { ca: readFileSync(server.cert) } });
    const keys = Array.from({ length: 60 }, (_, n) => `tls ${n}`);
    expect(allowedOf(await Promise.all(keys.map((key) => store.take(key, LIMIT, 1))))).toBe(60);
    const counts = await Promise.all(cluster.masters.map(({ admin }) => admin.dbsize()));
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(counts.reduce((a, b) => a + b)).toBe(60);
    await expect(open({ urls }).take('k', LIMIT, 1)).rejects.toThrow('redis "default"');
  });

  it("uses a client of the application's, whatever its options, and leaves it open", async () => {
    const redis = await start();
    const client = new Redis(redis.port, '127.0.0.1');
    closing.push(() => client.disconnect());
    const store = open(client);
    expect((await store.take('k', LIMIT, 1)).remaining).toBe(99);
    await store.close();
    expect(await client.ping()).toBe('PONG');
  });

  it('follows the sentinels to the master that they promote', async () => {
    const master = await start();
    const replica = await start(['--replicaof', `127.0.0.1 ${master.port}`]);
    await until(async () => (await replica.admin.info('replication')).includes('master_link_status:up'), 'it follows');
    const sentinel = await startSentinel(master);
    closing.push(() => sentinel.stop());
    const store = open({ urls: [sentinel.url], sentinel: 'main' });
    expect((await store.take('k', LIMIT, 1)).remaining).toBe(99);
    // A sentinel learns of replicas from the master, every ten seconds or when it is asked to begin anew.
    await until(async () => (await replica.admin.get('inmesh:calendar:year:UTC:k')) !== null, 'it has the count');
    const admin = new Redis(Number(new URL(sentinel.url).port), '127.0.0.1');
    closing.push(() => admin.disconnect());
    await until(
      async () => ((await admin.call('sentinel', 'replicas', 'main')) as unknown[]).length === 1,
      'it is known',
    );
    await master.kill();
    await until(
      () =>
        Promise.resolve(store.take('k', LIMIT, 1)).then(
          ({ remaining }) => remaining === 98,
          () => false,
        ),
      'the new master counts on',
    );
  });

  it('leaves a master that became a replica for the one that its name leads to, though the connection was kept', async () => {
    const [old, next] = [await start(), await start()];
    let target = old;
    let connections = 0;
    const name = createServer((socket) => {
      connections++;
      const mine = connect(target.port, '127.0.0.1').on('error', () => {});
      socket.on('error', () => {}).on('close', () => mine.destroy());
      socket.pipe(mine).pipe(socket);
    }).listen(0, '127.0.0.1');
    closing.push(() => name.close());
    await once(name, 'listening');
    const told: string[] = [];
    const tell = (message: string): void => void told.push(message);
    const store = open(`redis://127.0.0.1:${(name.address() as AddressInfo).port}`, tell);
    expect((await store.take('k', LIMIT, 1)).remaining).toBe(99);
    await next.admin.replicaof('127.0.0.1', old.port);
    await until(async () => (await next.admin.get('inmesh:calendar:year:UTC:k')) !== null, 'it has the count');
    await next.admin.replicaof('NO', 'ONE');
    await old.admin.replicaof('127.0.0.1', next.port);
    await expect(store.take('k', LIMIT, 1)).rejects.toThrow(/READONLY/);
    const taken = (): Promise<boolean> =>
      Promise.resolve(store.take('k', LIMIT, 1)).then(
        ({ remaining }) => remaining === 98,
        () => false,
      );
    // The name still leads to the old one: it is asked for again and again, and told of once.
    await until(async () => !(await taken()) && connections > 3, 'it is tried again');
    target = next;
    await until(taken, 'the new master counts on');
    expect(told).toEqual([
      expect.stringMatching(/READONLY.*trying again until it is back$/),
      expect.stringMatching(/connected again$/),
    ]);
  });

  it.each(['server', 'cluster'])('to a %s keeps no process from ending', async (kind) => {
    const cluster = kind === 'cluster' ? await RedisCluster.start() : undefined;
    if (cluster !== undefined) closing.push(() => cluster.stop());
    const urls = cluster?.urls ?? [(await start()).url];
    const child = fork(await compiled(join(import.meta.dirname, 'idle-process.ts')), [...urls], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    child.disconnect();
    let said = '';
    child.stdout?.on('data', (bytes) => (said += String(bytes)));
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    await until(() => said === 'true\n', 'it was let through');
  });

  it('refuses at once when too many wait already', async () => {
    const redis = await start();
    const store = open(redis.url);
    await store.take('k', LIMIT, 1);
    redis.stall();
    const waiting = Array.from({ length: 10_000 }, () => Promise.resolve(store.take('k', LIMIT, 1)));
    await expect(store.take('k', LIMIT, 1)).rejects.toThrow('10000 decisions wait for it already');
    redis.goOn();
    expect(allowedOf(await Promise.all(waiting))).toBe(99);
  });
});
