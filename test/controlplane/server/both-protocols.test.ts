import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ClientStream,
  type StreamRequest,
  type StreamResponse,
} from '../../../src/controlplane/server/client-stream.js';
import { buildSnapshot, type Snapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  RESOURCE_TYPES,
  type ResourceSet,
  type ResourceType,
  ROUTE,
} from '../../../src/core/resources.js';
import { FakeClock } from '../../support/fake-clock.js';
import { edsCluster, endpoints, jsonEncode, listener, resourceSet, routes } from '../../support/mesh-resources.js';

const HOLD_MS = 15_000;
const WARMING_MS = 5_000;
const isFullSet = (type: ResourceType): boolean => type === LISTENER || type === CLUSTER;

/** What a client wants of one type. */
interface Want {
  wildcard: boolean;
  readonly names: Set<string>;
}

/** A client with a wire in both directions: what is on it arrives when the test says so. It wants what it is told to want. */
abstract class Client {
  /** By type: versions by name. */
  readonly cache = new Map<ResourceType, Map<string, string>>(RESOURCE_TYPES.map((type) => [type, new Map()]));
  readonly wants = new Map<ResourceType, Want>(
    RESOURCE_TYPES.map((type) => [type, { wildcard: false, names: new Set() }]),
  );
  protected readonly asked = new Set<ResourceType>();
  protected readonly nonces = new Map<ResourceType, string>();
  #requests: [ResourceType, StreamRequest][] = [];
  #responses: StreamResponse[] = [];
  stream: ClientStream;

  constructor(
    private readonly incremental: boolean,
    private readonly clock: FakeClock,
  ) {
    this.stream = this.#open();
  }

  get quiet(): boolean {
    return this.#requests.length + this.#responses.length === 0;
  }

  wanted(type: ResourceType, name: string): boolean {
    const { wildcard, names } = this.wants.get(type) as Want;
    return wildcard || names.has(name);
  }

  toggle(type: ResourceType, name: string): void {
    const want = this.wants.get(type) as Want;
    if (name === '*') {
      if (!isFullSet(type)) return;
      want.wildcard = !want.wildcard;
      this.change(type, want.wildcard, '*');
      if (!want.wildcard) this.#forget(type);
    } else if (want.names.delete(name)) {
      this.change(type, false, name);
      if (!want.wildcard) this.#forget(type);
    } else {
      want.names.add(name);
      this.change(type, true, name);
    }
  }

  /** Everything on the wire is lost; the client says anew what it wants. */
  reconnect(snapshot: Snapshot | undefined): void {
    this.stream.close();
    this.#requests = [];
    this.#responses = [];
    this.asked.clear();
    this.nonces.clear();
    this.stream = this.#open();
    if (snapshot !== undefined) this.stream.target(snapshot);
    for (const [type, { wildcard, names }] of this.wants) if (wildcard || names.size > 0) this.resume(type);
  }

  /** One message arrives: at the server, or here. */
  deliver(atServer: boolean): void {
    if (atServer) {
      const [type, request] = this.#requests.shift() ?? [];
      if (type !== undefined && request !== undefined) this.stream.request(type, request, 0);
    } else {
      const response = this.#responses.shift();
      if (response === undefined) return;
      this.nonces.set(response.type, response.nonce);
      this.take(response, this.cache.get(response.type) as Map<string, string>);
      this.accept(response);
    }
  }

  protected send(type: ResourceType, wanted: StreamRequest['wanted'], nonce: string): void {
    this.asked.add(type);
    this.#requests.push([type, { wanted, nonce, error: undefined }]);
  }

  /** What is wanted has changed by one name. */
  protected abstract change(type: ResourceType, more: boolean, name: string): void;
  /** The first request of a type on a stream after another. */
  protected abstract resume(type: ResourceType): void;
  protected abstract take(response: StreamResponse, cache: Map<string, string>): void;
  protected abstract accept(response: StreamResponse): void;

  #forget(type: ResourceType): void {
    const cache = this.cache.get(type) as Map<string, string>;
    for (const name of cache.keys()) if (!this.wanted(type, name)) cache.delete(name);
  }

  #open(): ClientStream {
    return new ClientStream({
      clock: this.clock,
      incremental: this.incremental,
      holdMs: HOLD_MS,
      warmingMs: WARMING_MS,
      send: (response) => this.#responses.push(response),
    });
  }
}

class SotwClient extends Client {
  constructor(clock: FakeClock) {
    super(false, clock);
  }

  protected change(type: ResourceType): void {
    this.resume(type);
  }

  protected resume(type: ResourceType): void {
    const { wildcard, names } = this.wants.get(type) as Want;
    const all = wildcard ? ['*', ...names] : [...names];
    // A first request that names nothing would mean everything.
    if (all.length > 0 || this.asked.has(type)) this.send(type, { names: all }, this.nonces.get(type) ?? '');
  }

  protected take({ type, resources }: StreamResponse, cache: Map<string, string>): void {
    if (isFullSet(type)) cache.clear();
    for (const { name, version } of resources) if (this.wanted(type, name)) cache.set(name, version);
  }

  protected accept({ type }: StreamResponse): void {
    this.resume(type);
  }
}

class DeltaClient extends Client {
  constructor(clock: FakeClock) {
    super(true, clock);
  }

