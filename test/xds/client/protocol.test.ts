import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { ScriptedAds } from '../../support/scripted-ads.js';
import { codec, type Harness, packed, Recorder, start, until } from './harness.js';

let ads: ScriptedAds;
let harness: Harness;
beforeEach(async () => {
  ads = await ScriptedAds.start();
  harness = start(ads.uri);
});
afterEach(async () => {
  await harness.client.close();
  ads.close();
});

describe('requests', () => {
  test('1. the first one on a stream carries the node, later ones do not', async () => {
    harness.client.watch(CLUSTER, 'a', new Recorder());
    harness.client.watch(LISTENER, 'l', new Recorder());
    const stream = await ads.nextStream();
    expect(await stream.next()).toEqual({
      type_url: CLUSTER,
      resource_names: ['a'],
      node: {
        id: 'node-1',
        cluster: 'shop',
        user_agent_name: 'inmesh',
        client_features: expect.arrayContaining(['xds.config.resource-in-sotw', 'xds.config.supports-resource-ttl']),
      },
    });
    expect(await stream.next()).toEqual({ type_url: LISTENER, resource_names: ['l'] });
  });

  test('2. names that are wanted in one turn of the loop travel together', async () => {
    for (const name of ['a', 'b', 'c']) harness.client.watch(ENDPOINT, name, new Recorder());
    const stream = await ads.nextStream();
    expect((await stream.next()).resource_names).toEqual(['a', 'b', 'c']);
    expect(stream.unread).toBe(0);
  });

  test('3. an ACK carries the new version and the nonce, and no error', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources: [packed(CLUSTER, { name: 'a' })] });
    expect(await stream.next()).toEqual({
      type_url: CLUSTER,
      version_info: 'v1',
      response_nonce: 'n1',
      resource_names: ['a'],
    });
    expect(watcher.values).toEqual([{ name: 'a' }]);
  });

  test('4. a NACK carries the version before, the new nonce, and every bad resource by name; the good ones apply', async () => {
    const good = new Recorder();
    const bad = new Recorder();
    harness.client.watch(CLUSTER, 'good', good);
    for (const name of ['bad1', 'bad2']) harness.client.watch(CLUSTER, name, bad);
    const stream = await ads.nextStream();
    await stream.next();
    const resources = [
      packed(CLUSTER, { name: 'bad1', alt_stat_name: 'bad' }),
      packed(CLUSTER, { name: 'good' }),
      packed(CLUSTER, { name: 'bad2', alt_stat_name: 'bad' }),
    ];
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources });
    expect(await stream.next()).toEqual({
      type_url: CLUSTER,
      response_nonce: 'n1',
      resource_names: ['good', 'bad1', 'bad2'],
      error_detail: { code: 3, message: '"bad1": stat name is bad; "bad2": stat name is bad' },
    });
    expect(good.told).toEqual(['changed']);
    expect(bad.told).toEqual(['failed: invalid', 'failed: invalid']);
    expect(bad.errors[0]?.message).toBe('Cluster "bad1": is refused: stat name is bad (node "node-1")');
    expect(harness.events).toContainEqual({
      kind: 'xds:nack',
      type: 'Cluster',
      detail: '"bad1": stat name is bad; "bad2": stat name is bad',
    });

    stream.send({ type_url: CLUSTER, version_info: 'v2', nonce: 'n2', resources: [resources[1] as never] });
    expect(await stream.next()).toMatchObject({ version_info: 'v2', response_nonce: 'n2' });
    stream.send({ type_url: CLUSTER, version_info: 'v3', nonce: 'n3', resources });
    expect(await stream.next()).toMatchObject({ version_info: 'v2', response_nonce: 'n3', error_detail: { code: 3 } });
  });

  test('5. a change of names rides on the ACK of the same type, and is told with the last nonce otherwise', async () => {
    const { client } = harness;
    client.watch(ROUTE, 'r1', {
      changed: () => client.watch(ROUTE, 'r2', new Recorder()),
      failed() {},
      ambient() {},
    });
    const stream = await ads.nextStream();
    await stream.next();
    stream.send({ type_url: ROUTE, version_info: 'v1', nonce: 'n1', resources: [packed(ROUTE, { name: 'r1' })] });
    expect(await stream.next()).toMatchObject({
      version_info: 'v1',
      response_nonce: 'n1',
      resource_names: ['r1', 'r2'],
    });
    client.watch(ROUTE, 'r3', new Recorder());
    expect(await stream.next()).toEqual({
      type_url: ROUTE,
      version_info: 'v1',
      response_nonce: 'n1',
      resource_names: ['r1', 'r2', 'r3'],
    });
  });

  test('6. the last watcher of a name takes it from the subscription; an empty list ends it', async () => {
    const stopFirst = harness.client.watch(CLUSTER, 'a', new Recorder());
    const stopSecond = harness.client.watch(CLUSTER, 'a', new Recorder());
    const stopOther = harness.client.watch(CLUSTER, 'b', new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    stopFirst();
    stopFirst();
    stopOther();
    expect(await stream.next()).toMatchObject({ resource_names: ['a'] });
    stopSecond();
    expect(await stream.next()).toEqual({ type_url: CLUSTER });
    expect(harness.client.dump().resources).toEqual([]);
  });

  test('7. a type of which nothing is wanted is not asked for on a new stream: that would mean everything', async () => {
    const stop = harness.client.watch(CLUSTER, 'a', new Recorder());
    harness.client.watch(LISTENER, 'l', new Recorder());
    const first = await ads.nextStream();
    await first.next();
    await first.next();
    first.send({ type_url: LISTENER, version_info: 'v1', nonce: 'n1', resources: [packed(LISTENER, { name: 'l' })] });
    await first.next();
    stop();
    await first.next();
    first.end();
    await until(() => harness.events.some((event) => event.kind === 'xds:disconnected'));
    await harness.clock.advance(1_000);
    const second = await ads.nextStream();
    expect(await second.next()).toMatchObject({ type_url: LISTENER, version_info: 'v1' });
    expect(second.unread).toBe(0);
  });

  test('8. who stops watching and begins again in one turn of the loop is told what is known, and the server nothing', async () => {
    const { client } = harness;
    const stop = client.watch(CLUSTER, 'a', new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources: [packed(CLUSTER, { name: 'a' })] });
    await stream.next();
    const again = new Recorder();
    stop();
    client.watch(CLUSTER, 'a', again);
    expect(again.told).toEqual(['changed']);
    client.watch(CLUSTER, 'b', new Recorder());
    expect(await stream.next()).toMatchObject({ resource_names: ['a', 'b'] });
  });
});

