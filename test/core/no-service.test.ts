import { expect, test } from 'vitest';
import { noService, noServiceIn } from '../../src/core/no-service.js';
import { INBOUND_PREFIX, MESH_INBOUND, SETTINGS_LISTENER } from '../../src/core/resources.js';

const NAMES = ['shop', 'shop:80', 'shop.default', 'cart', SETTINGS_LISTENER, MESH_INBOUND, `${INBOUND_PREFIX}cart`];
const LISTENERS = new Map(NAMES.map((name) => [name, {}]));
const of = (service: string): string | undefined => noService(`${INBOUND_PREFIX}${service}`, LISTENERS);

test('a name that is no Service’s is told with the one that is meant', () => {
  expect(of('shpo')).toBe('no Service "shpo": did you mean "shop"?');
  expect(of('shpo:80')).toBe('no Service "shpo:80": did you mean "shop:80"?');
  expect(of('warehouse')).toBe('no Service "warehouse"');
});

test('a Service that has no listener for its servers is there all the same; what is not for servers is no Service', () => {
  expect([of('shop'), of('cart'), of('*'), noService('shpo', LISTENERS)]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('it is found in the text of an error', () => {
  for (const service of ['shpo', 'warehouse']) {
    const said = of(service);
    expect(noServiceIn(`Listener "x": the control plane has an error for it, status 5: ${said} (node "n")`)).toBe(said);
  }
  expect(noServiceIn('Listener "x" does not exist')).toBeUndefined();
});

test('a mesh of many Services is not searched to its end', () => {
  const many = new Map(Array.from({ length: 100_000 }, (_, i) => [`service-number-${i}`, {}]));
  many.set('shop', {});
  expect(noService(`${INBOUND_PREFIX}shpo`, many)).toBe('no Service "shpo"');
});
