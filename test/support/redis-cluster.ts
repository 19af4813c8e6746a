import { freePort, RedisServer, scratch, until } from './redis.js';
import type { SelfSigned } from './self-signed.js';

const SLOTS = 16_384;

/** Three masters on loopback that share the slots, started by the test. */
export class RedisCluster {
  private constructor(
    readonly masters: readonly RedisServer[],
    /** `rediss:`, of nodes that speak TLS, too. */
    readonly tlsUrls: readonly string[],
    private readonly remove: () => Promise<void>,
  ) {}

  /** `tls`: clients may speak it, and the nodes speak it with each other. */
  static async start(tls?: SelfSigned): Promise<RedisCluster> {
    const { folder, remove } = await scratch('redis-cluster');
    const masters: RedisServer[] = [];
    const tlsUrls: string[] = [];
    for (let n = 0; n < 3; n++) {
      const files = ['--dir', folder, '--cluster-config-file', `nodes-${n}.conf`];
      const bus = [
        '--cluster-enabled',
        'yes',
        '--cluster-port',
        String(await freePort()),
        '--cluster-node-timeout',
        '2000',
      ];
      if (tls !== undefined) {
        const port = String(await freePort());
        bus.push(
          '--tls-port',
          port,
          '--tls-cluster',
          'yes',
          '--tls-auth-clients',
          'no',
          '--tls-ca-cert-file',
          tls.cert,
        );
        bus.push('--tls-cert-file', tls.cert, '--tls-key-file', tls.key);
        tlsUrls.push(`rediss://127.0.0.1:${port}`);
      }
      masters.push(await RedisServer.start([...bus, ...files]));
    }
    const cluster = new RedisCluster(masters, tlsUrls, remove);
    const share = Math.ceil(SLOTS / masters.length);
    const [first] = masters as [RedisServer];
    for (const [n, { admin }] of masters.entries()) {
      await admin.call('cluster', 'addslotsrange', n * share, Math.min(SLOTS, (n + 1) * share) - 1);
      if (n === 0) continue;
      const config = (await first.admin.call('config', 'get', 'cluster-port')) as string[];
      await admin.call('cluster', 'meet', '127.0.0.1', first.port, config[1] as string);
    }
    await until(async () => {
      const states = await Promise.all(masters.map(({ admin }) => admin.cluster('INFO')));
      return states.every((state) => state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:3'));
    }, 'the cluster is whole');
    return cluster;
  }

  get urls(): readonly string[] {
    return this.masters.map(({ url }) => url);
  }

  /** Which master has the key's slot. */
  async ownerOf(key: string): Promise<number> {
    const slot = await this.slotOf(key);
    const ranges = (await this.masters[0]?.admin.cluster('SLOTS')) ?? [];
    const port = ranges.find(([from, to]) => slot >= from && slot <= to)?.[2]?.[1];
    return this.masters.findIndex((master) => master.port === port);
  }

  async slotOf(key: string): Promise<number> {
    return Number(await this.masters[0]?.admin.cluster('KEYSLOT', key));
  }

  /** Moves the slot of the key with all that is in it, step by step as `redis-cli --cluster reshard` does; `between` runs while it is half done. */
  async move(key: string, from: number, to: number, between: () => Promise<void> = async () => {}): Promise<void> {
    const [source, target] = [this.masters[from] as RedisServer, this.masters[to] as RedisServer];
    const slot = await this.slotOf(key);
    const [sourceId, targetId] = await Promise.all([source, target].map(({ admin }) => admin.call('cluster', 'myid')));
    await target.admin.call('cluster', 'setslot', slot, 'importing', sourceId as string);
    await source.admin.call('cluster', 'setslot', slot, 'migrating', targetId as string);
    await between();
    const keys = (await source.admin.cluster('GETKEYSINSLOT', slot, 1_000)) as string[];
    for (const each of keys) await source.admin.call('migrate', '127.0.0.1', target.port, each, 0, 5_000);
    await between();
    await target.admin.call('cluster', 'setslot', slot, 'node', targetId as string);
    await source.admin.call('cluster', 'setslot', slot, 'node', targetId as string);
  }

  async stop(): Promise<void> {
    await Promise.all(this.masters.map((master) => master.stop()));
    await this.remove();
  }
}
