import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dataPlaneAuthority, formatXdsTarget, parseXdsTarget } from '../../src/core/xds-target.js';

describe('a gRPC target (gRFC A27, A47)', () => {
  test.each([
    ['xds:///reviews', undefined, 'reviews'],
    ['xds:reviews:8080', undefined, 'reviews:8080'],
    ['xds:/reviews', undefined, 'reviews'],
    ['xds://east/reviews:8080', 'east', 'reviews:8080'],
    ['xds://traffic-director.example:443/a/b', 'traffic-director.example:443', 'a/b'],
    ['xds://e%20t/a%2Fb?x#y', 'e t', 'a/b'],
    ['xds:///50%', undefined, '50%'],
    ['reviews:8080', undefined, 'reviews:8080'],
    ['xds', undefined, 'xds'],
    ['xds.example:80', undefined, 'xds.example:80'],
  ])('%s is for authority %s and destination %s', (target, xdsAuthority, name) => {
    expect(parseXdsTarget(target)).toEqual({ xdsAuthority, name });
  });

  test('the authority of the data plane has slashes percent-encoded', () => {
    expect(dataPlaneAuthority(parseXdsTarget('xds:///a/b'))).toBe('a%2Fb');
  });

  test('what is written is read back', () => {
    const name = fc.string({ unit: 'binary' }).filter((text) => !text.startsWith('/'));
    const xdsAuthority = fc.option(fc.string({ unit: 'binary', minLength: 1 }), { nil: undefined });
    fc.assert(
      fc.property(fc.record({ xdsAuthority, name }), (target) => {
        expect(parseXdsTarget(formatXdsTarget(target))).toEqual(target);
      }),
    );
  });
});