  protected change(type: ResourceType, more: boolean, name: string): void {
    // A first request that subscribes to nothing would mean everything.
    if (more) this.send(type, { subscribe: [name], unsubscribe: [], versions: {} }, '');
    else if (this.asked.has(type)) this.send(type, { subscribe: [], unsubscribe: [name], versions: {} }, '');
  }

  protected resume(type: ResourceType): void {
    const { wildcard, names } = this.wants.get(type) as Want;
    const versions = Object.fromEntries(this.cache.get(type) as Map<string, string>);
    this.send(type, { subscribe: wildcard ? ['*', ...names] : [...names], unsubscribe: [], versions }, '');
  }

  protected take({ type, resources, absent }: StreamResponse, cache: Map<string, string>): void {
    for (const { name, version } of resources) if (this.wanted(type, name)) cache.set(name, version);
    for (const name of absent) cache.delete(name);
  }

  protected accept({ type, nonce }: StreamResponse): void {
    this.send(type, { subscribe: [], unsubscribe: [], versions: {} }, nonce);
  }
}

const NAMES = ['a', 'b', 'c'];
const some = fc.subarray(NAMES);
/** Not consistent, on purpose: what a client holds must not depend on it. */
const config = fc
  .record({ listeners: some, routes: some, clusters: some, endpoints: some, port: fc.nat(2), seconds: fc.nat(2) })
  .map(
    (it): ResourceSet =>
      resourceSet({
        clusters: it.clusters.map((name) => edsCluster(name, { connect_timeout: { seconds: it.seconds } })),
        endpoints: it.endpoints.map((name) => endpoints(name, 9_000 + it.port)),
        listeners: it.listeners.map((name) => listener(name, name)),
        routes: it.routes.map((name) => routes(name, `c${it.seconds}`)),
      }),
  );
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ publish: config }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constantFrom(...RESOURCE_TYPES), toggle: fc.constantFrom('*', ...NAMES) }),
  },
  { weight: 1, arbitrary: fc.constant('reconnect' as const) },
  { weight: 1, arbitrary: fc.record({ pass: fc.constantFrom(WARMING_MS, HOLD_MS) }) },
  { weight: 10, arbitrary: fc.record({ atServer: fc.boolean() }) },
);
const story = fc.array(step, { maxLength: 60, size: 'max' });

/** All messages arrive. */
function settle(client: Client): void {
  for (let i = 0; !client.quiet; i++) {
    if (i > 1_000) throw new Error('the exchange does not come to an end');
    client.deliver(true);
    client.deliver(false);
  }
}

const snapshotOf = (set: ResourceSet): Snapshot => {
  // `buildSnapshot` refuses what is inconsistent, so the types are built apart, with nothing that they could refer to.
  const complete = resourceSet({
    clusters: [...NAMES.map((name) => edsCluster(name)), ...[0, 1, 2].map((n) => edsCluster(`c${n}`))],
    endpoints: [...NAMES.map((name) => endpoints(name, 1)), ...[0, 1, 2].map((n) => endpoints(`c${n}`, 1))],
    routes: NAMES.map((name) => routes(name, 'c0')),
  });
  const types = RESOURCE_TYPES.map((type) => {
    const merged = { ...complete, [type]: set[type] };
    if (type === CLUSTER) merged[LISTENER] = new Map();
    if (type === CLUSTER) merged[ROUTE] = new Map();
    if (type === ENDPOINT) {
      merged[CLUSTER] = new Map();
      merged[ROUTE] = new Map();
    }
    return [type, buildSnapshot(merged, jsonEncode).types[type]] as const;
  });
  const byType = Object.fromEntries(types) as Snapshot['types'];
  return { version: types.map(([, { version }]) => version).join(), types: byType };
};

describe('after any sequence of configurations, subscriptions, messages and reconnects', () => {
  it('a client of either protocol holds what it wants as it is configured, and the server knows that it does', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (steps) => {
        const clock = new FakeClock();
        const clients = [new SotwClient(clock), new DeltaClient(clock)];
        let snapshot: Snapshot | undefined;
        for (const one of steps) {
          if (one === 'reconnect') for (const client of clients) client.reconnect(snapshot);
          else if ('publish' in one) {
            snapshot = snapshotOf(one.publish);
            for (const client of clients) client.stream.target(snapshot);
          } else if ('toggle' in one) for (const client of clients) client.toggle(one.type, one.toggle);
          else if ('pass' in one) await clock.advance(one.pass);
          else for (const client of clients) client.deliver(one.atServer);
        }
        for (const client of clients) {
          settle(client);
          // What is gone is kept for a while, for those who may use it; each step may set off the next.
          for (let i = 0; i < 4; i++) {
            await clock.advance(HOLD_MS);
            settle(client);
          }
        }
        if (snapshot === undefined) return;
        for (const client of clients) {
          expect(client.stream.synced).toBe(true);
          for (const type of RESOURCE_TYPES) {
            const { resources } = snapshot.types[type];
            const expected = [...resources.values()].filter(({ name }) => client.wanted(type, name));
            const held = [...(client.cache.get(type) as Map<string, string>)];
            // State of the world cannot tell that an RDS or EDS resource is gone.
            const tellsRemovals = client instanceof DeltaClient || isFullSet(type);
            const comparable = held.filter(([name]) => tellsRemovals || resources.has(name));
            expect(comparable.sort()).toEqual(expected.map(({ name, version }) => [name, version]).sort());
          }
          client.stream.close();
        }
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });
});
