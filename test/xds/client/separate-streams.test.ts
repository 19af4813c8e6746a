import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType } from '../../../src/core/resources.js';
import type { ApiType, XdsServer } from '../../../src/xds/bootstrap/index.js';
import { settle } from '../../support/fake-clock.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, NO_FEATURES, packed, Recorder, serverAt, startWith, until } from './harness.js';

let planes: ScriptedXds[];
let harness: Harness;
beforeEach(async () => {
  planes = [await ScriptedXds.start(), await ScriptedXds.start()];
});
afterEach(async () => {
  await harness.client.close();
  expect(harness.clock.pending).toBe(0);
  for (const plane of planes) plane.close();
});

const first = (): ScriptedXds => planes[0] as ScriptedXds;
const second = (): ScriptedXds => planes[1] as ScriptedXds;

function begin(apiType: ApiType, server: Partial<XdsServer> = {}, servers: readonly ScriptedXds[] = [first()]): void {
  const [a, ...more] = servers.map(({ uri }) => serverAt(uri, { apiType, ...server }));
  if (a === undefined) throw new Error('a server is needed');
  harness = startWith({ servers: [a, ...more] });
}

const watch = (type: ResourceType, name: string): Recorder => {
  const watcher = new Recorder();
  harness.client.watch(type, name, watcher);
  return watcher;
};

const named = (type: ResourceType, name: string, mark: string) =>
  packed(type, {
    [type === ENDPOINT ? 'cluster_name' : 'name']: name,
    ...(type === CLUSTER ? { alt_stat_name: mark } : {}),
  });

let count = 0;
/** Sends resources of the type, with `mark` in them, and takes the answer. */
async function give(stream: XdsServerStream, type: ResourceType, names: string[], mark = '') {
  const nonce = `n${++count}`;
  const bodies = names.map((name) => ({ name, version: nonce, resource: named(type, name, mark) }));
  const isDelta = stream.method.startsWith('Delta');
  const resources = isDelta ? bodies : bodies.map(({ resource }) => resource);
  stream.send({ type_url: type, nonce, ...(isDelta ? {} : { version_info: nonce }), resources } as never);
  for (;;) {
    const request = await stream.next();
    if (request.response_nonce === nonce) return request;
  }
}

/** The streams that the server has been asked on, by the end of their method, each with its first request taken. */
async function streams<T extends string>(plane: ScriptedXds, ...kinds: T[]): Promise<Record<T, XdsServerStream>> {
  const found: Partial<Record<string, XdsServerStream>> = {};
  for (const _ of kinds) {
    const stream = await plane.nextStream();
    found[stream.method.replace(/^(Stream|Delta)/, '')] = stream;
    await stream.next();
  }
  return found as Record<T, XdsServerStream>;
}

describe('of streams for each type', () => {
  test('one that has to go without delta leaves the others as they are: what is not in their increments is not deleted', async () => {
    begin('DELTA_GRPC', { features: { ...NO_FEATURES, failOnDataErrors: true } });
    const a = watch(CLUSTER, 'a');
    const b = watch(CLUSTER, 'b');
    const { Clusters } = await streams(first(), 'Clusters');
    await give(Clusters, CLUSTER, ['a', 'b']);
    watch(ENDPOINT, 'e');
    const { Endpoints } = await streams(first(), 'Endpoints');
    Endpoints.fail(12, 'no delta of endpoints');
    expect((await first().nextStream()).method).toBe('StreamEndpoints');
    await give(Clusters, CLUSTER, ['b'], 'other');
    expect(a.told).toEqual(['changed']);
    expect(b.told).toEqual(['changed', 'changed']);
  });

  test('one that is out of reach is no less so because another has a response, and watches on that one are not told', async () => {
    begin('GRPC');
    const cluster = watch(CLUSTER, 'c');
    const endpoint = watch(ENDPOINT, 'e');
    const { Clusters, Endpoints } = await streams(first(), 'Clusters', 'Endpoints');
    await give(Endpoints, ENDPOINT, ['e']);
    Endpoints.end();
    await until(() => harness.clock.pending > 1);
    await harness.clock.advance(1_000);
    (await streams(first(), 'Endpoints')).Endpoints.fail(14, 'endpoints are down');
    await until(() => endpoint.told.length === 2);
    expect(endpoint.told).toEqual(['changed', 'ambient']);
    await give(Clusters, CLUSTER, ['c']);
    expect(endpoint.told).toEqual(['changed', 'ambient']);
    const another = watch(CLUSTER, 'd');
    await Clusters.next();
    expect(another.told).toEqual([]);
    expect(cluster.told).toEqual(['changed']);
    const late = watch(ENDPOINT, 'late');
    await until(() => late.told.length > 0);
    expect(late.told).toEqual(['failed: unreachable']);
    await harness.clock.advance(1_600);
    const again = await streams(first(), 'Endpoints');
    await give(again.Endpoints, ENDPOINT, ['e']);
    expect(endpoint.told).toEqual(['changed', 'ambient', 'changed']);
  });
});

describe.each(['GRPC', 'DELTA_GRPC'] as const)('a fallback over streams for each type (%s)', (apiType) => {
  /** The first server is away, the second has given `l` and `c`; the first is back and has been asked for both. */
  async function bothAsked() {
    const { port } = first();
    first().close();
    begin(apiType, {}, planes);
    const listener = watch(LISTENER, 'l');
    const cluster = watch(CLUSTER, 'c');
    const fallback = await streams(second(), 'Listeners', 'Clusters');
    await give(fallback.Listeners, LISTENER, ['l']);
    await give(fallback.Clusters, CLUSTER, ['c'], 'second');
    planes[0] = await ScriptedXds.start(port);
    await harness.clock.advance(2_000);
    return { listener, cluster, fallback, primary: await streams(first(), 'Listeners', 'Clusters') };
  }

  test('the first server, in charge again by one stream, is asked on the others for what it did not send', async () => {
    const { cluster, primary, fallback } = await bothAsked();
    await give(primary.Clusters, CLUSTER, []);
    await give(primary.Listeners, LISTENER, ['l']);
    await fallback.Clusters.ended;
    const asked = await primary.Clusters.next();
    if (apiType === 'DELTA_GRPC') expect(asked.resource_names_subscribe).toEqual(['c']);
    else {
      expect(asked.resource_names ?? []).toEqual([]);
      expect((await primary.Clusters.next()).resource_names).toEqual(['c']);
    }
    await give(primary.Clusters, CLUSTER, ['c'], 'first');
    expect(cluster.values.at(-1)).toMatchObject({ alt_stat_name: 'first' });
  });

  test('what the first server does not know either does not exist 15 s after it was asked for it', async () => {
    const { primary, fallback } = await bothAsked();
    const nobody = watch(CLUSTER, 'nobody');
    await primary.Clusters.next();
    await fallback.Clusters.next();
    await settle();
    await harness.clock.advance(14_000);
    await give(primary.Listeners, LISTENER, ['l']);
    await fallback.Clusters.ended;
    await primary.Clusters.next();
    if (apiType === 'GRPC') await primary.Clusters.next();
    await settle();
    await harness.clock.advance(14_999);
    expect(nobody.told).toEqual([]);
    await harness.clock.advance(1);
    expect(nobody.told).toEqual(['failed: does-not-exist']);
    expect(nobody.errors[0]?.message).toContain(first().uri);
  });
});
