import { beforeEach, describe, expect, test } from 'vitest';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { aReply } from '../../support/calls.js';
import { hash64 } from '../../support/balancing.js';
import { failoverClient, once } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { checkConfig, httpCheck } from '../../support/health.js';
import { recordingLogger } from '../../support/outliers.js';
import { anEndpoint } from '../../support/endpoints.js';
import { aCluster, aTarget } from '../../support/targets.js';

/* gRFC A68 chooses before there are subchannels: whatever connects, asks, looks or picks knows the subset only. */

const SIZE = 5;
const at = (i: number): string => `10.0.0.${i + 1}:80`;
const fleet = (more: (i: number) => Partial<EndpointConfig> = () => ({})): EndpointConfig[] =>
  Array.from({ length: 60 }, (_, i) => anEndpoint(at(i), more(i)));
const warm = { warm: 1, maxLifetimeMs: 0, maxRequests: 0, keepAlive: undefined };

let client: ReturnType<typeof failoverClient>;
const use = async (endpoints: readonly EndpointConfig[], more: Partial<ClusterConfig> = {}): Promise<void> => {
  const first = client.source.watchers.has('reviews') ? undefined : client.call().catch(() => {});
  const aperture = { kind: 'random_subsetting', size: SIZE } as const;
  const cluster = aCluster('reviews', [], { balancer: { kind: 'round_robin' }, aperture, ...more });
  client.source.of('reviews').changed(aTarget([once()], [{ ...cluster, endpoints }]));
  await first;
  await settle();
};
/** Endpoints that anything was opened to. */
const opened = (): ReadonlySet<string> => new Set(client.opened.map((line) => line.split(' ')[1] as string));
const calls = async (count = 60): Promise<ReadonlySet<string>> => {
  client.took();
  for (let i = 0; i < count; i++) await client.call().catch(() => {});
  return new Set(client.took());
};

beforeEach(() => {
  client = failoverClient({
    env: { hash64 },
    answer: (_endpoint, { path }) => (path.startsWith('/grpc.health') ? new Promise(() => {}) : aReply()),
  });
});

describe('a client that uses five of sixty endpoints', () => {
  test.each<[string, Partial<ClusterConfig>]>([
    ['calls', {}],
    ['connections that are wanted ahead', { connections: warm }],
    ['the health watch', { healthWatch: { service: '' } }],
    ['active checks', { healthChecks: [checkConfig(httpCheck())] }],
  ])('opens connections to these five only, whatever wants them: %s', async (_, more) => {
    await use(fleet(), more);
    expect((await calls()).size).toBe(SIZE);
    expect(opened().size).toBe(SIZE);
  });

  test('looks at these five only when none of them can be reached: those that fail do not move the subset', async () => {
    await use(fleet());
    const used = await calls();
    for (let i = 0; i < 60; i++) client.down.add(at(i));
    client.looked();
    for (let i = 0; i < 30; i++) {
      await client.call().catch(() => {});
      await client.clock.advance(1_000);
    }
    expect(new Set([...client.took(), ...client.looked()])).toEqual(used);
    for (const key of used) client.down.delete(key);
    await client.clock.advance(120_000);
    await calls(10);
    expect(await calls()).toEqual(used);
  });

  test('closes the connections of one that leaves the subset, and knows nothing of its health when it is back', async () => {
    await use(fleet(), { connections: warm });
    const used = await calls();
    const [gone] = used;
    const without = fleet().filter(({ key }) => key !== gone);
    client.closed.length = 0;
    await use(without, { connections: warm });
    expect(client.closed).toEqual([gone]);
    const after = await calls();
    expect(after.size).toBe(SIZE);
    const [entered, ...more] = [...after].filter((key) => !used.has(key));
    expect(more).toEqual([]);
    const [cluster] = client.destinations.clusters.list();
    cluster?.endpoints.find(({ key }) => key === entered)?.health.eject(0);
    expect((await calls()).has(entered as string)).toBe(false);
    client.closed.length = 0;
    await use(fleet(), { connections: warm });
    expect(client.closed).toEqual([entered]);
    expect(await calls()).toEqual(used);
    await use(without, { connections: warm });
    expect(await calls()).toEqual(after);
  });

  test('uses all sixty, and tells of it, when what ranks them is not there', async () => {
    const { logger, lines } = recordingLogger();
    client = failoverClient({ env: { logger } });
    await use(fleet());
    expect((await calls()).size).toBe(60);
    expect(lines.map(({ message }) => message)).toEqual([
      'cluster "reviews": its subset cannot be chosen; all endpoints are used',
    ]);
  });

  test('chooses anew when it is to use more, and all when it is told of no subset any more', async () => {
    await use(fleet());
    const used = await calls();
    await use(fleet(), { aperture: { kind: 'random_subsetting', size: 8 } });
    const more = await calls();
    expect(more.size).toBe(8);
    expect([...used].every((key) => more.has(key))).toBe(true);
    await use(fleet(), { aperture: undefined });
    expect((await calls()).size).toBe(60);
    await use(fleet());
    expect(await calls()).toEqual(used);
  });

  test('uses none that the control plane calls unhealthy, and as many as before', async () => {
    await use(fleet((i) => (i < 50 ? { health: 'unhealthy' } : {})));
    const used = await calls();
    expect(used.size).toBe(SIZE);
    const well = new Set(Array.from({ length: 10 }, (_, i) => at(50 + i)));
    expect([...used].filter((key) => !well.has(key))).toEqual([]);
  });

  test('counts all of a priority when it shares calls among priorities: ten of sixty are a sixth, though it uses five', async () => {
    const spare = Array.from({ length: 10 }, (_, i) => anEndpoint(`10.0.1.${i + 1}:80`, { priority: 1 }));
    await use([...fleet((i) => (i < 50 ? { health: 'unhealthy' } : {})), ...spare], {
      priorities: { overprovisioningFactor: 1.4 },
      panicThreshold: 0.1,
    });
    client.took();
    for (let i = 0; i < 1_000; i++) await client.call();
    const share = client.took().filter((key) => key.startsWith('10.0.0.')).length / 1_000;
    // 1.4 ÷ 6 = 23 %, within five standard deviations of 1,000 calls.
    expect(Math.abs(share - 0.23)).toBeLessThan(0.067);
  });

  test('keeps a session that another client has bound to an endpoint that this one does not use (A55)', async () => {
    await use(fleet());
    const used = await calls();
    const other = fleet().find(({ key }) => !used.has(key))?.key as string;
    const [cluster] = client.destinations.clusters.list();
    expect(cluster?.hasSession({ affinity: other } as never)).toBe(true);
  });
});
