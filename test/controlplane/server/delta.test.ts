import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AdsServer } from '../../../src/controlplane/server/ads-server.js';
import type { AdsServerLimits } from '../../../src/controlplane/server/limits.js';
import { buildSnapshot, type Snapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { silentLogger } from '../../../src/core/log.js';
import { systemClock } from '../../../src/core/clock.js';
import {
  CLUSTER,
  ENDPOINT,
  INBOUND_PREFIX,
  LISTENER,
  type ResourceSet,
  type ResourceType,
  ROUTE,
} from '../../../src/core/resources.js';
import { type Codec, loadCodec } from '../../../src/xds/wire/index.js';
import { DeltaClient, SingleTypeClient, told } from '../../support/discovery-client.js';
import { edsCluster, endpoints, meshOf, resourceSet } from '../../support/mesh-resources.js';

let codec: Codec;
beforeAll(async () => {
  codec = await loadCodec();
});

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const snapshot = (set: ResourceSet): Snapshot =>
  buildSnapshot(set, (type, resource) => codec.encodeResource(type, resource));

async function serve(set: ResourceSet, limits: Partial<AdsServerLimits> = {}) {
  const server = new AdsServer({ codec, clock: systemClock, logger: silentLogger, identifier: 'inmesh', limits });
  cleanups.push(() => server.close());
  server.publish(snapshot(set));
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const keep = <C extends { close(): void }>(client: C): C => {
    cleanups.push(() => client.close());
    return client;
  };
  return {
    port,
    publish: (next: ResourceSet) => server.publish(snapshot(next)),
    delta: (only?: ResourceType) => keep(new DeltaClient(port, codec, only)),
    single: (only: ResourceType) => keep(new SingleTypeClient(port, codec, only)),
    /** The only client's ledger. */
    ledger: (type: ResourceType) => [...server.sessions][0]?.stream.subscriptions.get(type),
    server,
  };
}

describe('what a response carries', () => {
  it('each resource with its name and a version of its own, which is the same in every server', async () => {
    const versions = [];
    for (const extra of [{}, { other: ['c9'] }]) {
      const { delta } = await serve(meshOf({ a: ['c1'], ...extra }));
      const client = delta();
      client.ask(CLUSTER, ['c1']);
      const response = await client.next();
      expect(response).toMatchObject({
        type_url: CLUSTER,
        nonce: expect.stringMatching(/^1-/),
        control_plane: { identifier: 'inmesh' },
      });
      expect(client.decoded(response)).toEqual([edsCluster('c1')]);
      versions.push(response.resources?.map(({ name, version }) => [name, version]));
    }
    expect(versions[0]).toEqual([['c1', expect.stringMatching(/^[0-9a-f]{16}$/)]]);
    expect(versions[1]).toEqual(versions[0]);
  });

  it('only what changed: one endpoint among many, one resource', async () => {
    const many = Array.from({ length: 50 }, (_, i) => `c${i}`);
    const set = (port: number) =>
      resourceSet({
        clusters: many.map((name) => edsCluster(name)),
        endpoints: many.map((name, i) => endpoints(name, i === 7 ? port : 9_000)),
      });
    const { delta, publish } = await serve(set(1));
    const client = delta();
    client.ask(ENDPOINT, many);
    expect((await client.accept()).resources).toHaveLength(50);
    const changed = client.next();
    publish(set(2));
    expect(told(await changed)).toEqual(['+c7']);
  });

  it('more than fits into one message is sent in several, each after the last was accepted', async () => {
    const many = Array.from({ length: 60 }, (_, i) => `c${i}`);
    const { delta } = await serve(
      resourceSet({
        clusters: many.map((name) => edsCluster(name)),
        endpoints: many.map((name) => endpoints(name, ...Array.from({ length: 4_000 }, (_, port) => port + 1))),
      }),
    );
    const client = delta();
    client.ask(ENDPOINT, many);
    let got = 0;
    for (; got < 60; got += client.responses.at(-1)?.resources?.length ?? 0) await client.accept();
    expect(got).toBe(60);
    expect(client.responses.length).toBeGreaterThan(1);
  });
});

describe('subscriptions', () => {
  it('a name that is asked for again is sent again, though the client has that version', async () => {
    const { delta } = await serve(meshOf({ a: ['c1', 'c2'] }));
    const client = delta();
    client.ask(ENDPOINT, ['c1', 'c2']);
    await client.accept();
    client.ask(ENDPOINT, ['c1']);
    expect(told(await client.next())).toEqual(['+c1']);
  });

  it('what does not exist is named in removed_resources, for every type, and sent when it exists', async () => {
    const { delta, publish } = await serve(meshOf({ a: ['c1'] }));
    const client = delta();
    for (const type of [CLUSTER, ENDPOINT, LISTENER, ROUTE] as const) {
      client.ask(type, ['later']);
      expect(told(await client.accept())).toEqual(['-later']);
    }
    const cluster = client.next();
    publish(meshOf({ a: ['c1'], b: ['later'] }));
    expect(told(await cluster)).toEqual(['+later']);
  });

  it('who goes by the name of no Service is told so, with its nearest: a Service without policies for servers is there', async () => {
    const { delta } = await serve(meshOf({ shop: ['c1'] }));
    const client = delta();
    client.ask(LISTENER, [`${INBOUND_PREFIX}shpo`, `${INBOUND_PREFIX}shop`, 'shpo']);
    const response = await client.next();
    expect(told(response).sort()).toEqual([`-${INBOUND_PREFIX}shop`, `-${INBOUND_PREFIX}shpo`, '-shpo']);
    expect(response.resource_errors).toEqual([
      {
        resource_name: { name: `${INBOUND_PREFIX}shpo` },
        error_detail: { code: status.NOT_FOUND, message: 'no Service "shpo": did you mean "shop"?' },
      },
    ]);
  });

  it('a change of subscription counts even in a message with a stale nonce', async () => {
    const { delta } = await serve(meshOf({ a: ['c1', 'c2'] }));
    const client = delta();
    client.ask(ENDPOINT, ['c1']);
    await client.accept();
    client.ask(ENDPOINT, ['c2'], { response_nonce: 'of another life' });
    expect(told(await client.next())).toEqual(['+c2']);
  });

  it('a change of subscription may ride on an ACK and on a NACK', async () => {
    const { delta, ledger } = await serve(meshOf({ a: ['c1', 'c2', 'c3'] }));
    const client = delta();
    client.ask(ENDPOINT, ['c1']);
    client.ack(await client.next(), { resource_names_subscribe: ['c2'] });
    const second = await client.next();
    expect(told(second)).toEqual(['+c2']);
    client.ack(second, { error_detail: { code: 3, message: 'no' }, resource_names_subscribe: ['c3'] });
    expect(told(await client.next())).toEqual(['+c3']);
    expect(ledger(ENDPOINT)).toMatchObject({ rejection: { message: 'no' }, ackedVersion: expect.any(String) });
  });

  it('what is no longer asked for is not sent, and not told to be removed', async () => {
    const { delta, publish } = await serve(meshOf({ a: ['c1', 'c2'] }, 1));
    const client = delta();
    client.ask(ENDPOINT, ['c1', 'c2']);
    await client.accept();
    client.unsubscribe(ENDPOINT, 'c1', 'never asked for');
    client.ask(CLUSTER, ['c2']);
    await client.accept();
    const changed = client.next();
    publish(meshOf({ a: ['c2'] }, 2));
    expect(told(await changed)).toEqual(['+c2']);
  });

  it('a refused resource is not sent again until its content changes', async () => {
    const { delta, publish, ledger } = await serve(meshOf({ a: ['c1', 'c2'] }, 1));
    const client = delta();
    client.ask(ENDPOINT, ['c1', 'c2']);
    const first = await client.next();
    client.nack(first, 'c1: not to my taste');
    await until(() => ledger(ENDPOINT)?.rejection !== undefined);
    const second = client.next();
    publish(meshOf({ a: ['c1', 'c2'] }, 2));
    expect(told(await second)).toEqual(['+c1', '+c2']);
    expect(client.responses).toHaveLength(2);
  });
});

describe('"*"', () => {
  it('an empty first request means everything, and naming something does not end that', async () => {
    const { delta, publish } = await serve(meshOf({ a: ['c1'] }));
    const client = delta();
    client.ask(LISTENER, []);
    expect(told(await client.accept())).toEqual(['+a']);
    client.ask(LISTENER, ['a']);
    expect(told(await client.accept())).toEqual(['+a']);
    const more = client.next();
    publish(meshOf({ a: ['c1'], b: ['c1'] }));
    expect(told(await more)).toEqual(['+b']);
  });

  it('an empty first request is answered even when there is nothing', async () => {
    const { delta } = await serve(meshOf({}));
    const client = delta();
    client.ask(CLUSTER, []);
    expect(told(await client.next())).toEqual([]);
  });

  it('without "*" what was named goes on being sent, and nothing else', async () => {
    const { delta, publish, ledger } = await serve(meshOf({ a: ['c1'], b: ['c1'] }));
    const client = delta();
    client.ask(LISTENER, ['*', 'a']);
    expect(told(await client.accept()).sort()).toEqual(['+a', '+b']);
    client.unsubscribe(LISTENER, '*');
    await until(() => ledger(LISTENER)?.wildcard === false);
    const changed = client.next();
    publish(meshOf({ c: ['c1'] }));
    expect(told(await changed)).toEqual(['-a']);
  });

  it('a name dropped while "*" covers it is answered: with the resource, or with its removal', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }));
    const client = delta();
    client.ask(LISTENER, ['*', 'a', 'nobody']);
    expect(told(await client.accept()).sort()).toEqual(['+a', '-nobody']);
    client.unsubscribe(LISTENER, 'a');
    expect(told(await client.accept())).toEqual(['+a']);
    client.unsubscribe(LISTENER, 'nobody');
    expect(told(await client.accept())).toEqual(['-nobody']);
  });

  it('"*" asked for again sends everything again', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'], b: ['c1'] }));
    const client = delta();
    client.ask(LISTENER, ['*']);
    await client.accept();
    client.ask(LISTENER, ['*']);
    expect(told(await client.next()).sort()).toEqual(['+a', '+b']);
  });

  it('is a name like any other for RDS and EDS', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }));
    const client = delta();
    client.ask(ENDPOINT, ['*']);
    expect(told(await client.next())).toEqual(['-*']);
  });
});

