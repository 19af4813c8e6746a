import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../../../src/controlplane/yaml/duration.js';

describe('GEP-2257 durations', () => {
  // The GEP's own test vectors.
  test.each([
    ['0h', '0s', 0],
    ['0h0m0s', '0s', 0],
    ['1h', '1h', 3_600_000],
    ['30m', '30m', 1_800_000],
    ['500ms', '500ms', 500],
    ['150m', '2h30m', 9_000_000],
    ['7230s', '2h30s', 7_230_000],
    ['1h30m10s', '1h30m10s', 5_410_000],
    ['10s30m1h', '1h30m10s', 5_410_000],
    ['100ms200ms300ms', '600ms', 600],
    ['00060m', '1h', 3_600_000],
  ])('%s is %s', (text, standard, ms) => {
    expect(DURATION_PATTERN.test(text)).toBe(true);
    expect(parseDuration(text)).toBe(ms);
    expect(formatDuration(ms)).toBe(standard);
  });

  test.each(['1', '', '0', '1m1', '1d', '1h30m10s20ms50h', '999999h', '1.5h', '-15m', ' 1s', '1s\n'])(
    '%j is refused',
    (text) => {
      expect(DURATION_PATTERN.test(text)).toBe(false);
    },
  );

  test('every duration is read back from its standard form', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99_999 * 3_600_000 }), (ms) => {
        const text = formatDuration(ms);
        expect(DURATION_PATTERN.test(text)).toBe(true);
        expect(parseDuration(text)).toBe(ms);
      }),
    );
  });
});
