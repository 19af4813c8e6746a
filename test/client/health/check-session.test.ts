import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CheckNews, CheckSession } from '../../../src/client/health/check-session.js';
import { Pace } from '../../../src/client/health/pace.js';
import { type CheckResult, DEGRADED, failed, PASSED } from '../../../src/client/health/probe.js';
import type { HealthCheckConfig } from '../../../src/core/model/health-check.js';
import { seededRandom } from '../../../src/core/random.js';
import { FakeClock } from '../../support/fake-clock.js';
import { checkConfig, httpCheck } from '../../support/health.js';

const REFUSED = failed('network', 'refused');
const BAD = failed('active', 'status 500');
const RETRIABLE = failed('active', 'status 503', true);

/** A session whose checks end as scripted, at once; the last result stays. */
function session(results: (CheckResult | 'silence')[], more: Partial<HealthCheckConfig> = {}, spread = false) {
  const clock = new FakeClock();
  const begunAt: number[] = [];
  const news: CheckNews[] = [];
  const traffic = { seen: true };
  let givenUp = 0;
  let closed = 0;
  const probe = {
    start(done: (result: CheckResult) => void) {
      const result = results.length > 1 ? results.shift() : results[0];
      begunAt.push(clock.now() - 1_000);
      if (result !== 'silence' && result !== undefined) done(result);
      return () => void givenUp++;
    },
    close: () => void closed++,
  };
  const pace = new Pace(clock);
  const subject = new CheckSession(
    checkConfig(httpCheck(), more),
    probe,
    { checked: (_session, each) => void news.push(each), hadTraffic: () => traffic.seen, spread },
    { clock, random: seededRandom(1), pace },
  );
  subject.start();
  const states = (): string[] => news.map(({ state }) => state);
  return {
    clock,
    begunAt,
    news,
    traffic,
    subject,
    states,
    pace,
    get givenUp() {
      return givenUp;
    },
    get closed() {
      return closed;
    },
  };
}

