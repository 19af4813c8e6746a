import { describe, expect, it } from 'vitest';
import { ClientStream, type StreamResponse } from '../../../src/controlplane/server/client-stream.js';
import { buildSnapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type ResourceSet,
  type ResourceType,
  ROUTE,
} from '../../../src/core/resources.js';
import { FakeClock } from '../../support/fake-clock.js';
import {
  edsCluster,
  endpoints,
  jsonEncode,
  listener,
  meshOf,
  resourceSet,
  routes,
} from '../../support/mesh-resources.js';

const HOLD_MS = 15_000;
const WARMING_MS = 5_000;

const SHORT: Record<ResourceType, string> = { [CLUSTER]: 'CDS', [ENDPOINT]: 'EDS', [LISTENER]: 'LDS', [ROUTE]: 'RDS' };
const REFUSAL = { code: 3, message: 'no' };

/** A stream without a socket, and what it wrote. */
function open() {
  const clock = new FakeClock();
  const sent: StreamResponse[] = [];
  let seen = 0;
  const stream = new ClientStream({
    clock,
    holdMs: HOLD_MS,
    warmingMs: WARMING_MS,
    incremental: false,
    send: (response) => sent.push(response),
  });
  return {
    clock,
    stream,
    target: (set: ResourceSet) => stream.target(buildSnapshot(set, jsonEncode)),
    /** A request that answers the newest response of its type, if there is one. */
    ask: (type: ResourceType, names: string[] = [], error?: typeof REFUSAL) => {
      const nonce = sent.findLast((response) => response.type === type)?.nonce ?? '';
      return stream.request(type, { wanted: { names }, nonce, error }, 0);
    },
    /** What was written since the last look, as `CDS a b`. */
    written: () => {
      const news = sent.slice(seen);
      seen = sent.length;
      return news.map(({ type, resources }) => [SHORT[type], ...resources.map(({ name }) => name)].join(' '));
    },
  };
}

/** An Envoy that has accepted everything of `set`, with one listener `a`. */
function envoyWith(set: ResourceSet, clusters: string[]) {
  const it = open();
  it.target(set);
  for (const [type, names] of [
    [CLUSTER, []],
    [ENDPOINT, clusters],
    [LISTENER, []],
    [ROUTE, ['a-routes']],
  ] as const) {
    it.ask(type, [...names]);
    it.ask(type, [...names]);
  }
  it.written();
  return it;
}

it('new clusters, their endpoints, then routes; and only when those were accepted the old clusters go', () => {
  const { target, ask, written, stream } = envoyWith(meshOf({ a: ['old'] }), ['old']);
  expect(stream.synced).toBe(true);
  target(meshOf({ a: ['new'] }));
  expect(written()).toEqual(['CDS new old']);
  ask(CLUSTER);
  expect(written()).toEqual([]);
  ask(ENDPOINT, ['old', 'new']);
  expect(written()).toEqual(['EDS new', 'RDS a-routes']);
  ask(ENDPOINT, ['old', 'new']);
  expect(written()).toEqual([]);
  expect(stream.synced).toBe(false);
  ask(ROUTE, ['a-routes']);
  expect(written()).toEqual(['CDS new']);
  ask(CLUSTER);
  expect(stream.synced).toBe(false);
  ask(ENDPOINT, ['new']);
  expect(stream.synced).toBe(true);
});

it('with clusters held, the version of CDS is another than without, for the content is another', () => {
  const { target, ask, stream } = envoyWith(meshOf({ a: ['old'] }), ['old']);
  const next = buildSnapshot(meshOf({ a: ['new'] }), jsonEncode);
  target(meshOf({ a: ['new'] }));
  expect(stream.subscriptions.get(CLUSTER)?.last?.version).not.toBe(next.types[CLUSTER].version);
  ask(CLUSTER);
  ask(ENDPOINT, ['old', 'new']);
  ask(ROUTE, ['a-routes']);
  expect(stream.subscriptions.get(CLUSTER)?.last?.version).toBe(next.types[CLUSTER].version);
});

