import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OutlierConfig } from '../../../src/core/model/outlier.js';
import { detectionOver, Judged, outlierConfig } from '../../support/outliers.js';

/** One attempt as the oracle remembers it. */
interface Attempt {
  readonly result: number | 'refused';
  readonly interval: number;
}

interface Known {
  attempts: Attempt[];
  /** Rows that were judged end here: indexes into attempts. */
  rowsFrom: Record<string, number>;
  ejectedAt: number | undefined;
  multiplier: number;
}

const ROWS = ['gateway', 'fiveXx', 'local'] as const;

/** The rules, told again in the plainest way: all attempts are kept, and everything is counted afresh each time. */
class Oracle {
  known = new Map<string, Known>();
  interval = 0;

  constructor(
    readonly config: OutlierConfig,
    keys: readonly string[],
  ) {
    this.update(keys);
  }

  update(keys: readonly string[]): void {
    this.known = new Map(
      keys.map((key) => [
        key,
        this.known.get(key) ?? { attempts: [], rowsFrom: {}, ejectedAt: undefined, multiplier: 0 },
      ]),
    );
  }

  get ejected(): string[] {
    return [...this.known].flatMap(([key, { ejectedAt }]) => (ejectedAt === undefined ? [] : [key])).sort();
  }

  attempt(key: string, result: Attempt['result'], now: number): void {
    const host = this.known.get(key) as Known;
    host.attempts.push({ result, interval: this.interval });
    const limits = {
      gateway: this.config.consecutiveGatewayFailure?.count,
      fiveXx: this.config.consecutive5xx?.count,
      local: this.config.splitLocalOrigin ? this.config.consecutiveLocalOriginFailure?.count : undefined,
    };
    for (const row of ROWS) {
      if (limits[row] === undefined || host.ejectedAt !== undefined) continue;
      // The row must have been completed by this very attempt.
      if (this.row(host, row) !== limits[row] || !this.counts(row, result)) continue;
      const share = (this.ejected.length + 1) / this.known.size;
      if (share <= this.config.maxEjection || (this.config.alwaysEjectOne && this.ejected.length === 0))
        this.eject(host, now);
      host.rowsFrom[row] = host.attempts.length;
    }
  }

  /** Whether it adds to the row; undefined: it says nothing of it. */
  counts(row: (typeof ROWS)[number], result: Attempt['result']): boolean | undefined {
    const { splitLocalOrigin } = this.config;
    if (row === 'local') return result === 'refused';
    if (result === 'refused') return splitLocalOrigin ? undefined : true;
    return row === 'fiveXx' ? result >= 500 : [502, 503, 504].includes(result);
  }

  row(host: Known, row: (typeof ROWS)[number]): number {
    let length = 0;
    for (const { result } of host.attempts.slice(host.rowsFrom[row] ?? 0)) {
      const counts = this.counts(row, result);
      if (counts !== undefined) length = counts ? length + 1 : 0;
    }
    return length;
  }

  eject(host: Known, now: number): void {
    host.ejectedAt = now;
    const { baseEjectionMs, maxEjectionMs } = this.config;
    if (host.multiplier * baseEjectionMs < maxEjectionMs + baseEjectionMs) host.multiplier++;
  }

  uneject(host: Known): void {
    host.ejectedAt = undefined;
    for (const row of ROWS) host.rowsFrom[row] = host.attempts.length;
  }

  endOfInterval(now: number): void {
    const judged = [...this.known.values()].filter(({ ejectedAt }) => ejectedAt === undefined);
    const { config } = this;
    this.statistics(judged, false, config.successRate, config.failurePercentage, now);
    if (config.splitLocalOrigin)
      this.statistics(judged, true, config.localOriginSuccessRate, config.localOriginFailurePercentage, now);
    for (const host of this.known.values()) {
      if (host.ejectedAt === undefined) host.multiplier = Math.max(0, host.multiplier - 1);
      else if (now >= host.ejectedAt + Math.min(config.baseEjectionMs * host.multiplier, config.maxEjectionMs))
        this.uneject(host);
    }
    this.interval++;
  }

