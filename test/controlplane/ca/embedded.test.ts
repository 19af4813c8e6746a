import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe } from 'vitest';
import { embeddedIdentity } from '../../../src/controlplane/ca/embedded.js';
import { seededRandom } from '../../../src/core/random.js';
import { identitySourceContract, type SourceFixture } from '../../identity/source-contract.js';
import { testCa } from '../../support/pki.js';
import { authorities, breath } from './support.js';

const { clock, folder, open, closeAll } = authorities();
afterEach(closeAll);

const HALF_A_LIFE_MS = 13 * 3_600_000;

describe('an embedded authority as a source', () => {
  identitySourceContract(
    async (): Promise<SourceFixture> => {
      const directory = join(folder(), 'ca');
      const state = join(directory, 'state.json');
      // Another process of the same user.
      const other = await open({ directory });
      const { spiffeId } = testCa().issue({ name: 'web' });
      const source = embeddedIdentity({ directory, spiffeId: spiffeId as string, clock, random: seededRandom(1) });
      let good: string | undefined;
      let given = false;
      return {
        source,
        async give() {
          if (good !== undefined) writeFileSync(state, good);
          // It gives itself the first one; another one when that was revoked.
          else if (given) await other.revoke(spiffeId as string);
          given = true;
          good = undefined;
        },
        async trouble() {
          good = readFileSync(state, 'utf8');
          writeFileSync(state, 'damaged');
          await clock.advance(HALF_A_LIFE_MS);
        },
        async wait() {
          await breath();
          if (good !== undefined || given) await clock.advance(1_000);
        },
        end: async () => {},
      };
    },
    { ownKey: true },
  );
});
