import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BalancingConfig } from '../../../src/client/balancer/balancer.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { type BalancerConfig, DEFAULT_WEIGHTED_ROUND_ROBIN } from '../../../src/core/model/balancer.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { balancing } from '../../support/balancing.js';
import { NO_METRICS } from '../../support/backend-metrics.js';

const policy: fc.Arbitrary<BalancerConfig> = fc.constantFrom<BalancerConfig[]>(
  { kind: 'round_robin' },
  { kind: 'random' },
  { kind: 'least_request', choiceCount: 3 },
  { kind: 'least_request', choiceCount: 2, activeRequestBias: 1 },
  { kind: 'least_request', choiceCount: 2, fullScan: true },
  { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 },
  { kind: 'ring_hash', minSize: 64, maxSize: 256 },
  { kind: 'maglev', tableSize: 251 },
  { kind: 'ring_hash', minSize: 64, maxSize: 256, balanceFactor: 1.2 },
  { kind: 'maglev', tableSize: 251, balanceFactor: 1.2 },
  { kind: 'pick_first', shuffle: true },
  { ...DEFAULT_WEIGHTED_ROUND_ROBIN, blackoutMs: 0, updateMs: 100 },
);

const fallback = fc.constantFrom<('any' | 'none' | 'default')[]>('any', 'none', 'default');
const config: fc.Arbitrary<BalancingConfig> = fc.record({
  balancer: policy,
  locality: fc.constantFrom<BalancingConfig['locality'][]>(
    undefined,
    { kind: 'none' },
    { kind: 'zone_aware', enabled: 1, minClusterSize: 2, forceLocal: undefined, failTrafficOnPanic: false },
    { kind: 'zone_aware', enabled: 0.7, minClusterSize: 1, forceLocal: 1, failTrafficOnPanic: false },
  ),
  priorities: fc.constantFrom(undefined, { overprovisioningFactor: 1.4 }),
  slowStart: fc.constantFrom(undefined, { windowMs: 5_000, aggression: 2, minWeight: 0.1 }),
  subsets: fc.option(
    fc.record({
      fallback,
      defaultSubset: fc.constantFrom<Record<string, string>[]>({}, { version: 'v1' }),
      // No endpoint has a stage: who asks for one gets the version alone.
      selectors: fc.constant([
        { keys: ['version'] },
        { keys: ['version', 'stage'], fallback: 'keys' as const, fallbackKeys: ['version'] },
      ]),
    }),
    { nil: undefined },
  ),
});

const endpoint: fc.Arbitrary<Partial<EndpointConfig>> = fc.record({
  weight: fc.integer({ min: 1, max: 128 }),
  localityWeight: fc.integer({ min: 0, max: 10 }),
  locality: fc.constantFrom('a', 'b', 'c').map((zone) => ({ region: '', zone, subZone: '' })),
  labels: fc.constantFrom<Record<string, string>[]>({ version: 'v1' }, { version: 'v2' }, {}),
});

const step = fc.oneof(
  fc.record({ kind: fc.constant('update' as const), usable: fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(4_000) }),
  fc.record({
    kind: fc.constant('calls' as const),
    hash: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined }),
    version: fc.option(fc.constantFrom('v1', 'v2', 'v3'), { nil: undefined }),
    stage: fc.boolean(),
    retry: fc.boolean(),
  }),
);

test('whatever is combined: only endpoints of the update, only those with the labels, others before those tried', async () => {
  await fc.assert(
    fc.asyncProperty(
      config,
      fc.array(endpoint, { minLength: 1, maxLength: 15 }),
      fc.array(step, { maxLength: 12 }),
      fc.integer(),
      async (config, configs, steps, seed) => {
        const { balancer, endpoints, clock } = balancing(config, configs, {
          seed,
          locality: { region: '', zone: 'a', subZone: '' },
        });
        let usable: readonly Endpoint[] = endpoints;
        const isV = (version: string) => (candidate: Endpoint) => candidate.config.labels['version'] === version;
        for (const step of steps) {
          if (step.kind === 'wait') await clock.advance(step.ms);
          else if (step.kind === 'update') {
            usable = endpoints.filter((_, i) => step.usable[i]);
            balancer.update(usable, endpoints);
          } else {
            const subset =
              step.version === undefined ? undefined : { version: step.version, ...(step.stage && { stage: 'x' }) };
            // A locality that weighs nothing takes no traffic where others do: its endpoints make no subset.
            const weighed = config.locality === undefined;
            const hasWeight = ({ config: { localityWeight } }: Endpoint): boolean => !weighed || localityWeight > 0;
            const there = usable.some(hasWeight) ? endpoints.filter(hasWeight) : endpoints;
            const found = config.subsets !== undefined && step.version !== undefined && there.some(isV(step.version));
            const tried: string[] = [];
            for (let i = 0; i < 5; i++) {
              const picked = balancer.pick({ hash: step.hash, subset, tried: step.retry ? tried : undefined });
              if (picked === undefined) {
                expect(found).toBe(false);
                expect(usable.length === 0 || config.subsets !== undefined).toBe(true);
                continue;
              }
              // What may not be used is used only when none of its subset may.
              const version = picked.config.labels['version'];
              const alike = usable.some((other) => there.includes(other) && other.config.labels['version'] === version);
              expect(usable.includes(picked) || (config.subsets !== undefined && !alike)).toBe(true);
              if (found) expect(picked.config.labels['version']).toBe(step.version);
              picked.inflight++;
              picked.onReport?.(
                { ...NO_METRICS, cpuUtilization: 0.1 + picked.inflight / 10, rps: 10 * picked.inflight },
                clock.now(),
              );
              // In a subset there may be no other; elsewhere there is one as long as not all have been tried.
              if (step.retry && config.subsets === undefined) {
                if (tried.length < usable.filter(hasWeight).length) expect(tried).not.toContain(picked.key);
              }
              tried.push(picked.key);
            }
          }
        }
        balancer.close();
        expect(endpoints.every(({ onReport }) => onReport === undefined)).toBe(true);
      },
    ),
    { numRuns: 1_000 },
  );
});
