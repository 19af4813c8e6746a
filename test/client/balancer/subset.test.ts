import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { SubsetConfig } from '../../../src/core/model/balancer.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { aLiveEndpoint, balancing, picksOf } from '../../support/balancing.js';

const labelled = (...labels: EndpointConfig['labels'][]): Partial<EndpointConfig>[] =>
  labels.map((each) => ({ labels: each }));
const FLEET = labelled(
  { version: 'v1', stage: 'prod' },
  { version: 'v1', stage: 'dev' },
  { version: 'v2', stage: 'prod' },
  {},
);
const SELECTORS: SubsetConfig['selectors'] = [
  { keys: ['version'] },
  { keys: ['version', 'stage'], fallback: 'any' },
  { keys: ['stage'], fallback: 'none' },
];

function fleet(more: Partial<SubsetConfig> = {}) {
  const subsets: SubsetConfig = { fallback: 'none', defaultSubset: {}, selectors: SELECTORS, ...more };
  const made = balancing({ balancer: { kind: 'round_robin' }, subsets }, FLEET);
  return {
    ...made,
    /** Positions that such calls go to. */
    to: (subset?: Readonly<Record<string, string>>): number[] =>
      [...picksOf(made.balancer, 40, { subset }).keys()]
        .map((endpoint) => made.endpoints.indexOf(endpoint as Endpoint))
        .sort((a, b) => a - b),
  };
}