describe('the bounds', () => {
  /** Up to the point where the new routes have been written. */
  function replaced() {
    const it = envoyWith(meshOf({ a: ['old'] }), ['old']);
    it.target(meshOf({ a: ['new'] }));
    it.ask(CLUSTER);
    it.ask(ENDPOINT, ['old', 'new']);
    it.written();
    return it;
  }

  it('a client that never answers the new routes loses the old clusters after holdMs', async () => {
    const { written, clock, stream } = replaced();
    await clock.advance(HOLD_MS - 1);
    expect(written()).toEqual([]);
    await clock.advance(1);
    expect(written()).toEqual(['CDS new']);
    stream.close();
    expect(clock.pending).toBe(0);
  });

  it('a client that refused the new routes keeps the old clusters for as long as it does', async () => {
    const { ask, target, written, clock } = replaced();
    ask(ROUTE, ['a-routes'], REFUSAL);
    await clock.advance(10 * HOLD_MS);
    expect(written()).toEqual([]);
    expect(clock.pending).toBe(0);
    target(meshOf({ a: ['new', 'newer'] }));
    ask(CLUSTER);
    ask(ENDPOINT, ['old', 'new', 'newer']);
    expect(written()).toEqual(['CDS new newer old', 'EDS newer', 'RDS a-routes']);
    ask(ROUTE, ['a-routes']);
    expect(written()).toEqual(['CDS new newer']);
  });

  it('a gRPC client keeps a removed cluster while it asks for it, and no longer than holdMs', async () => {
    const { target, ask, written, clock } = open();
    target(meshOf({ a: ['old'] }));
    for (const [type, name] of [
      [LISTENER, 'a'],
      [ROUTE, 'a-routes'],
      [CLUSTER, 'old'],
      [ENDPOINT, 'old'],
    ] as const) {
      ask(type, [name]);
      ask(type, [name]);
    }
    written();
    target(meshOf({ a: ['new'] }));
    ask(ROUTE, ['a-routes']);
    ask(CLUSTER, ['new', 'old']);
    expect(written()).toEqual(['RDS a-routes', 'CDS old new']);
    ask(CLUSTER, ['new', 'old']);
    await clock.advance(HOLD_MS);
    expect(written()).toEqual(['CDS new']);
  });

  it('routes wait warmingMs for a client that does not ask for the endpoints of new clusters', async () => {
    const { target, ask, written, clock } = envoyWith(meshOf({ a: ['old'] }), ['old']);
    target(meshOf({ a: ['old', 'new'] }));
    ask(CLUSTER);
    expect(written()).toEqual(['CDS old new']);
    await clock.advance(WARMING_MS - 1);
    expect(written()).toEqual([]);
    await clock.advance(1);
    expect(written()).toEqual(['RDS a-routes']);
    expect(clock.pending).toBe(0);
  });

  it('a client without routes does not wait: nothing of it can break', () => {
    const { target, ask, written } = open();
    target(meshOf({ a: ['c'] }));
    ask(CLUSTER);
    ask(LISTENER);
    expect(written()).toEqual(['CDS c', 'LDS a']);
  });
});

describe('clusters and their endpoints', () => {
  it('a changed cluster is followed by its endpoints, which did not change: an Envoy warms it only then', () => {
    const { target, ask, written } = envoyWith(meshOf({ a: ['c'] }), ['c']);
    const changed = [edsCluster('c', { connect_timeout: { seconds: 3 } })];
    const [lds, rds] = [listener('a', 'a-routes'), routes('a-routes', 'c')];
    target(resourceSet({ clusters: changed, endpoints: [endpoints('c', 9_001)], listeners: [lds], routes: [rds] }));
    expect(written()).toEqual(['CDS c', 'EDS c']);
    ask(ENDPOINT, ['c']);
    ask(CLUSTER);
    expect(written()).toEqual([]);
  });

  it('a cluster that comes back while it is held is served as it is now configured', () => {
    const { target, ask, written, stream } = envoyWith(meshOf({ a: ['c'] }), ['c']);
    target(meshOf({ a: ['d'] }));
    expect(written()).toEqual(['CDS d c']);
    const back = buildSnapshot(meshOf({ a: ['c'] }), jsonEncode);
    target(meshOf({ a: ['c'] }));
    ask(CLUSTER);
    expect(written()).toEqual(['CDS c']);
    ask(CLUSTER);
    expect(stream.subscriptions.get(CLUSTER)?.ackedVersion).toBe(back.types[CLUSTER].version);
  });
});

describe('what may be written', () => {
  const mesh = meshOf({ a: ['c'] });

  it('nothing after a response that has not left, then the newest of every type that is due', () => {
    const { stream, target, ask, written } = open();
    target(mesh);
    ask(CLUSTER);
    stream.pause();
    ask(CLUSTER);
    ask(LISTENER);
    ask(ENDPOINT, ['c']);
    target(meshOf({ a: ['c', 'd'] }));
    expect(written()).toEqual(['CDS c']);
    stream.resume();
    expect(written()).toEqual(['CDS c d', 'EDS c', 'LDS a']);
  });

  it('no nonce tells another: a response is answered by those who have read it', () => {
    const nonces = [open(), open()].map(({ stream, target, ask }) => {
      target(mesh);
      ask(CLUSTER);
      return stream.subscriptions.get(CLUSTER)?.last?.nonce ?? '';
    });
    expect(nonces[0]).not.toBe(nonces[1]);
    for (const nonce of nonces) expect(nonce).toMatch(/^1-[-0-9a-f]{36}$/);
  });
});
