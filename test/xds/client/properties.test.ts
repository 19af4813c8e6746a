import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, type ResourceType } from '../../../src/core/resources.js';
import type { ApiType } from '../../../src/xds/bootstrap/index.js';
import { settle } from '../../support/fake-clock.js';
import { type Harness, NO_FEATURES, Recorder, start } from './harness.js';
import { ModelPlane } from './model-plane.js';

type Step =
  | { readonly kind: 'watch' | 'unwatch' | 'delete'; readonly type: ResourceType; readonly name: string }
  | { readonly kind: 'put'; readonly type: ResourceType; readonly name: string; readonly value: number }
  | { readonly kind: 'request' | 'response' | 'cut' | 'wait' };

const types = fc.constantFrom(CLUSTER, ENDPOINT);
const names = fc.constantFrom('a', 'b', 'c');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('watch' as const), type: types, name: names }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('unwatch' as const), type: types, name: names }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      type: types,
      name: names,
      value: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), type: types, name: names }) },
  { weight: 8, arbitrary: fc.constantFrom<Step>({ kind: 'request' }, { kind: 'response' }) },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ kind: 'cut' }, { kind: 'wait' }) },
);

/** More than any run has after its last step, in which nothing changes any more. */
const MAX_EXCHANGES = 1_000;

/** The client, the server, and who watches what. */
class Run {
  readonly isDelta: boolean;
  readonly plane: ModelPlane;
  readonly harness: Harness;
  readonly #watched = new Map<string, { readonly stop: () => void; readonly watcher: Recorder }>();
  /** Watched resources that the server has had since they were. */
  readonly #always = new Set<string>();
  /** Names that the client was told do not exist. In delta the next word of such a one counts at once. */
  readonly #absent = new Set<string>();

  constructor(apiType: ApiType, lenient: boolean) {
    this.isDelta = apiType.includes('DELTA');
    this.plane = new ModelPlane(lenient);
    // What is gone shall be gone, so that the cache can be compared to the server.
    const features = { ...NO_FEATURES, failOnDataErrors: true };
    const transport = async () => this.plane.transport;
    this.harness = start('127.0.0.1:1', { apiType, features }, { transport });
  }

  async take(next: Step): Promise<void> {
    const { plane } = this;
    switch (next.kind) {
      case 'request':
        plane.handleRequest();
        break;
      case 'response':
        plane.deliver();
        break;
      case 'cut':
        plane.cut();
        break;
      case 'wait':
        await this.harness.clock.advance(2_000);
        break;
      case 'put':
        plane.put(next.type, next.name, next.value);
        break;
      case 'watch':
        this.#watch(next.type, next.name);
        break;
      case 'unwatch':
        this.#unwatch(next.type, next.name);
        break;
      case 'delete':
        // SotW has no word for the deletion of an endpoint assignment.
        if (next.type === CLUSTER || this.isDelta) this.#delete(next.type, next.name);
        break;
    }
    await settle();
    this.#checkAlways();
  }

  /** Until nothing is under way any more, and whatever is waited for has come or timed out. */
  async drain(): Promise<void> {
    let exchanges = 0;
    for (let quiet = 0; quiet < 3; quiet++) {
      await settle();
      while (this.plane.hasRequest || this.plane.hasResponse) {
        this.plane.handleRequest();
        this.plane.deliver();
        await settle();
        quiet = 0;
        if (++exchanges > MAX_EXCHANGES) throw new Error('client and server never come to an end');
      }
      await this.harness.clock.advance(130_000);
    }
  }

  /** What the client has, and what the watchers were told last; beside what the server has. */
  compare(): void {
    const cached = this.harness.client.dump().resources;
    expect(cached.map(({ type, name }) => `${type} ${name}`).sort()).toEqual([...this.#watched.keys()].sort());
    for (const { type, name, state, raw } of cached) {
      const value = this.plane.resources.get(type)?.get(name);
      const { told, values } = this.#watched.get(`${type} ${name}`)?.watcher ?? new Recorder();
      if (value === undefined) {
        expect([name, state, raw, told.at(-1)]).toEqual([name, 'DOES_NOT_EXIST', undefined, 'failed: does-not-exist']);
      } else {
        expect([name, state]).toEqual([name, 'ACKED']);
        // Over delta a server that is back, and has nothing new, says nothing: that it is there is not known (A57).
        expect(this.isDelta ? ['changed', 'ambient'] : ['changed']).toContain(told.at(-1));
        expect(JSON.stringify(values.at(-1))).toContain(type === CLUSTER ? `value ${value}` : `{"seconds":${value}}`);
      }
    }
    expect(this.plane.faults).toEqual([]);
    expect(this.plane.wanted()).toEqual([...this.#watched.keys()].sort());
  }

  #watch(type: ResourceType, name: string): void {
    const key = `${type} ${name}`;
    if (this.#watched.has(key)) return;
    const watcher = new Recorder();
    const isDoubted = !this.isDelta || !this.#absent.has(key);
    if (isDoubted && this.plane.resources.get(type)?.has(name)) this.#always.add(key);
    this.#watched.set(key, { watcher, stop: this.harness.client.watch(type, name, watcher) });
  }

  #delete(type: ResourceType, name: string): void {
    this.#always.delete(`${type} ${name}`);
    this.plane.delete(type, name);
  }

  /** A response that was under way when it was asked for says nothing of its absence. */
  #checkAlways(): void {
    for (const key of this.#always)
      expect(this.#watched.get(key)?.watcher.told).not.toContain('failed: does-not-exist');
  }

  #unwatch(type: ResourceType, name: string): void {
    const key = `${type} ${name}`;
    const watched = this.#watched.get(key);
    if (watched?.watcher.told.includes('failed: does-not-exist')) this.#absent.add(key);
    watched?.stop();
    this.#watched.delete(key);
    this.#always.delete(key);
  }
}

/** An endpoint assignment is left and watched again while another request is on its way out, so that the server hears of neither. */
const behindAnother: Step[] = [
  { kind: 'put', type: ENDPOINT, name: 'b', value: 1 },
  { kind: 'watch', type: ENDPOINT, name: 'b' },
  { kind: 'request' },
  { kind: 'watch', type: CLUSTER, name: 'a' },
  { kind: 'response' },
  { kind: 'unwatch', type: ENDPOINT, name: 'b' },
  { kind: 'watch', type: ENDPOINT, name: 'b' },
];

describe.each([
  ['AGGREGATED_GRPC', false, 'a server that keeps to the protocol'],
  ['AGGREGATED_GRPC', true, 'a server that does not look at nonces'],
  ['AGGREGATED_DELTA_GRPC', false, 'a server that keeps to the protocol'],
  ['GRPC', false, 'a server that keeps to the protocol'],
  ['GRPC', true, 'a server that does not look at nonces'],
  ['DELTA_GRPC', false, 'a server that keeps to the protocol'],
] as const)('%s (lenient: %s), %s', (apiType, lenient, _) => {
  test('whatever is watched, left, changed, deleted and cut off, in whatever order it crosses: in the end the client has what the server has', async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const run = new Run(apiType, lenient);
      try {
        for (const next of steps) await run.take(next);
        await run.drain();
        run.compare();
      } finally {
        await run.harness.client.close();
      }
      expect(run.harness.clock.pending).toBe(0);
    });
    await fc.assert(property, { numRuns: 200, examples: [[behindAnother]] });
  });
});
