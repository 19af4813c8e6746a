import { describe, expect, test } from 'vitest';
import { IdentityError } from '../../../src/core/errors.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { testCa } from '../../support/pki.js';
import { identitySourceContract, recorder } from '../source-contract.js';

describe('identity in memory', () => {
  identitySourceContract(async () => {
    const source = memoryIdentity();
    return {
      source,
      give: (identity, root) => source.set({ identity, trust: { kind: 'roots', certificates: [root] } }),
      trouble: () => source.fail(new IdentityError('identity source "memory": none today')),
      wait: async () => {},
      end: async () => {},
    };
  });

  test('who comes while there is trouble hears of it, after the state that stands', () => {
    const source = memoryIdentity({ identity: testCa().issue(), trust: undefined });
    source.fail(new IdentityError('out of order'));
    const heard: string[] = [];
    source.watch({ changed: () => void heard.push('changed'), failed: ({ message }) => void heard.push(message) });
    expect(heard).toEqual(['changed', 'out of order']);
  });

  test('a state that is set while one is told reaches everybody last', () => {
    const [one, two] = [testCa().issue(), testCa().issue()];
    const source = memoryIdentity();
    let again = true;
    source.watch({
      changed() {
        if (again) {
          again = false;
          source.set({ identity: two, trust: undefined });
        }
      },
      failed() {},
    });
    const late = recorder();
    source.watch(late);
    source.set({ identity: one, trust: undefined });
    expect(late.states.map(({ identity }) => identity)).toEqual([two]);
  });
});
