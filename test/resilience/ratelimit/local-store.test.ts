import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Limit } from '../../../src/core/model/limit.js';
import { LocalStore } from '../../../src/resilience/ratelimit/local-store.js';
import { FakeClock } from '../../support/fake-clock.js';
import { letsThrough, type Passed } from './oracle.js';

const PER = 1_000;
const bucket: Limit = { algorithm: 'token_bucket', requests: 4, perMs: PER, burst: 4 };
const window: Limit = { algorithm: 'fixed_window', requests: 4, perMs: PER };
const log: Limit = { algorithm: 'sliding_log', requests: 4, perMs: PER };
const KINDS: Readonly<Record<string, Limit>> = { bucket, window, log };
const MAX_KEYS = 5;

/** The store beside the list of what passed, by key. */
class Model {
  readonly passed = new Map<string, Passed[]>();
  readonly clock = new FakeClock(0, 0);
  readonly store = new LocalStore({ clock: this.clock, maxKeys: MAX_KEYS });
  /** Keys that may have been forgotten: there were more that counted than there is room for. */
  readonly doubtful = new Set<string>();

  /** Keys that count still. */
  live(): string[] {
    const now = this.clock.now();
    return [...this.passed].filter(([, list]) => list.some(({ at }) => at > now - 2 * PER)).map(([key]) => key);
  }
}

class Take implements fc.AsyncCommand<Model, Model> {
  constructor(
    readonly kind: string,
    readonly key: number,
    readonly cost: number,
  ) {}
  check = (): boolean => true;
  async run(model: Model): Promise<void> {
    const name = `${this.kind} ${this.key}`;
    const limit = KINDS[this.kind] as Limit;
    const list = model.passed.get(name) ?? [];
    const at = model.clock.now();
    const expected = letsThrough(limit, list, at, this.cost);
    const { allowed } = model.store.take(name, limit, this.cost);
    if (model.doubtful.has(name)) {
      if (expected) expect(allowed).toBe(true);
    } else expect(allowed).toBe(expected);
    if (allowed) model.passed.set(name, [...list, { at, cost: this.cost }]);
    const live = model.live();
    if (live.length > MAX_KEYS) for (const key of live) model.doubtful.add(key);
    for (const key of model.doubtful) if (!live.includes(key)) model.doubtful.delete(key);
    expect(model.store.size).toBeLessThanOrEqual(MAX_KEYS);
  }
  toString = (): string => `take(${this.kind} ${this.key}, ${this.cost})`;
}

class Wait implements fc.AsyncCommand<Model, Model> {
  constructor(readonly ms: number) {}
  check = (): boolean => true;
  async run(model: Model): Promise<void> {
    await model.clock.advance(this.ms);
  }
  toString = (): string => `wait(${this.ms})`;
}

test('as long as there is room for the keys that count, none is forgotten; beyond, nobody is refused for it', async () => {
  const commands = fc.commands(
    [
      fc
        .tuple(fc.constantFrom(...Object.keys(KINDS)), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 3 }))
        .map(([kind, key, cost]) => new Take(kind, key, cost)),
      fc.integer({ min: 1, max: 3 * PER }).map((ms) => new Wait(ms)),
    ],
    { maxCommands: 80 },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (all) => {
      const model = new Model();
      await fc.asyncModelRun(() => ({ model, real: model }), all);
      model.store.close();
      expect([model.store.size, model.store.bytes]).toEqual([0, 0]);
    }),
    { numRuns: 200 },
  );
});

for (const [kind, limit] of Object.entries(KINDS)) {
  test(`keys at their limit outlive a flood of fresh ones (${kind})`, () => {
    const store = new LocalStore({ clock: new FakeClock(), maxKeys: 101 });
    for (let i = 0; i < 20; i++) {
      store.take(`limited ${i}`, limit, 4);
      store.take(`used ${i}`, limit, 1 + (i % 3));
    }
    for (let i = 0; i < 10_000; i++) store.take(`fresh ${i}`, limit, 1);
    expect(store.size).toBe(101);
    for (let i = 0; i < 20; i++) expect(store.peek(`limited ${i}`, limit, 1).allowed).toBe(false);
  });
}

