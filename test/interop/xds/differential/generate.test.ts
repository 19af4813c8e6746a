import { expect, it } from 'vitest';
import { seededRandom } from '../../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../../src/core/resources.js';
import { loadCodec } from '../../../../src/xds/wire/index.js';
import { scenario } from './generate.js';

/** INMESH_DIFFERENTIAL_SEEDS makes a longer run than CI's. */
const SEEDS = Number(process.env['INMESH_DIFFERENTIAL_SEEDS'] ?? 20);

it('whatever the seed, all that is generated can be put on a wire, spoiled or not', { timeout: 240_000 }, async () => {
  const codec = await loadCodec();
  const ports = { north: [1, 2, 3], east: [4, 5, 6], south: [7, 8, 9], west: [10, 11, 12] };
  const refused: string[] = [];
  const defects = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const world = { random: seededRandom(seed), ports, deadPort: 13 };
    for (let i = 0; i < 150; i++) {
      const { resources, defect } = scenario(world, i);
      defects.add(defect);
      for (const type of [LISTENER, ROUTE, CLUSTER, ENDPOINT] as const) {
        for (const resource of resources[type]) {
          try {
            codec.encodeResource(type, resource);
          } catch (error) {
            refused.push(`seed ${seed}, scenario ${i}, ${defect}: ${String(error)}`);
          }
        }
      }
    }
  }
  expect(refused).toEqual([]);
  // And every way of spoiling has been used.
  expect(defects.size).toBe(20);
});
