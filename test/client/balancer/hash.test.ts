import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { needsHash64 } from '../../../src/client/balancer/balancer.js';
import { highWord, loadHash64, lowWord } from '../../../src/client/balancer/hash.js';

describe('XXH64', () => {
  test("is the reference implementation's", async () => {
    const hash64 = await loadHash64();
    // The values of Envoy's hash_test.cc.
    expect(hash64('')).toBe(17241709254077376921n);
    expect(hash64('lyft')).toBe(4400747396090729504n);
    expect(hash64('foo')).toBe(3728699739546630719n);
    expect(hash64('bar')).toBe(5234164152756840025n);
    expect(hash64('foo\nbar')).toBe(8917841378505826757n);
    expect(hash64('foo', 1n)).not.toBe(hash64('foo'));
    expect(await loadHash64()).toBe(hash64);
  });

  test('falls into an upper and a lower word', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (hash) => {
        expect((BigInt(highWord(hash)) << 32n) | BigInt(lowWord(hash))).toBe(hash);
      }),
    );
  });

  test('is needed for rings, tables and apertures, and for nothing else', () => {
    expect(needsHash64({ balancer: { kind: 'ring_hash', minSize: 1, maxSize: 1 } })).toBe(true);
    expect(needsHash64({ balancer: { kind: 'maglev', tableSize: 7 } })).toBe(true);
    const random = { kind: 'random' } as const;
    expect(needsHash64({ balancer: random, aperture: { kind: 'random_subsetting', size: 1 } })).toBe(true);
    expect(needsHash64({ balancer: random })).toBe(false);
  });
});
