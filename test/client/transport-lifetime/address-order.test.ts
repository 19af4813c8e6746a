import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressOrder } from '../../../src/client/transport/address-order.js';
import type { Address } from '../../../src/core/model/endpoint.js';

const at = (hosts: readonly string[]): [Address, ...Address[]] =>
  hosts.map((host) => ({ host, port: 80 })) as [Address, ...Address[]];
const order = (...hosts: string[]): string[] => addressOrder(at(hosts)).map(({ host }) => host);

test('families take turns, that of the first address first', () => {
  expect(order('::1', '::2', '::3', '10.0.0.1', '10.0.0.2')).toEqual(['::1', '10.0.0.1', '::2', '10.0.0.2', '::3']);
  expect(order('10.0.0.1', '10.0.0.2', '::1')).toEqual(['10.0.0.1', '::1', '10.0.0.2']);
});

test('addresses of one family keep their order', () => {
  expect(order('10.0.0.3', '10.0.0.1', '10.0.0.2')).toEqual(['10.0.0.3', '10.0.0.1', '10.0.0.2']);
  expect(order('::1')).toEqual(['::1']);
});

test('each address is tried once, and those of a family in their order', () => {
  const hosts = fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(hosts, (given) => {
      const tried = order(...given);
      expect([...tried].sort()).toEqual([...given].sort());
      expect(tried[0]).toBe(given[0]);
      for (const isOne of [(host: string) => host.includes(':'), (host: string) => /^[\d.]+$/.test(host)]) {
        expect(tried.filter(isOne)).toEqual(given.filter(isOne));
      }
    }),
  );
});