describe('after a reconnect', () => {
  it('what the client still has is not sent again, what has changed is, and what is gone is named', async () => {
    const { delta } = await serve(meshOf({ a: ['same', 'changed', 'gone'] }, 1));
    const first = delta();
    const all = ['same', 'changed', 'gone'];
    first.ask(ENDPOINT, all);
    const { resources = [] } = await first.accept();
    const versions = Object.fromEntries(resources.map(({ name, version }) => [name ?? '', version ?? '']));
    // Another server, as after a restart: versions are hashes of content.
    const restarted = await serve(
      resourceSet({
        clusters: [edsCluster('same'), edsCluster('changed')],
        endpoints: [endpoints('same', 1), endpoints('changed', 2)],
      }),
    );
    const second = restarted.delta();
    second.ask(ENDPOINT, all, { initial_resource_versions: versions });
    expect(told(await second.accept()).sort()).toEqual(['+changed', '-gone']);
  });

  it('a client of "*" is told of what is gone', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }));
    const client = delta();
    client.ask(LISTENER, ['*'], { initial_resource_versions: { a: 'old', b: 'old' } });
    expect(told(await client.next())).toEqual(['+a', '-b']);
  });

  it('versions of names that are not asked for, and those of later requests, mean nothing', async () => {
    const { delta } = await serve(meshOf({ a: ['c1', 'c2'] }));
    const client = delta();
    client.ask(ENDPOINT, ['c1'], { initial_resource_versions: { c2: 'x', gone: 'x' } });
    const response = await client.accept();
    expect(told(response)).toEqual(['+c1']);
    const version = response.resources?.[0]?.version ?? '';
    client.ask(ENDPOINT, ['c1'], { initial_resource_versions: { c1: version } });
    expect(told(await client.next())).toEqual(['+c1']);
  });
});

