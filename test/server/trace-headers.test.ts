import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { validBaggage, validTraceparent, validTracestate } from '../../src/server/trace-headers.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const VALID = `00-${TRACE}-00f067aa0ba902b7-01`;

describe('traceparent', () => {
  test('a valid one passes as it is', () => {
    expect(validTraceparent(VALID)).toBe(VALID);
  });

  test('one of a higher version is cut to what version 00 has', () => {
    expect(validTraceparent(`cc${VALID.slice(2)}-more`)).toBe(VALID);
  });

  test.each([
    undefined,
    '',
    `ff${VALID.slice(2)}`,
    `${VALID}-more`,
    `${VALID}.more`,
    VALID.toUpperCase(),
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `${VALID}, ${VALID}`,
    `${VALID}\n`,
    `cc${VALID.slice(2)}${'-x'.repeat(1_000)}`,
  ])('%j is dropped', (value) => {
    expect(validTraceparent(value)).toBeUndefined();
  });
});

describe('tracestate', () => {
  test('members keep their order, and spaces around them go', () => {
    expect(validTracestate('rojo=00f067aa0ba902b7 , ,congo=t61rcWkgMzE,fw529a3039@dt=FfAAAAAAAAAAAA')).toBe(
      'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,fw529a3039@dt=FfAAAAAAAAAAAA',
    );
  });

  test.each([
    ['a member without a value', 'a'],
    ['an empty value', 'a='],
    ['an equals sign in a value', 'a=b=c'],
    ['a key in upper case', 'A=1'],
    ['a key twice', 'a=1,a=2'],
    ['more than 32 members', Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(',')],
    ['a control character', 'a=b\u0007'],
    ['nothing', ' , '],
  ])('%s makes the whole header invalid', (_, value) => {
    expect(validTracestate(value)).toBeUndefined();
  });

  test('one that is too long loses long members first, then the last ones', () => {
    const long = `long=${'x'.repeat(200)}`;
    const many = Array.from({ length: 10 }, (_, i) => `k${i}=${'y'.repeat(50)}`);
    const kept = validTracestate([long, ...many].join(',')) as string;
    expect(kept.length).toBeLessThanOrEqual(512);
    expect(kept).not.toContain('long=');
    expect(kept.startsWith('k0=')).toBe(true);
    expect(kept).not.toContain('k9=');
  });
});

describe('baggage', () => {
  test('valid members pass with their properties, others are left out', () => {
    expect(validBaggage('userId=alice, bad member, serverNode=DF%2028;p=1;q , =x,é=1')).toBe(
      'userId=alice,serverNode=DF%2028;p=1;q',
    );
  });

  test('64 members and 8192 bytes are the limit', () => {
    const many = Array.from({ length: 100 }, (_, i) => `k${i}=1`).join(',');
    expect(validBaggage(many)?.split(',').length).toBe(64);
    const big = Array.from({ length: 10 }, (_, i) => `k${i}=${'x'.repeat(1_500)}`).join(',');
    expect(validBaggage(big)?.length).toBeLessThanOrEqual(8_192);
    expect(validBaggage(`k=${'x'.repeat(1_000_000)}`)).toBeUndefined();
  });
});

test('whatever strangers send, nothing throws and what is let through is printable and valid again', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[0-9a-f=;,@ \-%]*$/),
    fc
      .array(fc.constantFrom('a=1', ';', ',', '=', 'x@y=z', VALID, ' ', '\t', 'k=v;p=1'))
      .map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      for (const valid of [validTraceparent, validTracestate, validBaggage]) {
        const passed = valid(text);
        if (passed === undefined) continue;
        expect(passed).toMatch(/^[\x20-\x7e\t]+$/);
        expect(valid(passed)).toBe(passed);
      }
    }),
    { numRuns: 5_000 },
  );
});
