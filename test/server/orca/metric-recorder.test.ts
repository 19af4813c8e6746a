import { afterEach, describe, expect, test } from 'vitest';
import { MAX_METRICS } from '../../../src/core/orca-report.js';
import { MetricRecorder, serverMetrics } from '../../../src/server/orca/metric-recorder.js';
import { RequestMetrics } from '../../../src/server/orca/request-metrics.js';
import { processSources } from '../../../src/server/orca/sources.js';
import { recorderOf } from '../../support/load.js';

describe('a server measures itself', () => {
  test('over the time since it was asked last, at most once every sampleMs', async () => {
    const { clock, sources, recorder } = recorderOf();
    expect(recorder.report()).toMatchObject({ cpuUtilization: 0, rps: 0 });
    for (let i = 0; i < 10; i++) recorder.finished(i === 0);
    sources.cpu = 2_000;
    sources.activeMs = 1_500;
    sources.idleMs = 500;
    sources.mem = 0.25;
    sources.lag = 12;
    await clock.advance(999);
    expect(recorder.report()).toMatchObject({ cpuUtilization: 0, rps: 0 });
    await clock.advance(1_001);
    const report = recorder.report();
    // 2 s of CPU in 2 s on 4 cores; 10 requests in 2 s.
    expect(report).toMatchObject({
      cpuUtilization: 0.25,
      memUtilization: 0.25,
      applicationUtilization: 0.75,
      rps: 5,
      eps: 0.5,
      utilization: { event_loop: 0.75 },
      namedMetrics: { event_loop_lag_ms: 12 },
    });
    await clock.advance(500);
    expect(recorder.report()).toBe(report);
    await clock.advance(500);
    expect(recorder.report()).toMatchObject({ cpuUtilization: 0, rps: 0, eps: 0 });
    expect(clock.pending).toBe(0);
  });

  test.each([0, -1, Number.NaN])('once a millisecond at most, though sampleMs is %d', async (sampleMs) => {
    const { clock, sources } = recorderOf();
    const recorder = new MetricRecorder({ clock, sources, sampleMs });
    for (let i = 0; i < 3; i++) {
      const { cpuUtilization, rps, eps } = recorder.report();
      expect([cpuUtilization, rps, eps]).toEqual([0, 0, 0]);
    }
    recorder.finished(true);
    sources.cpu = 4;
    await clock.advance(1);
    const { cpuUtilization, rps, eps } = recorder.report();
    expect([cpuUtilization, rps, eps]).toEqual([1, 1_000, 1_000]);
  });

  test('and what the application sets stands in the place of that, until it is set to undefined', async () => {
    const { clock, sources, recorder } = recorderOf();
    sources.cpu = 400;
    sources.activeMs = 100;
    sources.idleMs = 900;
    recorder.setCpuUtilization(0);
    recorder.setMemoryUtilization(0.5);
    recorder.setApplicationUtilization(1.5);
    recorder.setRps(70);
    recorder.setEps(7);
    recorder.setUtilization('disk', 0.9);
    recorder.setNamedMetric('queue', -3);
    await clock.advance(1_000);
    const before = recorder.report();
    expect(before).toMatchObject({
      cpuUtilization: 0,
      memUtilization: 0.5,
      applicationUtilization: 1.5,
      rps: 70,
      eps: 7,
    });
    expect(before.utilization).toEqual({ event_loop: 0.1, disk: 0.9 });
    expect(before.namedMetrics).toEqual({ event_loop_lag_ms: 0, queue: -3 });
    recorder.setCpuUtilization(undefined);
    recorder.setApplicationUtilization(undefined);
    recorder.setUtilization('disk', undefined);
    const after = recorder.report();
    expect(after).toMatchObject({ cpuUtilization: 0.1, applicationUtilization: 0.1, utilization: { event_loop: 0.1 } });
    expect(before.utilization).toHaveProperty('disk');
  });

  test('values that no report may have are ignored, and so are names without end', () => {
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.5);
    recorder.setCpuUtilization(-1);
    recorder.setCpuUtilization(Number.NaN);
    recorder.setMemoryUtilization(1.1);
    recorder.setUtilization('disk', 2);
    recorder.setNamedMetric('queue', Number.POSITIVE_INFINITY);
    expect(recorder.report()).toMatchObject({ cpuUtilization: 0.5, memUtilization: 0 });
    expect(recorder.report().utilization).toEqual({ event_loop: 0 });
    for (let i = 0; i < MAX_METRICS + 10; i++) recorder.setNamedMetric(`n${i}`, i);
    expect(Object.keys(recorder.report().namedMetrics)).toHaveLength(MAX_METRICS + 1);
    recorder.setNamedMetric('n0', 1);
    expect(recorder.report().namedMetrics).toMatchObject({ n0: 1 });
    expect(recorder.report().namedMetrics).not.toHaveProperty(`n${MAX_METRICS}`);
  });

  test('names are names like any other, also __proto__', () => {
    const { recorder } = recorderOf();
    recorder.setNamedMetric('__proto__', 5);
    expect(Object.keys(recorder.report().namedMetrics)).toContain('__proto__');
  });
});

describe('what a request records', () => {
  test("stands before the server's, for that request", () => {
    const { recorder } = recorderOf();
    recorder.setCpuUtilization(0.5);
    recorder.setUtilization('disk', 0.1);
    const request = new RequestMetrics();
    expect(request.over(recorder.report())).toBe(recorder.report());
    request.recordRequestCost('rows', 42);
    request.recordUtilization('disk', 0.7);
    request.recordNamedMetric('queue', 3);
    request.recordCpuUtilization(0.9);
    request.recordMemoryUtilization(0.2);
    request.recordApplicationUtilization(0.4);
    request.recordRps(6);
    request.recordEps(1);
    expect(request.over(recorder.report())).toMatchObject({
      cpuUtilization: 0.9,
      memUtilization: 0.2,
      applicationUtilization: 0.4,
      rps: 6,
      eps: 1,
      requestCost: { rows: 42 },
      utilization: { event_loop: 0, disk: 0.7 },
      namedMetrics: { event_loop_lag_ms: 0, queue: 3 },
    });
    expect(recorder.report()).toMatchObject({ cpuUtilization: 0.5, utilization: { disk: 0.1 } });
  });
});

describe('this process', () => {
  const recorder = new MetricRecorder({ sampleMs: 0 });
  afterEach(() => recorder.close());

  test('has a load that a report can carry', () => {
    const sources = processSources();
    expect(sources.cpuMs()).toBeGreaterThan(0);
    expect(sources.cores()).toBeGreaterThanOrEqual(1);
    expect(sources.memory()).toBeGreaterThan(0);
    expect(sources.memory()).toBeLessThanOrEqual(1);
    expect(sources.eventLoop().activeMs).toBeGreaterThanOrEqual(0);
    expect(sources.lagMs()).toBeGreaterThanOrEqual(0);
    sources.close();
    expect(recorder.report().memUtilization).toBeGreaterThan(0);
  });

  test('has one recorder', () => {
    expect(serverMetrics()).toBe(serverMetrics());
    serverMetrics().close();
  });
});
