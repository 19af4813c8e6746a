import { expect, test } from 'vitest';
import type { Logger } from '../../src/core/log.js';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import type { FaultConfig } from '../../src/core/model/fault.js';
import type { FilterChain } from '../../src/core/model/server.js';
import { seededRandom } from '../../src/core/random.js';
import { ServerPolicies } from '../../src/server/policies.js';
import { FakeClock } from '../support/fake-clock.js';
import { aRoute } from '../support/targets.js';

const THROTTLE = { kind: 'fixed', bytesPerSecond: 10, share: 1 } as const;
const TRUNCATE = { afterBytes: 1, share: 1 } as const;
const CHAIN = {} as FilterChain;

/** What a server warns of. */
function serving() {
  const warnings: unknown[] = [];
  const logger: Logger = { ...silentLogger, warn: (message, fields) => warnings.push([message, fields]) };
  const policies = new ServerPolicies({
    ...{ clock: new FakeClock(), random: seededRandom(1), meter: noMeter, limits: undefined, logger },
  });
  const gates = (faults: FaultConfig[]): number =>
    policies.gates(CHAIN, aRoute({ faults, action: { kind: 'non_forwarding' } }))?.length ?? 0;
  return { warnings, gates };
}

test('faults of bodies are left out on a server, which says so once for each policy', () => {
  const { gates, warnings } = serving();
  const slow: FaultConfig = { name: 'slow', throttle: THROTTLE, headers: [] };
  expect(gates([slow])).toBe(0);
  expect(gates([{ ...slow }])).toBe(0);
  expect(gates([{ name: 'both', truncate: TRUNCATE, reset: { share: 1 }, headers: [] }])).toBe(1);
  const message = "faults of replies' bodies are for the side of the caller: this server leaves them out";
  expect(warnings).toEqual([
    [message, { policy: 'slow', faults: ['throttle'] }],
    [message, { policy: 'both', faults: ['truncate'] }],
  ]);
});

test('a server with other faults only has nothing to warn of', () => {
  const { gates, warnings } = serving();
  expect(gates([{ name: 'cut', reset: { share: 1 }, headers: [] }])).toBe(1);
  expect(warnings).toEqual([]);
});