test('a quota that is used in part outlives a flood of keys of another rule, whatever these have used', () => {
  const store = new LocalStore({ clock: new FakeClock(), maxKeys: 200 });
  const quota: Limit = { algorithm: 'calendar', requests: 10, per: 'day', timeZone: 'UTC' };
  const anonymous: Limit = { algorithm: 'token_bucket', requests: 1, perMs: 600_000, burst: 1 };
  let passed = 0;
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 2; i++) if (store.take('quota', quota, 1).allowed) passed++;
    for (let i = 0; i < 400; i++) expect(store.take(`${round} ${i}`, anonymous, 1).allowed).toBe(true);
  }
  expect(passed).toBe(10);
  expect(store.size).toBe(200);
});

test('limits share the room: each keeps the keys at their limit that fit in its part', () => {
  const store = new LocalStore({ clock: new FakeClock(), maxKeys: 1_000 });
  for (let i = 0; i < 300; i++) store.take(`limited ${i}`, bucket, 4);
  for (let i = 0; i < 5_000; i++) {
    store.take(`fresh ${i}`, window, 1);
    store.take(`full ${i}`, log, 4);
  }
  for (let i = 0; i < 300; i++) expect(store.peek(`limited ${i}`, bucket, 1).allowed).toBe(false);
});

test('keys that have expired make room by themselves, a few with each new one', async () => {
  const clock = new FakeClock(0, 0);
  const store = new LocalStore({ clock });
  for (let i = 0; i < 1_000; i++) store.take(`old ${i}`, window, 1);
  await clock.advance(PER);
  expect(clock.pending).toBe(0);
  for (let i = 0; i < 500; i++) store.take(`new ${i}`, window, 1);
  expect(store.size).toBeLessThanOrEqual(501);
});

test('keys and logs stay within the bytes that they may take', () => {
  const clock = new FakeClock();
  const store = new LocalStore({ clock, maxBytes: 100_000 });
  const large: Limit = { algorithm: 'sliding_log', requests: 1_000, perMs: 1_000_000 };
  for (let i = 0; i < 5_000; i++) {
    void clock.advance(1);
    store.take(`key ${i % 50} ${'x'.repeat(100)}`, large, 1);
    expect(store.bytes).toBeLessThanOrEqual(100_000);
  }
  expect(store.size).toBeGreaterThan(10);
});

test('what was used stays used when the configuration gives a key another limit', () => {
  const clock = new FakeClock(0, 0);
  const store = new LocalStore({ clock });
  const limits: Limit[] = [
    bucket,
    window,
    log,
    { algorithm: 'sliding_window', requests: 4, perMs: PER },
    { algorithm: 'calendar', requests: 4, per: 'day', timeZone: 'UTC' },
  ];
  for (const from of limits) {
    for (const to of limits) {
      const key = `${from.algorithm} to ${to.algorithm}`;
      expect(store.take(key, from, 3).allowed).toBe(true);
      const more = { ...to, requests: 10, ...(to.algorithm === 'token_bucket' ? { burst: 10 } : {}) } as Limit;
      expect(store.peek(key, more, 1).remaining).toBe(7);
      expect(store.peek(key, to, 1).remaining).toBe(1);
      const less = { ...to, requests: 2, ...(to.algorithm === 'token_bucket' ? { burst: 2 } : {}) } as Limit;
      expect(store.peek(key, less, 1)).toMatchObject({ allowed: false, remaining: 0 });
    }
  }
});

test('what is given back can be taken again, but not in another window', async () => {
  const clock = new FakeClock(0, 0);
  const store = new LocalStore({ clock });
  for (const [kind, limit] of Object.entries(KINDS)) {
    const taken = store.take(kind, limit, 4);
    expect(store.peek(kind, limit, 1).allowed).toBe(false);
    store.giveBack(kind, limit, 4, taken);
    expect(store.peek(kind, limit, 4).allowed).toBe(true);
  }
  const old = store.take('late', window, 4);
  await clock.advance(PER);
  store.take('late', window, 4);
  store.giveBack('late', window, 4, old);
  expect(store.peek('late', window, 1).allowed).toBe(false);
});

test('a request that counts nothing is let through, and leaves nothing behind', () => {
  const store = new LocalStore({ clock: new FakeClock() });
  expect(store.take('key', window, 0).allowed).toBe(true);
  expect(store.size).toBe(0);
});

test('a key whose limit changes a thousand times keeps its count', () => {
  const store = new LocalStore({ clock: new FakeClock() });
  for (let i = 1; i <= 1_000; i++) expect(store.take('key', { ...window, requests: i }, 1).allowed).toBe(true);
  expect(store.peek('key', { ...window, requests: 1_000 }, 1).allowed).toBe(false);
  expect(store.size).toBe(1);
});
