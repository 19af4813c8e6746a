import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Members } from '../../../src/client/endpoints/members.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { aLiveEndpoint } from '../../support/balancing.js';
import { anEndpoint } from '../../support/endpoints.js';

const at = (i: number): string => `10.0.${i >> 8}.${i & 255}:80`;

/** Members, and which configurations they have looked into. */
function looking() {
  const looked = new Set<string>();
  const watched = (config: EndpointConfig): EndpointConfig =>
    new Proxy(config, {
      get(target, property) {
        looked.add(target.key);
        return Reflect.get(target, property);
      },
    });
  const members = new Members();
  const update = (configs: readonly EndpointConfig[]) =>
    members.update(
      configs,
      (config) => Object.assign(aLiveEndpoint(config.key), { config }),
      (endpoint, config) => {
        endpoint.config = config;
      },
    );
  return { members, update, watched, looked };
}

describe('an update of the endpoints', () => {
  test('of which one of 20,000 is another, or gone, or new, looks into that one only', () => {
    const { members, update, watched, looked } = looking();
    const configs = Array.from({ length: 20_000 }, (_, i) => watched(anEndpoint(at(i))));
    update(configs);
    const before = [...members.list];
    looked.clear();
    const other = configs.with(7_000, watched(anEndpoint(at(7_000), { priority: 1 })));
    const change = update(other);
    expect([...looked]).toEqual([at(7_000)]);
    expect(change?.changed).toEqual([before[7_000]]);
    expect(change?.priorities).toEqual(new Set([0, 1]));
    looked.clear();
    expect(update(other.toSpliced(100, 1))?.removed).toEqual([before[100]]);
    expect([...looked]).toEqual([at(100)]);
    expect(update(other)?.changed.map(({ key }) => key)).toEqual([at(100)]);
    expect([...looked]).toEqual([at(100)]);
    expect(update([...other])).toBeUndefined();
  });

  test('keeps those that remain, in the order of the configuration, each once, whatever comes and goes', () => {
    const configs = Array.from(
      { length: 12 },
      (_, i) => [anEndpoint(at(i)), anEndpoint(at(i), { weight: 2 })] as const,
    );
    const step = fc.array(fc.tuple(fc.nat(11), fc.boolean()), { maxLength: 15 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const { members, update } = looking();
        for (const picks of steps) {
          const before = new Map(members.byKey);
          const next = picks.map(([i, second]) => (configs[i] as (typeof configs)[number])[second ? 1 : 0]);
          const change = update(next);
          const keys = [...new Set(next.map(({ key }) => key))];
          expect(members.list.map(({ key }) => key)).toEqual(keys);
          expect([...members.byKey.keys()].sort()).toEqual([...keys].sort());
          for (const endpoint of members.list) {
            expect(members.byKey.get(endpoint.key)).toBe(endpoint);
            expect(next).toContain(endpoint.config);
            if (before.has(endpoint.key)) expect(endpoint).toBe(before.get(endpoint.key));
            else expect(change?.changed).toContain(endpoint);
          }
          const gone = [...before.values()].filter(({ key }) => !keys.includes(key));
          expect(new Set(change?.removed ?? [])).toEqual(new Set(gone));
        }
      }),
      { numRuns: 300 },
    );
  });
});
