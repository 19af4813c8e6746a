import { afterEach, describe, expect, test } from 'vitest';
import { needsNewConnections } from '../../../src/client/endpoints/connecting.js';
import { probeOf } from '../../../src/client/health/checked-endpoint.js';
import type { CheckResult } from '../../../src/client/health/probe.js';
import type { HealthCheckConfig } from '../../../src/core/model/health-check.js';
import { systemTls } from '../../../src/core/model/tls.js';
import { safeRegex } from '../../../src/core/regex/safe-regex.js';
import { checkConfig, checkSurroundings, httpCheck } from '../../support/health.js';
import { endpointAt } from '../../support/http2-fixture.js';
import { testCa } from '../../support/pki.js';
import { aCluster } from '../../support/targets.js';
import { secureHttp } from '../../support/tls-http.js';
import { exactly, MUTUAL, STRICT, stateOf, workload } from '../../support/tls-peers.js';

const ca = testCa();
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

async function probing(check: HealthCheckConfig['check'], id: string) {
  const serving = workload(stateOf(ca.issue({ name: 'reviews' }), ca));
  const server = await secureHttp(serving.tls.server(STRICT), (_, response) => response.end('well'));
  const calling = workload(stateOf(ca.issue(), ca), { random: { next: () => 0, int: () => 0 } });
  const { env } = checkSurroundings();
  const target = {
    endpoint: { ...endpointAt(server.port), hostname: 'reviews' },
    host: 'reviews',
    tls: exactly(id),
    timeoutMs: 5_000,
    reuseConnection: true,
  };
  const probe = probeOf(checkConfig(check), target, { ...env, tls: calling.tls });
  cleanUp.push(
    () => server.close(),
    () => probe.close(),
  );
  const once = (): Promise<CheckResult> => new Promise((resolve) => void probe.start(resolve));
  return { once, server, calling };
}

const tcpCheck = (send = '', receive: readonly string[] = []) =>
  ({ kind: 'tcp', send: Buffer.from(send), receive: receive.map((text) => Buffer.from(text)) }) as const;

const CHECKS: readonly [string, HealthCheckConfig['check']][] = [
  ['TCP', tcpCheck()],
  ['TCP with bytes', tcpCheck('GET / HTTP/1.1\r\nhost: reviews\r\n\r\n', ['well'])],
  ['HTTP/1.1', httpCheck()],
  ['HTTP/2', httpCheck({ http2: true })],
];

describe('health checks under mutual TLS', () => {
  test.each(CHECKS)('%s: one passes', async (_, check) => {
    const { once } = await probing(check, 'spiffe://cluster.local/ns/default/sa/reviews');
    expect(await once()).toMatchObject({ passed: true });
    expect(await once()).toMatchObject({ passed: true });
  });

  test.each(CHECKS)('%s: one of a server that is somebody else fails, and says why', async (_, check) => {
    const { once } = await probing(check, 'spiffe://cluster.local/ns/default/sa/ratings');
    const result = await once();
    expect(result).toMatchObject({ passed: false, failure: 'network' });
    expect('detail' in result && result.detail).toContain('its certificate is for');
  });

  test('a connection that checks share is not used after a new certificate', async () => {
    const [, check] = CHECKS[1] as (typeof CHECKS)[number];
    const { once, server, calling } = await probing(check, 'spiffe://cluster.local/ns/default/sa/reviews');
    await once();
    await once();
    expect(server.accepted()).toBe(1);
    calling.source.set(stateOf(ca.issue(), ca));
    await new Promise((resolve) => setTimeout(resolve, 5));
    await once();
    expect(server.accepted()).toBe(2);
  });
});

describe('an update of a cluster', () => {
  const regex = (source: string) =>
    ({ ...MUTUAL, sans: [{ type: 'URI', match: { kind: 'regex', regex: safeRegex(source) } }] }) as const;

  test('with the same TLS in other objects keeps its connections', () => {
    const [a, b] = ['a+', 'a+'].map((source) => aCluster('c', [], { tls: regex(source) }));
    expect(needsNewConnections(a as never, b as never)).toBe(false);
  });

  test.each([
    [undefined, MUTUAL],
    [MUTUAL, undefined],
    [MUTUAL, systemTls('reviews')],
    [regex('a+'), regex('b+')],
    [MUTUAL, exactly('spiffe://cluster.local/a')],
  ])('with other TLS has new ones (%#)', (before, after) => {
    expect(needsNewConnections(aCluster('c', [], { tls: before }), aCluster('c', [], { tls: after }))).toBe(true);
  });
});
