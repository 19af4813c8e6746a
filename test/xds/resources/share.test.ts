import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { safeRegex } from '../../../src/core/regex/safe-regex.js';
import { runToEnd, type Steps } from '../../../src/core/steps.js';
import { deepFreeze, deepFreezeSteps, retain, retainSteps } from '../../../src/xds/resources/share.js';

describe('retain', () => {
  test('gives the previous object when nothing changed', () => {
    const make = () => deepFreeze({ a: [{ key: '1', x: new Set(['s']) }], b: new Uint8Array([1]), c: safeRegex('a+') });
    const before = make();
    expect(retain(before, make())).toBe(before);
  });

  test('keeps the members of a list that remain, wherever they are now', () => {
    const before = deepFreeze({
      list: [
        { key: 'a', v: 1 },
        { key: 'b', v: 1 },
        { key: 'c', v: 1 },
      ],
    });
    const after = retain(
      before,
      deepFreeze({
        list: [
          { key: 'c', v: 1 },
          { key: 'b', v: 2 },
          { key: 'a', v: 1 },
        ],
      }),
    );
    expect(after.list[0]).toBe(before.list[2]);
    expect(after.list[1]).not.toBe(before.list[1]);
    expect(after.list[2]).toBe(before.list[0]);
  });

  test('members of the same name are taken in their order', () => {
    const make = () =>
      deepFreeze([
        { name: 'a', v: 1 },
        { name: 'a', v: 2 },
      ]);
    const before = make();
    expect(retain(before, make())).toBe(before);
    const after = retain(
      before,
      deepFreeze([
        { name: 'a', v: 1 },
        { name: 'a', v: 3 },
        { name: 'a', v: 2 },
      ]),
    );
    expect(after[0]).toBe(before[0]);
  });

  test.each<[string, unknown, unknown]>([
    ['sets', new Set([1]), new Set([2])],
    ['sets of other size', new Set([1]), new Set([1, 2])],
    ['bytes', new Uint8Array([1]), new Uint8Array([2])],
    ['expressions', safeRegex('a+'), safeRegex('b+')],
    ['a field gone', { a: 1, b: undefined }, { a: 1 }],
    ['a field more', { a: 1 }, { a: 1, b: undefined }],
    ['kinds', { a: 1 }, [1]],
    ['values', 1, '1'],
  ])('takes the next: %s', (_, before, after) => {
    expect(retain(before, after)).toStrictEqual(after);
    expect(retain(before, after)).not.toBe(before);
  });

  test('gives the previous object for any equal one', () => {
    const item = fc.record({ name: fc.constantFrom('a', 'b'), v: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 6 }), (list) => {
        const before = deepFreeze(structuredClone(list));
        expect(retain(before, deepFreeze(structuredClone(list)))).toBe(before);
      }),
    );
  });

  test('is always equal to the next, and frozen, whatever was before', () => {
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(undefined, null, 0, 1, 'a', true),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'key', 'name', '__proto__', 'constructor'), tie('node'), {
          maxKeys: 3,
        }),
      ),
    })).node;
    fc.assert(
      fc.property(value, value, (before, after) => {
        const result = retain(deepFreeze(before), deepFreeze(structuredCloneKeepingKeys(after)));
        expect(result).toEqual(after);
        expect(typeof result !== 'object' || result === null || Object.isFrozen(result)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** structuredClone drops an own key `__proto__`. */
function structuredCloneKeepingKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structuredCloneKeepingKeys);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(Object.getPrototypeOf(value));
  for (const key of Object.keys(value)) {
    Object.defineProperty(copy, key, {
      value: structuredCloneKeepingKeys((value as Record<string, unknown>)[key]),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return copy;
}

describe('in steps', () => {
  const list = (parts: number, first = 0) =>
    deepFreeze({
      items: Array.from({ length: parts }, (_, i) => ({ key: String(first + i), at: { port: first + i } })),
    });
  const steps = (work: Steps<unknown>): number => {
    let count = 0;
    for (const _ of work) count++;
    return count;
  };

  test('a value is frozen and retained with a pause for each member of a long list', () => {
    const fresh = { items: Array.from({ length: 5_000 }, (_, i) => ({ key: String(i), at: { port: i } })) };
    expect(steps(deepFreezeSteps(fresh))).toBeGreaterThanOrEqual(5_000);
    expect(Object.isFrozen(fresh) && Object.isFrozen(fresh.items) && Object.isFrozen(fresh.items[4_999]?.at)).toBe(
      true,
    );
    expect(steps(retainSteps(list(5_000), fresh))).toBeGreaterThanOrEqual(5_000);
  });

  test('a small one has no pause', () => {
    expect(steps(deepFreezeSteps({ items: [{ key: 'a' }] }))).toBe(0);
    expect(steps(retainSteps(list(2), list(3)))).toBe(0);
  });

  test('a list in a list is walked in steps too, whichever is long', () => {
    const hosts = deepFreeze([{ name: 'v', routes: list(3_000).items }]);
    expect(steps(retainSteps(hosts, deepFreeze([{ name: 'v', routes: list(3_000).items }])))).toBeGreaterThan(3_000);
  });

  test('comes to the same as in one go', () => {
    const item = fc.record({ key: fc.constantFrom('a', 'b', 'c'), v: fc.nat(1) });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 6 }), fc.array(item, { maxLength: 6 }), (some, others) => {
        // So long that it takes steps, with what varies at both ends.
        const make = (ends: readonly unknown[]) => deepFreeze(structuredClone([...ends, ...list(600).items, ...ends]));
        const before = make(some);
        const after = make(others);
        const inSteps = runToEnd(retainSteps(before, after));
        expect(inSteps).toEqual(after);
        expect(inSteps).toEqual(retain(before, structuredClone(after)));
        const kept = (result: readonly unknown[]) => result.map((one) => before.indexOf(one as never));
        expect(kept(inSteps)).toEqual(kept(retain(before, deepFreeze(structuredClone(after)))));
      }),
      { numRuns: 30 },
    );
  });

  test('a long list that was compared with another is not looked at again', () => {
    const before = list(5_000);
    const after = runToEnd(retainSteps(before, list(5_000, 1)));
    expect(after.items[0]).toBe(before.items[1]);
    expect(retain(before, after)).toBe(after);
    // Put into another object, as the dependency manager does.
    expect(retain(deepFreeze({ name: 'c', ...before }), deepFreeze({ name: 'c', ...after })).items).toBe(after.items);
    expect(steps(retainSteps(before.items, after.items))).toBe(0);
  });
});
