import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CidrRange } from '../../../src/core/model/server.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { cidrRange } from '../../../src/xds/resources/cidr.js';
import { Message, ResourceError } from '../../../src/xds/resources/message.js';
import { decoders } from '../../support/decoders.js';
import { chain, cidr, listenerOf } from '../../support/server-resources.js';

const read = (address: string, length?: number): CidrRange => cidrRange(new Message(cidr(address, length), 'range'));
const shown = ({ address, prefixLength }: CidrRange): string => `${address}/${prefixLength}`;

describe('a CIDR range (gRFC A36)', () => {
  test.each<[string, number | undefined, string]>([
    ['192.168.1.77', 24, '192.168.1.0/24'],
    ['192.168.1.77', 32, '192.168.1.77/32'],
    ['192.168.1.77', 33, '192.168.1.77/32'],
    ['192.168.1.77', 0, '0.0.0.0/0'],
    ['192.168.1.77', undefined, '0.0.0.0/0'],
    ['192.168.255.77', 17, '192.168.128.0/17'],
    ['2001:DB8:0::01', 128, '2001:db8::1/128'],
    ['2001:db8::ffff', 300, '2001:db8::ffff/128'],
    ['2001:db8:1:2:3:4:5:6', 33, '2001:db8::/33'],
    ['2001:0:0:1:0:0:0:1', 128, '2001:0:0:1::1/128'],
    ['1:0:2:0:3:0:4:0', 128, '1:0:2:0:3:0:4:0/128'],
    ['::', undefined, '::/0'],
    ['1::', 16, '1::/16'],
    ['::ffff:10.1.2.3', 104, '10.0.0.0/8'],
    ['::ffff:10.1.2.3', 128, '10.1.2.3/32'],
    ['::ffff:0:0', 96, '0.0.0.0/0'],
    ['::ffff:10.1.2.3', 95, '::fffe:0:0/95'],
    ['64:ff9b::1.2.3.4', 128, '64:ff9b::102:304/128'],
  ])('%s with prefix_len %s is %s', (address, length, expected) => {
    expect(shown(read(address, length))).toBe(expected);
  });

  const address = fc.oneof(fc.ipV4(), fc.ipV6());

  test('covers what a BlockList of it covers, and is canonical', () => {
    fc.assert(
      fc.property(address, fc.nat(128), address, (base, length, other) => {
        const range = read(base, length);
        expect(isIP(range.address)).toBeGreaterThan(0);
        // Reading the result again changes nothing.
        expect(read(range.address, range.prefixLength)).toEqual(range);
        const bits = isIP(base) === 4 ? 32 : 128;
        fc.pre(isIP(range.address) === isIP(base));
        const [ours, theirs] = [new BlockList(), new BlockList()];
        const family = bits === 32 ? 'ipv4' : 'ipv6';
        ours.addSubnet(range.address, range.prefixLength, family);
        theirs.addSubnet(base, Math.min(length, bits), family);
        for (const candidate of [base, other]) {
          const kind = isIP(candidate) === 4 ? 'ipv4' : 'ipv6';
          expect(ours.check(candidate, kind)).toBe(theirs.check(candidate, kind));
        }
      }),
    );
  });

  test('any text is a range or a refusal', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.%/]{0,40}$/)), fc.nat(), (text, length) => {
        try {
          expect(isIP(read(text, length).address)).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ResourceError);
        }
      }),
    );
  });
});

describe('uniqueness of filter chain matches (gRFC A36)', () => {
  const ranges = fc.uniqueArray(fc.constantFrom('10.0.0.0', '11.0.0.0', '::'), { maxLength: 2 });
  const match = fc.record({
    prefix_ranges: ranges.map((list) => list.map((item) => cidr(item, 8))),
    source_prefix_ranges: ranges.map((list) => list.map((item) => cidr(item, 8))),
    source_ports: fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    server_names: fc.uniqueArray(fc.constantFrom('a', 'b'), { maxLength: 1 }),
    transport_protocol: fc.constantFrom('', 'raw_buffer'),
    source_type: fc.constantFrom('ANY', 'EXTERNAL'),
  });

  /** Two products share a choice exactly when they share one in each field; an absent field is a choice of its own. */
  const overlap = (a: Resource, b: Resource): boolean =>
    Object.keys(a).every((field) => {
      const [x, y] = [a, b].map((one) => {
        const value = one[field];
        return new Set(Array.isArray(value) ? value.map((item) => JSON.stringify(item)) : [value]);
      });
      if (x === undefined || y === undefined) return false;
      return x.size === 0 || y.size === 0 ? x.size === y.size : [...x].some((item) => y.has(item));
    });

  test('a listener is refused exactly when the Cartesian products of two matches share a member', () => {
    fc.assert(
      fc.property(fc.array(match, { minLength: 2, maxLength: 4 }), (matches) => {
        const clash = matches.some((a, i) => matches.slice(i + 1).some((b) => overlap(a, b)));
        const resource = listenerOf(
          'l',
          matches.map((one) => chain(one)),
          { default_filter_chain: chain(undefined) },
        );
        const decode = () => decoders[LISTENER](resource, 'l');
        if (clash) expect(decode).toThrow('must be unique');
        else expect(decode).not.toThrow();
      }),
    );
  });
});
