import { afterEach, describe, expect, test, vi } from 'vitest';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { WebBackend } from '../../support/web-backend.js';
import { Opened, WAIT } from '../robustness/support.js';

/* The same policies as YAML, embedded and from our own control plane over a real socket. */

const opened = new Opened();
afterEach(() => opened.close());

describe.each(CARRIERS)('TrafficPolicy, %s', (carrierName) => {
  test('says how calls are balanced and endpoints judged, and mesh and servers do so', async () => {
    const list = [
      opened.add(await WebBackend.start('a'), (each) => each.kill()),
      opened.add(await WebBackend.start('b'), (each) => each.kill()),
      opened.add(await WebBackend.start('c'), (each) => each.kill()),
    ] as const;
    const carrier = await openCarrier(
      carrierName,
      `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${list.map(({ port }) => `"127.0.0.1:${port}"`).join(', ')}] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ kind: Service, name: reviews }]
  loadBalancer: { consistentHash: { httpHeaderName: x-user } }
  outlierDetection: { consecutive5xx: 3, baseEjectionTime: 5m, maxEjectionPercent: 34 }
  healthChecks:
  - { interval: 20ms, noTrafficInterval: 20ms, timeout: 5s, unhealthyThreshold: 2, healthyThreshold: 2, httpHealthCheck: { path: /healthz } }
`,
    );
    opened.add(carrier, (each) => each.close());
    const { mesh } = carrier;
    const ask = async (user: string): Promise<string> =>
      (await mesh.fetch('http://reviews/get', { headers: { 'x-user': user } })).text();
    const users = Array.from({ length: 30 }, (_, i) => `user-${i}`);
    const homes = new Map<string, string>();
    for (const user of users) homes.set(user, await ask(user));
    expect(new Set(homes.values())).toEqual(new Set(['a', 'b', 'c']));
    const verdictOf = async (port: number) =>
      (await mesh.configDump()).clusters
        .flatMap(({ endpoints }) => endpoints)
        .find(({ address }) => address === `127.0.0.1:${port}`)?.health.verdict;
    const [, b] = list;
    b.healthy = false;
    await vi.waitFor(async () => expect(await verdictOf(b.port)).toBe('unusable'), WAIT);
    for (const user of users) expect(await ask(user)).not.toBe('b');
    b.healthy = true;
    await vi.waitFor(async () => expect(await verdictOf(b.port)).toBe('usable'), WAIT);
    for (const user of users) expect(await ask(user)).toBe(homes.get(user));
  });
});
