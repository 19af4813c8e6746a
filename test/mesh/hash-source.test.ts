import { describe, expect, test } from 'vitest';
import { HashLoader } from '../../src/mesh/hash-source.js';
import { loadHash64, type Hash64 } from '../../src/client/balancer/hash.js';
import { ConfigUnavailableError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import type { TargetConfig } from '../../src/core/model/target.js';
import { HandSource } from '../support/config.js';
import { settle } from '../support/fake-clock.js';
import { aCluster, aForward, aRoute, aTarget } from '../support/targets.js';

const plain = aTarget([aRoute()], [aCluster('reviews', [])]);
const ring = aTarget(
  [aRoute()],
  [aCluster('reviews', [], { balancer: { kind: 'ring_hash', minSize: 1_024, maxSize: 4_096 } })],
);
const byCookie = aTarget(
  [
    aRoute({
      action: aForward(
        { reviews: 1 },
        { hashPolicies: [{ kind: 'filter_state', key: 'io.grpc.channel_id', terminal: false }] },
      ),
    }),
  ],
  [aCluster('reviews', [])],
);

function watching(load: () => Promise<Hash64> = loadHash64) {
  const loader = new HashLoader(silentLogger, load);
  const source = new HandSource();
  const told: unknown[] = [];
  const stop = loader.watch(source)('reviews', {
    changed: (config) => told.push(config),
    failed: (error) => told.push(error.message),
    ambient: (error) => told.push(`ambient ${error.message}`),
    unknown: () => told.push('unknown'),
  });
  const changed = (config: TargetConfig) => source.of('reviews').changed(config);
  return { loader, source, told, stop, changed, watcher: source.of('reviews') };
}

/** A hash that the test lets come, or not. */
function held() {
  const loads: { resolve: (hash: Hash64) => void; reject: (error: Error) => void }[] = [];
  const load = () => new Promise<Hash64>((resolve, reject) => loads.push({ resolve, reject }));
  return { loads, load };
}

describe('the hash function', () => {
  test('is not loaded for configurations that hash nothing, which are handed on at once', () => {
    const { load, loads } = held();
    const { told, changed } = watching(load);
    changed(plain);
    changed({ ...plain });
    expect(told.length).toBe(2);
    expect(loads).toEqual([]);
  });

  test.each([
    ['a ring', ring],
    ['a hash policy', byCookie],
  ])('is there before %s is used', async (_, config) => {
    const { told, changed, loader } = watching();
    changed(plain);
    changed(config);
    expect(told).toEqual([plain]);
    while (told.length < 2) await settle();
    expect(told).toEqual([plain, config]);
    expect(loader.hash64?.('')).toBe(0xef46db3751d8e999n);
    changed(ring);
    expect(told.length).toBe(3);
  });

  test('holds back what comes after such a configuration as well; of two configurations the later counts', async () => {
    const { load, loads } = held();
    const { told, changed, watcher } = watching(load);
    changed(ring);
    watcher.ambient(new ConfigUnavailableError('away'));
    changed(byCookie);
    watcher.ambient(new ConfigUnavailableError('still away'));
    expect(told).toEqual([]);
    loads[0]?.resolve(await loadHash64());
    await settle();
    expect(told).toEqual([byCookie, 'ambient still away']);
    expect(loads.length).toBe(1);
  });

  test('that cannot be loaded keeps no configuration from being used, and is tried again with the next', async () => {
    const { load, loads } = held();
    const { told, changed, loader } = watching(load);
    changed(ring);
    loads[0]?.reject(new Error('no such module'));
    await settle();
    expect(told).toEqual([ring]);
    changed(byCookie);
    loads[1]?.resolve(await loadHash64());
    await settle();
    expect(told).toEqual([ring, byCookie]);
    expect(loader.hash64).toBeDefined();
  });

  test('nobody is told who does not watch any more', async () => {
    const { load, loads } = held();
    const { told, changed, stop } = watching(load);
    changed(ring);
    stop();
    loads[0]?.resolve(await loadHash64());
    await settle();
    expect(told).toEqual([]);
  });
});