describe('subsets (Envoy)', () => {
  test('a call goes to the endpoints that have the labels it asks for', () => {
    const { to } = fleet();
    expect(to({ version: 'v1' })).toEqual([0, 1]);
    expect(to({ version: 'v2' })).toEqual([2]);
    expect(to({ stage: 'prod', version: 'v1' })).toEqual([0]);
    expect(to({ stage: 'prod' })).toEqual([0, 2]);
  });

  test("nobody has them: that selector's fallback, else the cluster's", () => {
    const { to } = fleet({ fallback: 'default', defaultSubset: { version: 'v2' } });
    expect(to({ version: 'v9' })).toEqual([2]);
    expect(to({ version: 'v2', stage: 'dev' })).toEqual([0, 1, 2, 3]);
    expect(to({ stage: 'none' })).toEqual([]);
  });

  test('a selector that falls back by fewer labels: as if only those had been asked for (KEYS_SUBSET)', () => {
    const selectors: SubsetConfig['selectors'] = [
      { keys: ['version'], fallback: 'default' },
      { keys: ['stage', 'version'], fallback: 'keys', fallbackKeys: ['version'] },
      { keys: ['region', 'stage', 'version'], fallback: 'keys', fallbackKeys: ['version', 'stage'] },
    ];
    const { to } = fleet({ selectors, defaultSubset: { stage: 'prod' } });
    expect(to({ version: 'v1', stage: 'dev' })).toEqual([1]);
    expect(to({ version: 'v2', stage: 'dev' })).toEqual([2]);
    // One after the other: without the region, then without the stage, then that selector's own.
    expect(to({ version: 'v1', stage: 'prod', region: 'eu' })).toEqual([0]);
    expect(to({ version: 'v1', stage: 'none', region: 'eu' })).toEqual([0, 1]);
    expect(to({ version: 'v9', stage: 'none', region: 'eu' })).toEqual([0, 2]);
  });

  test('fewer labels that are none, or no fewer: the fallback of the cluster', () => {
    const by = (fallbackKeys: readonly string[] | undefined): number[] =>
      fleet({ fallback: 'any', selectors: [{ keys: ['version'], fallback: 'keys', fallbackKeys }] }).to({
        version: 'v9',
      });
    expect(by([])).toEqual([0, 1, 2, 3]);
    expect(by(undefined)).toEqual([0, 1, 2, 3]);
    expect(by(['version'])).toEqual([0, 1, 2, 3]);
    expect(by(['stage'])).toEqual([0, 1, 2, 3]);
  });

  test('no selector has exactly these labels, or none are asked for: the fallback of the cluster', () => {
    for (const subset of [undefined, {}, { region: 'eu' }, { version: 'v1', region: 'eu' }]) {
      expect(fleet().to(subset)).toEqual([]);
      expect(fleet({ fallback: 'any' }).to(subset)).toEqual([0, 1, 2, 3]);
      expect(fleet({ fallback: 'default', defaultSubset: { version: 'v1' } }).to(subset)).toEqual([0, 1]);
    }
    expect(fleet({ fallback: 'default', defaultSubset: { version: 'v9' } }).to()).toEqual([]);
  });

  test('names of labels that objects inherit are names like any other', () => {
    const { to } = fleet({ selectors: [{ keys: ['constructor'] }, { keys: ['toString'] }] });
    expect(to({ constructor: 'x' })).toEqual([]);
    expect(to({ toString: 'x' })).toEqual([]);
  });

  test('an update moves endpoints between subsets, and what a subset knows stays with it', () => {
    const { balancer, endpoints, to } = fleet();
    const asked = { version: 'v1' };
    const next = balancer.pick({ subset: asked });
    const third = aLiveEndpoint('10.1.0.1:80', { labels: { version: 'v3' } });
    (endpoints[2] as Endpoint).config = { ...(endpoints[2] as Endpoint).config, labels: { version: 'v3' } };
    balancer.update([...endpoints, third]);
    // The rotation goes on.
    expect(balancer.pick({ subset: asked })).not.toBe(next);
    expect(to({ version: 'v2' })).toEqual([]);
    expect(new Set(picksOf(balancer, 10, { subset: { version: 'v3' } }).keys())).toEqual(
      new Set([endpoints[2], third]),
    );
    balancer.update(endpoints.slice(0, 1));
    expect(to(asked)).toEqual([0]);
  });

  test('a subset whose endpoints may not be used is used all the same: no call goes to another version', () => {
    const { balancer, endpoints, to } = fleet({ fallback: 'any' });
    balancer.update(endpoints.slice(2), endpoints);
    expect(to({ version: 'v1' })).toEqual([0, 1]);
    expect(to({ version: 'v2' })).toEqual([2]);
    expect(to()).toEqual([2, 3]);
    balancer.update(endpoints.slice(1), endpoints);
    expect(to({ version: 'v1' })).toEqual([1]);
    // It is gone from the configuration: that is what the fallback is for.
    balancer.update(endpoints.slice(2));
    expect(to({ version: 'v1' })).toEqual([2, 3]);
  });

  test('an endpoint that could not be reached is looked at by calls that ask for its labels only', () => {
    const { balancer, endpoints } = fleet({ fallback: 'default', defaultSubset: { version: 'v2' } });
    const lost = endpoints[0] as Endpoint;
    balancer.update(endpoints.slice(1), endpoints);
    expect(balancer.admits(lost, { subset: { version: 'v1' } })).toBe(true);
    expect(balancer.admits(lost, { subset: { version: 'v1', stage: 'prod' } })).toBe(true);
    expect(balancer.admits(lost, { subset: { version: 'v2' } })).toBe(false);
    expect(balancer.admits(lost, {})).toBe(false);
    expect(fleet({ fallback: 'any' }).balancer.admits(lost, { subset: { stage: 'no' } })).toBe(false);
  });

  test('retries stay in the subset', () => {
    const { balancer, endpoints } = fleet();
    const tried = [endpoints[0]?.key ?? ''];
    for (let i = 0; i < 10; i++) expect(balancer.pick({ subset: { version: 'v1' }, tried })).toBe(endpoints[1]);
    const all = endpoints.slice(0, 2).map(({ key }) => key);
    expect(all).toContain(balancer.pick({ subset: { version: 'v1' }, tried: all })?.key);
  });
});
