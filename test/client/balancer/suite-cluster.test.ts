import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Cluster } from '../../../src/client/endpoints/cluster.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { UnderWay } from '../../../src/client/endpoints/under-way.js';
import { BALANCER_KINDS, type BalancerKind } from '../../support/balancer-kinds.js';
import { hash64 } from '../../support/balancing.js';
import { aCall } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster } from '../../support/targets.js';

const KEYS = Array.from({ length: 6 }, (_, i) => `10.0.0.${i + 1}:80`);

const step = fc.oneof(
  fc.record({ kind: fc.constant('eject' as const), at: fc.nat(KEYS.length - 1) }),
  fc.record({ kind: fc.constant('uneject' as const), at: fc.nat(KEYS.length - 1) }),
  fc.record({ kind: fc.constant('update' as const), list: fc.subarray(KEYS, { minLength: 1 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(5_000) }),
);

/** Balancers of two priorities: all or nothing (gRFC A56), and by shares (Envoy). */
const PRIORITIES: readonly BalancerKind[] = [undefined, { overprovisioningFactor: 1.4 }].map((priorities) => ({
  name: `two priorities, ${priorities === undefined ? 'all or nothing' : 'by shares'}`,
  config: { balancer: { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 }, priorities },
  bound: undefined,
  where: (position) => ({ priority: position % 2 }),
}));

/** The balancer where it works: with what decides beside it which endpoints it is given. */
test.each([...BALANCER_KINDS, ...PRIORITIES])(
  'in a cluster, no endpoint that is ejected or gone gets a call: $name',
  async (kind) => {
    const { config, where } = kind;
    const configured = (keys: readonly string[]) => {
      const cluster = aCluster('reviews', keys, config);
      return {
        ...cluster,
        endpoints: cluster.endpoints.map((endpoint) => ({ ...endpoint, ...where?.(KEYS.indexOf(endpoint.key)) })),
      };
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 10 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        async (steps, hash) => {
          const { env, clock, sent } = memoryEnv();
          const cluster = new Cluster(
            configured(KEYS),
            { ...env, hash64, locality: { region: '', zone: 'a', subZone: '' } },
            new UnderWay(),
          );
          for (const step of steps) {
            if (step.kind === 'eject') cluster.endpoints[step.at]?.health.eject(clock.now());
            else if (step.kind === 'uneject') cluster.endpoints[step.at]?.health.uneject(clock.now());
            else if (step.kind === 'update') cluster.update(configured(step.list));
            else await clock.advance(step.ms);
            sent.length = 0;
            for (let i = 0; i < 8; i++) {
              const call = aCall();
              if (i % 2 === 0) call.hash = hash;
              await cluster.service(call);
            }
            const usable = cluster.endpoints.filter(({ health }) => !health.ejected);
            // With nobody left, panic: any is better than none.
            const allowed: readonly Endpoint[] = usable.length > 0 ? usable : cluster.endpoints;
            const keys = new Set(allowed.map(({ key }) => key));
            expect(sent).toHaveLength(8);
            expect(sent.filter(({ endpoint }) => !keys.has(endpoint))).toEqual([]);
          }
          await cluster.close();
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  },
);