describe('thresholds', () => {
  test('the first result counts at once, good or bad', () => {
    expect(session([PASSED]).states()).toEqual(['healthy']);
    expect(session([REFUSED]).states()).toEqual(['unhealthy']);
  });

  test('three failures of the network in a row are unhealthy, two passes in a row healthy again', async () => {
    const s = session([PASSED, REFUSED, REFUSED, PASSED, REFUSED, REFUSED, REFUSED, PASSED, REFUSED, PASSED, PASSED]);
    await s.clock.advance(100_000);
    expect(
      s
        .states()
        .map((state) => state[0])
        .join(''),
    ).toBe('hhhhhhuuuuh');
  });

  test('a status that is not expected is unhealthy at once, unless it is retriable', async () => {
    const s = session([PASSED, RETRIABLE, RETRIABLE, PASSED, BAD]);
    await s.clock.advance(40_000);
    expect(
      s
        .states()
        .map((state) => state[0])
        .join(''),
    ).toBe('hhhhu');
  });

  test('news that a call brings counts at once', async () => {
    const s = session([PASSED]);
    s.subject.failNow('x-envoy-immediate-health-check-fail');
    expect(s.subject.state).toBe('unhealthy');
    await s.clock.advance(10_000);
    expect(s.subject.state).toBe('unhealthy');
    await s.clock.advance(10_000);
    expect(s.subject.state).toBe('healthy');
    expect(s.begunAt).toEqual([0, 10_000, 20_000]);
  });

  test('whatever the results, the state is what the last run of equal results says', () => {
    const results = fc.array(fc.constantFrom(PASSED, DEGRADED, REFUSED, RETRIABLE, BAD), {
      minLength: 1,
      maxLength: 40,
    });
    return fc.assert(
      fc.asyncProperty(
        results,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        async (script, up, down) => {
          const s = session([...script], { healthyThreshold: up, unhealthyThreshold: down });
          await s.clock.advance((script.length - 1) * 10_000);
          let healthy = script[0]?.passed === true;
          let run = 0;
          for (const result of script.slice(1)) {
            run = result.passed === healthy ? 0 : run + 1;
            if (!result.passed && healthy && (result === BAD || run >= down)) [healthy, run] = [false, 0];
            else if (result.passed && !healthy && run >= up) [healthy, run] = [true, 0];
          }
          expect(s.subject.state).toBe(healthy ? 'healthy' : 'unhealthy');
          s.subject.close();
          s.pace.close();
          expect(s.clock.pending).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('when the next check comes', () => {
  const intervals = {
    unhealthyIntervalMs: 3_000,
    unhealthyEdgeIntervalMs: 500,
    healthyEdgeIntervalMs: 700,
    noTrafficIntervalMs: 60_000,
  };

  test('after the interval of what came out, and of whether a change is pending', async () => {
    // Envoy's own example: fails → unhealthy_interval, passes but is not healthy yet → healthy_edge_interval, healthy → interval.
    const s = session([REFUSED, PASSED, PASSED, REFUSED, REFUSED, REFUSED, REFUSED], intervals);
    await s.clock.advance(18_000);
    expect(s.begunAt).toEqual([0, 3_000, 3_700, 13_700, 14_200, 14_700, 17_700]);
  });

  test('without any call to the cluster, after no_traffic_interval', async () => {
    const s = session([PASSED], intervals);
    s.traffic.seen = false;
    await s.clock.advance(70_000);
    s.traffic.seen = true;
    await s.clock.advance(70_000);
    expect(s.begunAt).toEqual([0, 10_000, 70_000, 130_000, 140_000]);
  });

  test('with the first call, when it would have come with traffic, counted from the last check', async () => {
    const s = session([PASSED], { noTrafficIntervalMs: 60_000 });
    s.traffic.seen = false;
    await s.clock.advance(14_000);
    s.traffic.seen = true;
    s.subject.trafficBegan();
    await s.clock.advance(20_000);
    expect(s.begunAt).toEqual([0, 10_000, 20_000, 30_000]);
    s.subject.close();
    s.subject.trafficBegan();
    expect(s.clock.pending).toBe(0);
  });

  test('with the first call, at once when it is overdue, and never later than it was to come', async () => {
    const overdue = session([PASSED], { noTrafficIntervalMs: 60_000 });
    const sooner = session([PASSED], { noTrafficIntervalMs: 2_000 });
    for (const s of [overdue, sooner]) {
      s.traffic.seen = false;
      await s.clock.advance(45_000);
      s.traffic.seen = true;
      s.subject.trafficBegan();
      await s.clock.advance(2_000);
    }
    expect(overdue.begunAt.slice(-1)).toEqual([45_001]);
    expect(sooner.begunAt.slice(-2)).toEqual([44_000, 46_000]);
  });

  test('with the first call, of many endpoints at random times within the interval', async () => {
    const s = session([PASSED], { noTrafficIntervalMs: 600_000 }, true);
    s.traffic.seen = false;
    await s.clock.advance(300_000);
    const before = s.begunAt.length;
    s.traffic.seen = true;
    s.subject.trafficBegan();
    await s.clock.advance(10_000);
    expect(s.begunAt[before]).toBeGreaterThan(300_001);
    expect(s.begunAt[before]).toBeLessThan(310_000);
  });

  test('of an endpoint that is healthy, after no_traffic_healthy_interval, where there is one', async () => {
    const results = [PASSED, PASSED, REFUSED, REFUSED, PASSED, PASSED, PASSED];
    const thresholds = { healthyThreshold: 2, unhealthyThreshold: 2 };
    const s = session(results, { ...intervals, ...thresholds, noTrafficHealthyIntervalMs: 90_000 });
    s.traffic.seen = false;
    await s.clock.advance(600_000);
    // Healthy; healthy; about to be unhealthy; unhealthy; about to be healthy; healthy again.
    expect(s.begunAt.map((at, i) => at - (s.begunAt[i - 1] ?? 0)).slice(2, 7)).toEqual([
      90_000, 60_000, 60_000, 60_000, 90_000,
    ]);
  });

  test('unhealthy_edge_interval is unhealthy_interval where it is not set, and that is the interval', async () => {
    const s = session([PASSED, REFUSED, REFUSED, REFUSED, REFUSED], { unhealthyIntervalMs: 2_000 });
    await s.clock.advance(16_000);
    expect(s.begunAt).toEqual([0, 10_000, 12_000, 14_000, 16_000]);
  });

  test('jitter adds to it, and to the first one', async () => {
    const s = session([PASSED], { initialJitterMs: 5_000, intervalJitterMs: 1_000, intervalJitterShare: 0.2 });
    expect(s.begunAt).toEqual([]);
    await s.clock.advance(60_000);
    const [first, ...rest] = s.begunAt.map((at, i) => at - (s.begunAt[i - 1] ?? 0));
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(5_000);
    for (const gap of rest) {
      expect(gap).toBeGreaterThan(10_000);
      expect(gap).toBeLessThan(13_000);
    }
    expect(new Set(rest).size).toBe(rest.length);
  });

  test('in a large cluster the second check comes at a random time within the interval, the others after it', async () => {
    const s = session([PASSED], {}, true);
    await s.clock.advance(30_000);
    const [, second, third] = s.begunAt;
    expect(second).toBeLessThan(10_000);
    expect(third).toBe((second as number) + 10_000);
  });
});

describe('time', () => {
  test('a check without an answer is given up when its time is over, and counts as a failure of the network', async () => {
    const s = session([PASSED, 'silence']);
    await s.clock.advance(10_999);
    expect(s.givenUp).toBe(0);
    await s.clock.advance(1);
    expect(s.givenUp).toBe(1);
    expect(s.news.at(-1)?.result).toMatchObject({ passed: false, failure: 'network_timeout', retriable: false });
    expect(s.subject.state).toBe('healthy');
    await s.clock.advance(2 * 11_000);
    expect(s.subject.state).toBe('unhealthy');
  });

  test.each([
    ['while it waits', 5_000, 0],
    ['while a check is under way', 10_500, 1],
  ])('close %s leaves nothing behind', async (_when, atMs, givenUp) => {
    const s = session([PASSED, 'silence']);
    await s.clock.advance(atMs);
    s.subject.close();
    s.pace.close();
    expect(s.clock.pending).toBe(0);
    expect([s.givenUp, s.closed]).toEqual([givenUp, 1]);
    await s.clock.advance(100_000);
    expect(s.news).toHaveLength(1);
  });
});
