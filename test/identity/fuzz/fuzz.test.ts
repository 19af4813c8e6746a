import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { mutate } from './mutate.js';
import { TARGETS } from './targets.js';

/** Inputs for each target. More of them: `INMESH_FUZZ_IDENTITY=1000000 npx vitest run test/identity/fuzz`. */
const COUNT = Number(process.env['INMESH_FUZZ_IDENTITY'] ?? 1_000);
const SEED = Number(process.env['INMESH_FUZZ_SEED'] ?? 1);

describe('what comes from outside is taken, or refused with an error of ours', () => {
  test.each(TARGETS)(
    '$name',
    async ({ seeds, read, throws }) => {
      for (const seed of seeds) {
        // Each seed is good: else its reader would be fuzzed no deeper than its first byte.
        await read(seed);
      }
      const random = seededRandom(SEED);
      for (let i = 0; i < COUNT; i++) {
        const input = mutate(seeds[random.int(seeds.length)] as Buffer, random);
        try {
          await read(input);
        } catch (error) {
          const known = throws.some((type) => error instanceof type);
          if (!known) expect.fail(`input ${i} of seed ${SEED}: ${inspect(error)}\n${input.toString('base64')}`);
        }
      }
    },
    3_600_000,
  );
});
