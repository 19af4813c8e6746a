import fc from 'fast-check';
import { expect, test } from 'vitest';
import { changedKeys, LayeredMap } from '../../src/core/layered-map.js';

test('a changed copy is what a changed Map would be, all earlier ones stay as they were, and what differs is found', () => {
  const changes = fc.array(fc.array(fc.tuple(fc.nat(60), fc.nat(5)), { maxLength: 8 }), { maxLength: 30 });
  fc.assert(
    fc.property(changes, fc.nat(30), (steps, looked) => {
      const start = new Map(Array.from({ length: 50 }, (_, i) => [i, 0]));
      const versions: [LayeredMap<number, number>, Map<number, number>][] = [[LayeredMap.over(start), new Map(start)]];
      for (const step of steps) {
        const [last, model] = versions.at(-1) as (typeof versions)[0];
        const next = new Map(model);
        for (const [key, value] of step) if (next.has(key)) next.set(key, value);
        versions.push([last.with(step), next]);
      }
      for (const [map, model] of versions) {
        expect([...map]).toEqual([...model]);
        expect([map.size, [...map.keys()], [...map.values()]]).toEqual([
          model.size,
          [...model.keys()],
          [...model.values()],
        ]);
        expect([map.get(49), map.get(60), map.has(60)]).toEqual([model.get(49), undefined, false]);
      }
      const [before, old] = versions[Math.min(looked, versions.length - 1)] as (typeof versions)[0];
      const [after, now] = versions.at(-1) as (typeof versions)[0];
      const differ = [...now].filter(([key, value]) => old.get(key) !== value).map(([key]) => key);
      const byNumber = (a: number, b: number): number => a - b;
      expect([...changedKeys(before, after)].sort(byNumber)).toEqual(differ);
      expect([...changedKeys(old, now)].sort(byNumber)).toEqual(differ);
    }),
  );
});

test('what differs by one is found without looking at the rest', () => {
  let looked = 0;
  const base = new Map(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, {}]));
  const counting = new Proxy(base, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== 'function') return value;
      looked += name === 'get' || name === 'has' ? 1 : 1_000;
      return value.bind(target) as unknown;
    },
  });
  const map = LayeredMap.over<string, object>(counting);
  const next = map.with([['k7', {}]]);
  expect(changedKeys(map, next)).toEqual(['k7']);
  expect(looked).toBeLessThan(10);
});

test('visits entries as a Map does', () => {
  const seen: [string, number][] = [];
  LayeredMap.over(new Map([['a', 1]]))
    .with([['a', 2]])
    .forEach((value, key) => void seen.push([key, value]));
  expect(seen).toEqual([['a', 2]]);
});