describe('a stream for each type', () => {
  it.each([
    [LISTENER, 'a'],
    [ROUTE, 'a-routes'],
    [CLUSTER, 'c1'],
    [ENDPOINT, 'c1'],
  ] as const)(
    '%s is served by its own service, in both protocols, with and without its type_url',
    async (type, name) => {
      const { delta, single } = await serve(meshOf({ a: ['c1'] }));
      for (const url of [{}, { type_url: type }]) {
        const incremental = delta(type);
        incremental.send({ resource_names_subscribe: [name], ...url });
        expect(await incremental.next()).toMatchObject({ type_url: type, resources: [{ name }] });
        const whole = single(type);
        whole.send({ resource_names: [name], ...url });
        expect(await whole.next()).toMatchObject({ type_url: type, resources: [{ type_url: type }] });
      }
    },
  );

  it('a request for another type than its own ends the stream with INVALID_ARGUMENT', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }));
    const client = delta(CLUSTER);
    client.ask(LISTENER, ['a']);
    expect(await client.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(LISTENER),
    });
  });

  it('updates reach the streams of their type only', async () => {
    const { delta, publish } = await serve(meshOf({ a: ['c1'] }, 1));
    const [clusters, loads] = [delta(CLUSTER), delta(ENDPOINT)];
    clusters.send({ resource_names_subscribe: ['c1'] });
    loads.send({ resource_names_subscribe: ['c1'] });
    await Promise.all([clusters.accept(), loads.accept()]);
    const changed = loads.next();
    publish(meshOf({ a: ['c1'] }, 2));
    expect(told(await changed)).toEqual(['+c1']);
    expect(clusters.responses).toHaveLength(1);
  });
});

