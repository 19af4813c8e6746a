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
 * since whoever asked has an answer of his own by then. Commands of one tick leave together, but for EVAL: what a node of a cluster sent elsewhere (MOVED,
 * ASK) is sent again by itself, and only then does ioredis follow.
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
  const shared = {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    autoPipeliningIgnoredCommands: ['eval'],
  };
  let client: Redis | Cluster;
  if (target.mode === 'cluster') {
    client = new Cluster([...target.nodes], {
      ...shared,
      redisOptions: common,
      clusterRetryStrategy: () => null,
      // Zero: at once or not at all, as above.
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      slotsRefreshTimeout: target.connectTimeoutMs,
      // A MOVED refreshes them; a timer would keep the process from ending.
      slotsRefreshInterval: 0,
    });
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
    client = new Redis({ ...common, ...shared, ...where, retryStrategy: () => null });
  }
  return connect(client, lost);
}

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
