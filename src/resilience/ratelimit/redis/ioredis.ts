import type { Cluster, Redis, RedisOptions as Settings } from 'ioredis';
import type { RedisClient, RedisTarget } from './options.js';

/** A client of ioredis that is connected. */
export interface OpenRedis {
  readonly client: RedisClient;
  close(): void;
}

/** No byte for so long while some are owed: the server stalls, or the network lost the connection. Milliseconds. */
const SILENCE_MS = 2_000;

type Servers = Extract<RedisTarget, { readonly kind: 'servers' }>;

const load = () =>
  import('ioredis').catch((cause: unknown) => {
    throw new Error('limits in Redis need the package ioredis, which is not installed: npm install ioredis', { cause });
  });

/**
 * Connects once; `lost` is told, once, when that connection is over. Nothing is kept for later or sent twice: a command that cannot be sent now fails now,
 * since whoever asked has an answer of his own by then.
 *
 * Each command is written at once, and none waits for the answer to one before it. Neither ioredis's automatic pipelining, nor one write for all commands of a
 * tick, costs less CPU, and both make the server wait for the last of a hundred before it begins with the first: a half to a third of the decisions a second.
 */
export async function openRedis(target: Servers, lost: (cause: Error | undefined) => void): Promise<OpenRedis> {
  const { Redis, Cluster } = await load();
  const common = {
    username: target.username,
    password: target.password,
    db: target.db,
    tls: target.tls === undefined ? undefined : ({ ...target.tls } as NonNullable<Settings['tls']>),
    connectTimeout: target.connectTimeoutMs,
    socketTimeout: SILENCE_MS,
    keepAlive: 10_000,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectionName: 'inmesh',
  } satisfies Settings;
  let client: Redis | Cluster;
  if (target.mode === 'cluster') {
    const cluster = new Cluster([...target.nodes], {
      lazyConnect: true,
      // Nodes are connected to when they are first needed, and the commands that need them wait for that: as long as who asked.
      enableOfflineQueue: true,
      redisOptions: common,
      clusterRetryStrategy: () => null,
      // Zero: at once or not at all, as above.
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      slotsRefreshTimeout: target.connectTimeoutMs,
      // A MOVED refreshes them; a timer would keep the process from ending.
      slotsRefreshInterval: 0,
    });
    client = cluster.on('+node', letEnd);
  } else {
    const where =
      target.mode === 'sentinel'
        ? {
            sentinels: [...target.nodes],
            name: target.sentinel as string,
            sentinelRetryStrategy: () => null,
            ...(common.tls === undefined ? {} : { sentinelTLS: common.tls, enableTLSForSentinelMode: true }),
          }
        : target.nodes[0];
    const redis = new Redis({
      ...common,
      ...where,
      lazyConnect: true,
      enableOfflineQueue: false,
      retryStrategy: () => null,
    });
    letEnd(redis);
    client = redis;
  }
  return connect(client, lost);
}

/** An idle connection does not keep the process from ending: who waits for an answer has a timer that does. */
const letEnd = (redis: Redis): void => void redis.on('connect', () => redis.stream.unref());

async function connect(client: Redis | Cluster, lost: (cause: Error | undefined) => void): Promise<OpenRedis> {
  let cause: Error | undefined;
  let open = false;
  client.on('error', (error: Error) => {
    cause = error;
  });
  client.once('end', () => {
    if (open) lost(cause);
  });
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw cause ?? error;
  }
  open = true;
  return {
    client: client as unknown as RedisClient,
    close() {
      open = false;
      client.disconnect();
    },
  };
}