  statistics(
    judged: readonly Known[],
    local: boolean,
    successRate: OutlierConfig['successRate'],
    failurePercentage: OutlierConfig['failurePercentage'],
    now: number,
  ): void {
    const rates = judged.map((host) => {
      const all = host.attempts.filter(
        ({ interval, result }) =>
          interval === this.interval && (local || !this.config.splitLocalOrigin || result !== 'refused'),
      );
      const good = all.filter(({ result }) => result !== 'refused' && (local || result < 500));
      return { host, volume: all.length, good: good.length, rate: good.length / all.length };
    });
    const eject = (found: readonly { host: Known }[]): void => {
      for (const { host } of found) {
        if (host.ejectedAt !== undefined) continue;
        const count = this.ejected.length;
        const full = count / this.known.size >= this.config.maxEjection;
        if (!full || (this.config.alwaysEjectOne && count === 0)) this.eject(host, now);
      }
    };
    if (successRate !== undefined) {
      const counted = rates.filter(({ volume }) => volume >= successRate.requestVolume);
      if (counted.length >= successRate.minimumHosts) {
        const mean = counted.reduce((sum, { rate }) => sum + rate, 0) / counted.length;
        const variance = counted.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / counted.length;
        eject(counted.filter(({ rate }) => rate < mean - Math.sqrt(variance) * successRate.stdevFactor));
      }
    }
    if (failurePercentage !== undefined) {
      const counted = rates.filter(({ volume }) => volume >= failurePercentage.requestVolume);
      if (counted.length >= failurePercentage.minimumHosts)
        eject(counted.filter(({ volume, good }) => (volume - good) / volume >= failurePercentage.threshold));
    }
  }
}

const row = fc.option(fc.record({ count: fc.integer({ min: 1, max: 4 }), enforcing: fc.constant(1) }), {
  nil: undefined,
});
const minimum = { minimumHosts: fc.integer({ min: 1, max: 4 }), requestVolume: fc.integer({ min: 1, max: 6 }) };
const successRate = fc.option(
  fc.record({ stdevFactor: fc.constantFrom(0.3, 1, 1.9), enforcing: fc.constant(1), ...minimum }),
  { nil: undefined },
);
const failurePercentage = fc.option(
  fc.record({ threshold: fc.constantFrom(0.1, 0.5, 0.85, 1), enforcing: fc.constant(1), ...minimum }),
  { nil: undefined },
);

const configs = fc
  .record({
    intervalMs: fc.constantFrom(5_000, 10_000),
    baseEjectionMs: fc.constantFrom(1_000, 10_000, 25_000),
    maxEjectionMs: fc.constantFrom(25_000, 60_000),
    maxEjection: fc.constantFrom(0, 0.1, 0.3, 0.5, 1),
    alwaysEjectOne: fc.boolean(),
    splitLocalOrigin: fc.boolean(),
    consecutive5xx: row,
    consecutiveGatewayFailure: row,
    consecutiveLocalOriginFailure: row,
    successRate,
    failurePercentage,
    localOriginSuccessRate: successRate,
    localOriginFailurePercentage: failurePercentage,
  })
  // Without any kind there are no intervals; that is tested by itself.
  .filter((config) => config.consecutive5xx !== undefined || config.successRate !== undefined);

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
const steps = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant('attempts' as const),
        at: fc.nat(5),
        count: fc.integer({ min: 1, max: 5 }),
        result: fc.constantFrom<number | 'refused'>(200, 200, 404, 500, 503, 'refused'),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('intervals' as const), count: fc.integer({ min: 1, max: 3 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('endpoints' as const), keys: fc.subarray(KEYS, { minLength: 1 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('passed' as const), at: fc.nat(5) }) },
  ),
  { maxLength: 60 },
);

test('whatever happens, those are ejected that the rules say', async () => {
  await fc.assert(
    fc.asyncProperty(configs, steps, async (more, script) => {
      const config = outlierConfig(more);
      const { detection, clock, endpoints: first } = detectionOver(KEYS.length, config);
      const oracle = new Oracle(config, KEYS);
      let endpoints = first;
      for (const step of script) {
        if (step.kind === 'attempts') {
          const endpoint = endpoints[step.at % endpoints.length] as Judged;
          for (let i = 0; i < step.count; i++) {
            endpoint.attempts(1, step.result);
            oracle.attempt(endpoint.key, step.result, clock.now());
          }
        } else if (step.kind === 'intervals') {
          for (let i = 0; i < step.count; i++) {
            await clock.advance(config.intervalMs);
            oracle.endOfInterval(clock.now());
          }
        } else if (step.kind === 'passed') {
          const { key } = endpoints[step.at % endpoints.length] as Judged;
          detection.checkPassed(key);
          const host = oracle.known.get(key) as Known;
          if (host.ejectedAt !== undefined) oracle.uneject(host);
        } else {
          const before = new Map(endpoints.map((endpoint) => [endpoint.key, endpoint]));
          endpoints = step.keys.map((key) => before.get(key) ?? new Judged(key, clock));
          detection.update(endpoints);
          oracle.update(step.keys);
        }
        expect(endpoints.flatMap(({ key, ejected }) => (ejected ? [key] : [])).sort()).toEqual(oracle.ejected);
        expect(detection.ejected).toBe(oracle.ejected.length);
      }
      detection.close();
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 300 },
  );
});