describe('hostile clients', () => {
  /** Still serves others. */
  const serves = async (delta: () => DeltaClient): Promise<void> => {
    const client = delta();
    client.ask(CLUSTER, ['c1']);
    expect(told(await client.next())).toEqual(['+c1']);
    client.close();
  };

  it('names that add up to more than allowed end the stream with RESOURCE_EXHAUSTED', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }), { maxNames: 5 });
    const client = delta();
    for (const names of [['1', '2', '3'], ['3', '4', '5'], ['6']]) client.ask(ENDPOINT, names);
    expect(await client.ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('6'),
    });
    await serves(delta);
  });

  it('names asked for and dropped under "*", without reading the answers, count as well', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }), { maxNames: 5 });
    const client = delta();
    client.ask(LISTENER, ['*']);
    for (let i = 0; i < 10; i++) {
      client.ask(LISTENER, [`name ${i}`], { resource_names_unsubscribe: [`name ${i}`] });
    }
    expect(await client.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await serves(delta);
  });

  it('versions of more names than allowed end the stream with RESOURCE_EXHAUSTED', async () => {
    const { delta } = await serve(meshOf({ a: ['c1'] }), { maxNames: 5 });
    const client = delta();
    const versions = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`n${i}`, 'v']));
    client.ask(CLUSTER, ['*'], { initial_resource_versions: versions });
    expect(await client.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await serves(delta);
  });

  it('names like those of built-in properties are names like any other', async () => {
    const { delta } = await serve(
      resourceSet({ clusters: [edsCluster('__proto__')], endpoints: [endpoints('__proto__', 1)] }),
    );
    const client = delta();
    const versions = JSON.parse('{"__proto__":"old","constructor":"old"}') as Record<string, string>;
    client.ask(CLUSTER, ['__proto__', 'constructor', ''], { initial_resource_versions: versions });
    expect(told(await client.next())).toEqual(['+__proto__', '-constructor', '-']);
  });

  it('any sequence of requests is survived, and others are served', async () => {
    const { delta, server } = await serve(meshOf({ a: ['c1'] }), { maxNames: 8 });
    const name = fc.constantFrom('*', '', 'a', 'c1', 'a-routes', 'x', 'y', '__proto__');
    const names = fc.array(name, { maxLength: 4 });
    const request = fc.record(
      {
        type_url: fc.constantFrom(LISTENER, ROUTE, CLUSTER, ENDPOINT, 'type.googleapis.com/unknown.Type'),
        resource_names_subscribe: names,
        resource_names_unsubscribe: names,
        initial_resource_versions: fc.dictionary(name, fc.constantFrom('', 'v', '0')),
        response_nonce: fc.constantFrom('', '1', '2', '3', 'nonsense'),
        error_detail: fc.record({ code: fc.integer({ min: 0, max: 20 }), message: fc.string() }),
      },
      { requiredKeys: ['type_url'] },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 20 }), async (requests) => {
        const client = delta();
        for (const one of requests) client.send(one);
        await serves(delta);
        client.close();
        await until(() => server.sessions.size === 0);
      }),
      { numRuns: 100 },
    );
  });
});

/** Waits for real I/O to bring about `condition`, a turn of the loop at a time. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