describe('streams', () => {
  test('9. version survives a broken stream, nonce does not, and everything wanted is asked for again', async () => {
    harness.client.watch(CLUSTER, 'a', new Recorder());
    const first = await ads.nextStream();
    await first.next();
    first.send({ type_url: CLUSTER, version_info: 'v7', nonce: 'n7', resources: [packed(CLUSTER, { name: 'a' })] });
    await first.next();
    first.end();
    await until(() => harness.events.some((event) => event.kind === 'xds:disconnected'));
    await harness.clock.advance(1_000);
    const second = await ads.nextStream();
    const request = await second.next();
    expect(request).toMatchObject({ version_info: 'v7', resource_names: ['a'], node: { id: 'node-1' } });
    expect(request.response_nonce).toBeUndefined();
  });

  test('10. the next response is not read before the last one was dealt with and answered', async () => {
    const order: string[] = [];
    const { client } = harness;
    client.watch(CLUSTER, 'a', {
      changed: (value) => order.push((value as { alt_stat_name: string }).alt_stat_name),
      failed() {},
      ambient() {},
    });
    const stream = await ads.nextStream();
    await stream.next();
    for (let i = 1; i <= 20; i++) {
      const resources = [packed(CLUSTER, { name: 'a', alt_stat_name: `s${i}` })];
      stream.send({ type_url: CLUSTER, version_info: `v${i}`, nonce: `n${i}`, resources });
    }
    for (let i = 1; i <= 20; i++)
      expect(await stream.next()).toMatchObject({ version_info: `v${i}`, response_nonce: `n${i}` });
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => `s${i + 1}`));
  });
});

