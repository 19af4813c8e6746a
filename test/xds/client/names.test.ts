import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLUSTER, LISTENER } from '../../../src/core/resources.js';
import { canonicalName, parseResourceName } from '../../../src/xds/client/names.js';

const TYPE = 'envoy.config.listener.v3.Listener';
const name = (rest: string): string => `xdstp://auth/${TYPE}/${rest}`;
const canonical = (given: string): string => parseResourceName(LISTENER, given).name;

describe('names of resources (gRFC A47, xRFC TP1)', () => {
  test.each(['reviews', 'a*', 'xdst://a/b/c', 'XDSTP://a/b/c', 'a%zz'])(
    'an old-style name is taken as it is: %j',
    (given) => {
      expect(parseResourceName(LISTENER, given)).toEqual({ authority: undefined, name: given });
    },
  );

  test.each([
    ['xdstp://x.example/', 'x.example'],
    ['xdstp:///', ''],
    ['xdstp://a%20b/', 'a b'],
    ['xdstp://a:1/', 'a:1'],
  ])('the authority of %s is %j', (start, authority) => {
    expect(parseResourceName(LISTENER, `${start}${TYPE}/id`).authority).toBe(authority);
  });

  test.each([
    ['parameters in another order', 'id?b=2&a=1', 'id?a=1&b=2'],
    ['encoding that is not needed', '%61%3A1/x?%61=%3A', 'a:1/x?a=:'],
    ['encoding that is missing', 'a b?x=a b', 'a%20b?x=a%20b'],
    ['small hexadecimal digits', 'a%c3%a9', 'a%C3%A9'],
    ['no parameters after all', 'id?', 'id'],
    ['a parameter without a value', 'id?b', 'id?b='],
  ])('%s is the same name', (_, given, same) => {
    expect(canonical(name(given))).toBe(name(same));
  });

  test('an encoded slash is not a slash, and an encoded & or = does not end a parameter', () => {
    expect(canonical(name('a%2Fb'))).toBe(name('a%2Fb'));
    expect(canonical(name('a?x=%26%3D'))).toBe(name('a?x=%26%3D'));
  });

  test.each([
    ['xdstp:foo', 'must be xdstp://authority/type/id?key=value'],
    [`xdstp://a/${TYPE}`, 'must be xdstp://authority/type/id?key=value'],
    [name('a#alt=b'), 'must be xdstp://authority/type/id?key=value'],
    [name('%zz'), 'has a percent sign or a character that encodes nothing'],
    [name('\ud800'), 'has a percent sign or a character that encodes nothing'],
    [name('a?x=1&x=2'), 'gives the context parameter "x" twice'],
  ])('%s is refused', (given, why) => {
    expect(() => parseResourceName(LISTENER, given)).toThrow(`resource name "${given}": ${why}`);
    expect(canonicalName(LISTENER, given)).toBe(given);
  });

  // "the special resource name *" is a subscription to all there is, and an empty list of names was one - xds_protocol
  test.each([
    ['*', 'means every resource there is: give the name of one'],
    ['', 'is empty'],
  ])('%j is no name of a resource', (given, why) => {
    expect(() => parseResourceName(CLUSTER, given)).toThrow(`resource name "${given}": ${why}`);
  });

  test('the type in the name must be the one that is asked for', () => {
    expect(() => parseResourceName(CLUSTER, name('a'))).toThrow(
      `names a ${TYPE} where a envoy.config.cluster.v3.Cluster`,
    );
  });

  test('anything is read or refused, and the canonical name of a canonical name is itself', () => {
    const part = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(part, part, part, (authority, id, context) => {
        const given = `xdstp://${authority}/${TYPE}/${id}?${context}`;
        const once = canonicalName(LISTENER, given);
        expect(canonicalName(LISTENER, once)).toBe(once);
      }),
    );
  });

  test('what is percent-encoded is found again', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (id) => {
        expect(decodeURIComponent(canonical(name(encodeURIComponent(id))))).toBe(name(id));
      }),
    );
  });
});
