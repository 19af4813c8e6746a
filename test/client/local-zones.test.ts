import { expect, test } from 'vitest';
import { LocalZones } from '../../src/client/local-zones.js';
import { ConfigUnavailableError } from '../../src/core/errors.js';
import { HandSource } from '../support/config.js';
import { anEndpoint } from '../support/endpoints.js';
import { aCluster, aTarget } from '../support/targets.js';

const zone = (name: string) => ({ region: 'eu', zone: name, subZone: '' });
const config = (...zones: readonly string[]) => {
  const { endpoints: _, ...cluster } = aCluster('shop', []);
  return aTarget(
    [],
    [{ ...cluster, endpoints: zones.map((name, i) => anEndpoint(`10.0.0.${i + 1}:80`, { locality: zone(name) })) }],
  );
};

test('the instances of the own service are counted by locality, from the first time that somebody asks', () => {
  const source = new HandSource();
  const zones = new LocalZones(source, 'shop');
  expect(source.watchers.size).toBe(0);
  expect(zones.counts()).toBeUndefined();
  source.of('shop').changed(config('a', 'b', 'b'));
  const counts = zones.counts();
  expect(counts).toEqual(
    new Map([
      ['eu/a/', 1],
      ['eu/b/', 2],
    ]),
  );
  expect(zones.counts()).toBe(counts);
  source.of('shop').changed(config('a'));
  expect(zones.counts()).toEqual(new Map([['eu/a/', 1]]));
  zones.close();
  expect(source.unwatched).toEqual(['shop']);
});

test('not those of a lower priority, nor those that take no calls; one that two clusters have is one', () => {
  const source = new HandSource();
  const zones = new LocalZones(source, 'shop');
  zones.counts();
  const { endpoints: _, ...cluster } = aCluster('shop', []);
  const one = anEndpoint('10.0.0.1:80', { locality: zone('a') });
  const endpoints = [
    one,
    anEndpoint('10.0.0.2:80', { locality: zone('a'), priority: 1 }),
    anEndpoint('10.0.0.3:80', { locality: zone('a'), health: 'draining' }),
    anEndpoint('10.0.0.4:80', { locality: zone('a'), health: 'unhealthy' }),
  ];
  source.of('shop').changed(
    aTarget(
      [],
      [
        { ...cluster, endpoints },
        { ...cluster, name: 'shop-v2', endpoints: [one] },
      ],
    ),
  );
  expect(zones.counts()).toEqual(new Map([['eu/a/', 1]]));
  zones.close();
});

test('nothing is known of a service that is unknown, fails, or has no endpoint', () => {
  const source = new HandSource();
  const zones = new LocalZones(source, 'shop');
  zones.counts();
  source.of('shop').changed(config('a'));
  source.of('shop').ambient(new ConfigUnavailableError('not fresh'));
  expect(zones.counts()?.size).toBe(1);
  source.of('shop').changed(config());
  expect(zones.counts()).toBeUndefined();
  source.of('shop').changed(config('a'));
  source.of('shop').unknown();
  expect(zones.counts()).toBeUndefined();
  zones.close();
  // And it is not watched again.
  source.watchers.clear();
  expect(zones.counts()).toBeUndefined();
  expect(source.watchers.size).toBe(0);
});
