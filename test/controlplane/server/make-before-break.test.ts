import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientStream } from '../../../src/controlplane/server/client-stream.js';
import { buildSnapshot, type Snapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { CLUSTER, LISTENER, type ResourceSet, ROUTE } from '../../../src/core/resources.js';
import { FakeClock } from '../../support/fake-clock.js';
import { edsCluster, endpoints, jsonEncode, listener, resourceSet, routes } from '../../support/mesh-resources.js';
import { EnvoyModel, GrpcModel } from './models.js';

const AUTHORITIES = ['a', 'b', 'c'];

/** What is configured for one authority: its clusters, and which of two names its routes have. */
const service = fc.record({
  clusters: fc.uniqueArray(fc.constantFrom('c1', 'c2', 'c3', 'c4', 'c5'), { minLength: 1, maxLength: 3 }),
  routes: fc.constantFrom('one', 'two'),
});
const config = fc
  .record({
    services: fc.dictionary(fc.constantFrom(...AUTHORITIES), service, { size: 'max', maxKeys: 3 }),
    connectSeconds: fc.nat(2),
    port: fc.nat(2),
  })
  .map(({ services, connectSeconds, port }): ResourceSet => {
    const clusters = [...new Set(Object.values(services).flatMap((it) => it.clusters))];
    return resourceSet({
      clusters: clusters.map((name) => edsCluster(name, { connect_timeout: { seconds: connectSeconds } })),
      endpoints: clusters.map((name) => endpoints(name, 9_000 + port)),
      listeners: Object.entries(services).map(([name, it]) => listener(name, `${name}-${it.routes}`)),
      routes: Object.entries(services).map(([name, it]) => routes(`${name}-${it.routes}`, ...it.clusters)),
    });
  });

/** A new configuration, and then so many messages that arrive: true, the next one at the server; false, at the client. */
const chapter = fc.record({ set: config, arrivals: fc.array(fc.boolean(), { maxLength: 40, size: 'max' }) });
const story = fc.array(chapter, { minLength: 1, maxLength: 8, size: 'max' });
type Story = typeof story extends fc.Arbitrary<infer S> ? S : never;

function run(make: () => EnvoyModel | GrpcModel, chapters: Story, refuse: (n: number) => boolean) {
  const clock = new FakeClock();
  const client = make();
  const stream = new ClientStream({
    clock,
    holdMs: 15_000,
    warmingMs: 5_000,
    incremental: client.incremental,
    send: (response) => client.responses.push(response),
  });
  let snapshot: Snapshot | undefined;
  let deliveries = 0;
  const deliver = (): void => {
    const next = client.responses[0];
    client.deliverResponse((next?.type === LISTENER || next?.type === ROUTE) && refuse(deliveries++));
    for (const cluster of client.inUse()) {
      if (!client.usable(cluster)) throw new Error(`traffic goes to "${cluster}", which the client does not have`);
    }
  };
  client.start();
  for (const { set, arrivals } of chapters) {
    snapshot = buildSnapshot(set, jsonEncode, snapshot);
    stream.target(snapshot);
    for (const atServer of arrivals) {
      if (atServer) client.deliverRequest(stream);
      else deliver();
    }
  }
  for (let i = 0; client.requests.length + client.responses.length > 0; i++) {
    if (i > 1_000) throw new Error('the exchange does not come to an end');
    client.deliverRequest(stream);
    deliver();
  }
  return { client, stream, snapshot, clock };
}

const never = () => false;

describe.each([
  { protocol: 'state of the world', incremental: false },
  { protocol: 'incremental', incremental: true },
])('whatever the configurations and however messages interleave, $protocol', ({ incremental }) => {
  it('an Envoy never has a route to a cluster that it was not sent, and ends with exactly what is configured', () => {
    fc.assert(
      fc.property(story, (chapters) => {
        const { client, stream, snapshot, clock } = run(() => new EnvoyModel(incremental), chapters, never);
        if (snapshot !== undefined)
          expect((client as EnvoyModel).clusters).toEqual([...snapshot.types[CLUSTER].resources.keys()].sort());
        expect(stream.synced).toBe(true);
        stream.close();
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('a gRPC client never loses a cluster that its configuration in use needs, and ends in step', () => {
    fc.assert(
      fc.property(story, (chapters) => {
        const { stream, clock } = run(() => new GrpcModel(AUTHORITIES, incremental), chapters, never);
        expect(stream.synced).toBe(true);
        stream.close();
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('a client that refuses routes now and then keeps the clusters of those it goes on using', () => {
    fc.assert(
      fc.property(story, fc.infiniteStream(fc.boolean()), fc.boolean(), (chapters, refusals, envoy) => {
        const decisions = refusals[Symbol.iterator]();
        run(
          envoy ? () => new EnvoyModel(incremental) : () => new GrpcModel(AUTHORITIES, incremental),
          chapters,
          () => decisions.next().value === true,
        );
      }),
      { numRuns: 1_000 },
    );
  });
});
