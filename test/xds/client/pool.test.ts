import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MeshClosedError } from '../../../src/core/errors.js';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import { silentLogger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { bootstrapFor, type XdsServer } from '../../../src/xds/bootstrap/index.js';
import { XdsClientPool } from '../../../src/xds/client/index.js';
import type { CacheLease } from '../../../src/xds/resource-cache.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { decode, packed, Recorder, serverAt, until } from './harness.js';

let planes: ScriptedXds[];
let pool: XdsClientPool;
let clock: FakeClock;
let events: MeshEvent[];
let gauges: Map<string, () => number>;
beforeEach(async () => {
  planes = [await ScriptedXds.start(), await ScriptedXds.start()];
});
afterEach(async () => {
  await pool.close();
  for (const plane of planes) plane.close();
  expect(clock.pending).toBe(0);
  expect(gauges.size).toBe(0);
});

const first = (): ScriptedXds => planes[0] as ScriptedXds;
const second = (): ScriptedXds => planes[1] as ScriptedXds;
const bothServers = (): XdsServer[] => planes.map(({ uri }) => serverAt(uri));

function begin(servers: readonly XdsServer[], authorities: Record<string, readonly XdsServer[]> = {}): void {
  clock = new FakeClock();
  events = [];
  gauges = new Map();
  const random = { next: () => 0.5, int: () => 0 };
  const [server, ...rest] = servers as [XdsServer];
  const entries = Object.entries(authorities).map(([name, list]) => {
    const named = list as readonly [XdsServer];
    return [name, { servers: named, listenerTemplate: `xdstp://${name}/%s` }] as const;
  });
  pool = new XdsClientPool({
    bootstrap: {
      ...bootstrapFor(server.uri, { service: 'shop', random }),
      servers: [server, ...rest],
      authorities: new Map(entries),
    },
    decoders: { [LISTENER]: decode, [ROUTE]: decode, [CLUSTER]: decode, [ENDPOINT]: decode },
    clock,
    random,
    logger: silentLogger,
    meter: {
      ...noMeter,
      event: (event) => events.push(event),
      gauge: (name, labels, read) => {
        const key = [name, ...Object.values(labels)].join(' ');
        expect(gauges.has(key)).toBe(false);
        gauges.set(key, read);
        return () => gauges.delete(key);
      },
    },
  });
}

const watch = ({ cache }: CacheLease, name: string): Recorder => {
  const watcher = new Recorder();
  cache.watch(CLUSTER, name, watcher);
  return watcher;
};

let count = 0;
async function give(stream: XdsServerStream, names: string[], mark: string): Promise<void> {
  const nonce = `n${++count}`;
  const resources = names.map((name) => packed(CLUSTER, { name, alt_stat_name: mark }));
  stream.send({ type_url: CLUSTER, version_info: mark, nonce, resources });
  while ((await stream.next()).response_nonce !== nonce);
}
const marks = (watcher: Recorder): unknown[] =>
  watcher.values.map((value) => (value as { alt_stat_name?: string }).alt_stat_name);
const told = (kind: MeshEvent['kind']): unknown[] =>
  events.filter((event) => event.kind === kind).map((event) => (event as { server: string }).server);
const scopes = (): string[] => pool.dump().map(({ scope }) => scope);

/** The first has given `a` to the one target and `b` to the other, and is gone; then `b`'s wants `c` as well. */
async function oneFallsBack() {
  begin(bothServers());
  const [one, other] = [pool.lease('xds:///one'), pool.lease('xds:///other')];
  const a = watch(one, 'shared');
  const streamOfOne = await first().nextStream();
  await streamOfOne.next();
  await give(streamOfOne, ['shared'], 'first');
  const b = watch(other, 'shared');
  const streamOfOther = await first().nextStream();
  await streamOfOther.next();
  await give(streamOfOther, ['shared'], 'first');
  first().close();
  await until(() => told('xds:disconnected').length === 1);
  const c = watch(other, 'new');
  await clock.advance(1_000);
  const fallback = await second().nextStream();
  expect((await fallback.next()).resource_names).toEqual(['shared', 'new']);
  await give(fallback, ['shared', 'new'], 'second');
  return { one, other, a, b, c, fallback };
}

describe('with one server in each list', () => {
  test('all targets share a client, its cache and its stream, and so do servers', async () => {
    begin([serverAt(first().uri)]);
    const [one, other, servers] = [pool.lease('xds:///one'), pool.lease('xds:///other'), pool.lease('#server')];
    expect(one.cache).toBe(other.cache);
    expect(one.cache).toBe(servers.cache);
    watch(one, 'a');
    watch(other, 'b');
    expect((await (await first().nextStream()).next()).resource_names).toEqual(['a', 'b']);
    expect(first().unread).toBe(0);
    expect(scopes()).toEqual(['#client']);
  });

  test('the client stays when its last target has gone: the next one finds it connected', async () => {
    begin([serverAt(first().uri)]);
    const lease = pool.lease('xds:///one');
    await pool.ready();
    lease.release();
    expect(scopes()).toEqual(['#client']);
    expect(told('xds:disconnected')).toEqual([]);
  });

  test('a server that is named twice is one: there is nothing to fall back to', () => {
    begin([serverAt(first().uri), serverAt(first().uri)]);
    expect(pool.lease('xds:///one').cache).toBe(pool.lease('xds:///other').cache);
  });
});

describe('with a second server (gRFC A71)', () => {
  test('each target has a client of its own, by its name, and servers have one; leases of one target share it', () => {
    begin(bothServers());
    for (const target of ['xds:///one', 'xds:///other', '#server', 'xds:///one']) pool.lease(target);
    expect(scopes()).toEqual(['xds:///one', 'xds:///other', '#server']);
  });

  test('it is enough that one authority has a second server', () => {
    begin([serverAt(first().uri)], { east: bothServers() });
    for (const target of ['xds:///one', 'xds://east/one']) pool.lease(target);
    expect(scopes()).toEqual(['xds:///one', 'xds://east/one']);
  });

  test('one target falls back without the others', async () => {
    const { a, b, c } = await oneFallsBack();
    expect(marks(c)).toEqual(['second']);
    expect(marks(b)).toEqual(['first', 'second']);
    expect(marks(a)).toEqual(['first']);
    expect(a.told).toEqual(['changed', 'ambient']);
    expect(second().unread).toBe(0);
  });

  test('what the second server says is of the scope of the target that asks it; what the first said is everybody’s', async () => {
    const { one, other } = await oneFallsBack();
    expect(one.cache.scopeOf?.(CLUSTER, 'shared')).toBeUndefined();
    expect(other.cache.scopeOf?.(CLUSTER, 'shared')).toBe('xds:///other');
    expect(other.cache.scopeOf?.(CLUSTER, 'unknown')).toBeUndefined();
  });

  test('clients share the connection to a server: it is told of once, and ends with the last of them', async () => {
    begin(bothServers());
    const leases = [pool.lease('xds:///one'), pool.lease('xds:///other')] as const;
    for (const lease of leases) watch(lease, 'a');
    const peers = [(await first().nextStream()).peer, (await first().nextStream()).peer];
    expect(peers[0]).toBe(peers[1]);
    expect(gauges.has(`grpc.xds_client.connected xds:///other ${first().uri}`)).toBe(true);
    expect(told('xds:connected')).toEqual([first().uri]);
    leases[0].release();
    expect(told('xds:disconnected')).toEqual([]);
    leases[1].release();
    expect(told('xds:disconnected')).toEqual([first().uri]);
  });

  test('a client goes with the last lease of its target: stream, metrics and dump', async () => {
    begin(bothServers());
    const [one, again] = [pool.lease('xds:///one'), pool.lease('xds:///one')];
    watch(one, 'a');
    const stream = await first().nextStream();
    one.release();
    one.release();
    expect(scopes()).toEqual(['xds:///one']);
    again.release();
    await stream.ended;
    expect(scopes()).toEqual([]);
    expect(gauges.size).toBe(0);
  });

  test('is ready with the first contact, before there is a target; the target takes the connection over', async () => {
    begin(bothServers());
    await pool.ready();
    const waiting = await first().nextStream();
    watch(pool.lease('xds:///one'), 'a');
    expect((await (await first().nextStream()).next()).resource_names).toEqual(['a']);
    await waiting.ended;
    expect(scopes()).toEqual(['xds:///one']);
    expect(told('xds:disconnected')).toEqual([]);
    await pool.ready();
  });

  test('is ready by the second server when the first is dead', async () => {
    begin(bothServers());
    first().close();
    await pool.ready();
    await second().nextStream();
  });

  test('once it is closed a lease says so to whoever watches', async () => {
    begin(bothServers());
    const ready = pool.ready();
    await pool.close();
    await expect(ready).rejects.toThrow(MeshClosedError);
    expect(watch(pool.lease('xds:///one'), 'a').errors[0]).toBeInstanceOf(MeshClosedError);
    expect(scopes()).toEqual([]);
  });
});
