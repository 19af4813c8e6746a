import { afterEach, expect, test } from 'vitest';
import type { AttemptMonitor } from '../../../src/client/endpoints/endpoint.js';
import { HealthChecker } from '../../../src/client/health/health-checker.js';
import { OutlierDetection } from '../../../src/client/outlier/outlier-detection.js';
import { httpServer } from '../../support/http1-fixture.js';
import { until } from '../../support/http2-fixture.js';
import { Checked, checkConfig, checkSurroundings, httpCheck } from '../../support/health.js';
import { outlierConfig } from '../../support/outliers.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});

class Both extends Checked {
  monitor: AttemptMonitor | undefined;
}

/*
 * Scenario: a server answers its checks, and fails its calls.
 * 1. Five calls fail: outlier detection takes it out.
 * 2. The next check passes: it is back, as Envoy has it (successful_active_health_check_uneject_host).
 * 3. Five more calls fail, and then the checks, too: it is out twice over.
 * 4. Its ejection ends: the checks still keep it out, until two of them have passed.
 */
test('ejections and checks: each takes an endpoint out, a passed check ends an ejection, and all must agree', async () => {
  let status = 200;
  const server = await httpServer((_request, response) => void response.writeHead(status).end());
  cleanUp.push(() => server.close());
  const s = checkSurroundings();
  const endpoint = new Both(server.port, s.clock);
  const config = outlierConfig({ consecutive5xx: { count: 5, enforcing: 1 } });
  const outliers = new OutlierDetection(config, { name: 'reviews' }, s.env);
  const env = { ...s.env, passed: (key: string) => outliers.checkPassed(key) };
  const checker = new HealthChecker([checkConfig(httpCheck(), { intervalMs: 7_000 })], { name: 'reviews' }, env);
  cleanUp.push(
    () => checker.close(),
    () => outliers.close(),
  );
  outliers.update([endpoint]);
  checker.update([endpoint]);
  let checks = 1;
  const checked = (): Promise<void> => until(() => s.gauges.read()['mesh.health_check.attempts reviews'] === checks);
  const next = async (ms: number): Promise<void> => {
    checks++;
    await s.clock.advance(ms);
    await checked();
  };
  const failCalls = (): void => {
    for (let i = 0; i < 5; i++) endpoint.monitor?.finished('failure', 500, false, s.clock.now());
  };
  await checked();

  failCalls();
  expect(endpoint.verdict).toBe('unusable');
  await next(7_000);
  expect(endpoint.verdict).toBe('usable');
  expect(outliers.ejected).toBe(0);

  failCalls();
  status = 500;
  await next(7_000);
  expect([outliers.ejected, endpoint.verdict]).toEqual([1, 'unusable']);

  for (let i = 0; i < 10; i++) await next(7_000);
  expect([outliers.ejected, endpoint.verdict]).toEqual([0, 'unusable']);
  status = 200;
  await next(7_000);
  expect(endpoint.verdict).toBe('unusable');
  await next(7_000);
  expect(endpoint.verdict).toBe('usable');
});