describe('resources', () => {
  test('11. those that were not asked for are ignored, be they as bad as they like', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    const broken = {
      type_url: CLUSTER,
      value: Buffer.concat([packed(CLUSTER, { name: 'other' }).value, Buffer.from('1001', 'hex')]),
    };
    const resources = [broken, packed(CLUSTER, { name: 'b', alt_stat_name: 'bad' }), packed(CLUSTER, { name: 'a' })];
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources });
    const answer = await stream.next();
    expect(answer.error_detail).toBeUndefined();
    expect(watcher.told).toEqual(['changed']);
    // But "multiple instances of the same resource name" are the response's fault, whoever asked for them.
    stream.send({ type_url: CLUSTER, version_info: 'v2', nonce: 'n2', resources: [broken, ...resources] });
    expect((await stream.next()).error_detail?.message).toBe('"other": is in the response twice');
    expect(watcher.told).toEqual(['changed']);
  });

  test('12. the same name twice, no name, and a resource of another type are refused', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    const resources = [
      packed(CLUSTER, { name: 'a' }),
      packed(CLUSTER, { name: 'a', alt_stat_name: 'x' }),
      packed(CLUSTER, {}),
      packed(LISTENER, { name: 'a' }),
      { type_url: CLUSTER, value: Uint8Array.of(0x0a, 0x05) },
    ];
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources });
    expect((await stream.next()).error_detail?.message).toBe(
      [
        'resources[2]: has no name',
        `resources[3]: is a ${LISTENER}, not a ${CLUSTER}`,
        'resources[4]: malformed envoy.config.cluster.v3.Cluster: truncated: 5 bytes wanted, 0 left',
        '"a": is in the response twice',
      ].join('; '),
    );
    expect(watcher.told).toEqual(['failed: invalid']);
  });

  test('13. a Resource wrapper gives name and version; one without content is a heartbeat and changes nothing', async () => {
    const watcher = new Recorder();
    harness.client.watch(ENDPOINT, 'e', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    const wrapper = (message: object) => ({
      type_url: 'type.googleapis.com/envoy.service.discovery.v3.Resource',
      value: codec.encodeMessage('envoy.service.discovery.v3.Resource', message),
    });
    const body = packed(ENDPOINT, { cluster_name: 'e' });
    stream.send({
      type_url: ENDPOINT,
      version_info: 'v1',
      nonce: 'n1',
      resources: [wrapper({ name: 'e', version: '41', resource: body })],
    });
    expect(await stream.next()).toMatchObject({ version_info: 'v1' });
    expect(harness.client.dump().resources).toMatchObject([{ name: 'e', version: '41', state: 'ACKED' }]);
    stream.send({
      type_url: ENDPOINT,
      version_info: 'v1',
      nonce: 'n2',
      resources: [wrapper({ name: 'e', version: '41' })],
    });
    expect((await stream.next()).error_detail).toBeUndefined();
    expect(watcher.told).toEqual(['changed']);
  });

  test('14. the same bytes again keep the identity of what they were decoded to, and nobody is told', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    for (const version of ['v1', 'v2']) {
      stream.send({
        type_url: CLUSTER,
        version_info: version,
        nonce: version,
        resources: [packed(CLUSTER, { name: 'a' })],
      });
      await stream.next();
    }
    const late = new Recorder();
    harness.client.watch(CLUSTER, 'a', late);
    expect(watcher.told).toEqual(['changed']);
    expect(late.values[0]).toBe(watcher.values[0]);
    expect(harness.client.dump().resources).toMatchObject([{ version: 'v2' }]);
    expect(harness.events.filter((event) => event.kind === 'xds:update')).toEqual([
      { kind: 'xds:update', type: 'Cluster', resources: 1 },
    ]);
  });

  test('15. after a NACK the last good value stays and its watchers hear of the trouble, once', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    const good = packed(CLUSTER, { name: 'a' });
    const bad = packed(CLUSTER, { name: 'a', alt_stat_name: 'bad' });
    for (const [i, resource] of [good, bad, bad, good].entries()) {
      stream.send({ type_url: CLUSTER, version_info: `v${i}`, nonce: `n${i}`, resources: [resource] });
      await stream.next();
    }
    expect(watcher.told).toEqual(['changed', 'ambient', 'changed']);
    expect(watcher.values[1]).toBe(watcher.values[0]);
  });

  test('16. a watcher that throws takes nobody with it', async () => {
    const watcher = new Recorder();
    const { client } = harness;
    const fail = (): never => {
      throw new Error('mine');
    };
    client.watch(CLUSTER, 'a', { changed: fail, failed: fail, ambient: fail });
    client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources: [packed(CLUSTER, { name: 'a' })] });
    expect(await stream.next()).toMatchObject({ version_info: 'v1' });
    expect(watcher.told).toEqual(['changed']);
  });
});
