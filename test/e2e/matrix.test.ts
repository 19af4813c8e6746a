import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Backend } from './support/backend.js';
import { CARRIERS, type Carrier, openCarrier } from './support/carriers.js';
import { Opened, startLoad, WAIT } from './robustness/support.js';
import { FACES, isGrpc } from './support/echo.js';
import { type Face, openFace } from './support/faces.js';

/*
 * The same scenarios for every face that an application can use and for every way in which configuration can come. What differs is the protocol; what
 * happens must not.
 */

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
/** A port on which nobody listens. */
const DEAD = '127.0.0.1:1';

describe.each(combinations)('$face, $carrier', ({ carrier: carrierName, face: faceName }) => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const at = (b: Backend): string => `127.0.0.1:${isGrpc(faceName) ? b.grpcPort : b.httpPort}`;
  const open = async (yaml: string): Promise<{ carrier: Carrier; face: Face }> => {
    const carrier = await openCarrier(carrierName, yaml);
    opened.add(carrier, () => carrier.close());
    const face = await openFace(faceName, carrier.mesh, 'reviews');
    opened.add(face, () => face.close());
    return { carrier, face };
  };

  const service = (name: string, endpoints: readonly string[]): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { endpoints: [${endpoints.map((endpoint) => `"${endpoint}"`).join(', ')}] }
`;
  const route = (rules: string): string => `---
apiVersion: gateway.networking.k8s.io/v1
kind: ${isGrpc(faceName) ? 'GRPCRoute' : 'HTTPRoute'}
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews }]
  rules:
${rules}`;
  const policy = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: Service, group: "", name: reviews }], ${spec} }
`;

  test('a header decides which version answers', async () => {
    const [v1, v2] = [await opened.backend('v1'), await opened.backend('v2')];
    const { face } = await open(
      service('reviews', [at(v1)]) +
        service('reviews-v2', [at(v2)]) +
        route(`  - matches: [{ headers: [{ name: x-env, value: canary }] }]
    backendRefs: [{ name: reviews-v2, port: 80 }]
  - backendRefs: [{ name: reviews, port: 80 }]
`),
    );
    expect(await face.send()).toBe('v1');
    expect(await face.send({ headers: { 'x-env': 'canary' } })).toBe('v2');
    expect(await face.send({ headers: { 'x-env': 'other' } })).toBe('v1');
  });

  test('weights split the traffic 90 to 10, and an edit of the file moves it', async () => {
    const [v1, v2] = [await opened.backend('v1'), await opened.backend('v2')];
    const yaml = (a: number, b: number): string =>
      service('reviews', [at(v1)]) +
      service('reviews-v2', [at(v2)]) +
      route(`  - backendRefs: [{ name: reviews, port: 80, weight: ${a} }, { name: reviews-v2, port: 80, weight: ${b} }]
`);
    const { carrier, face } = await open(yaml(90, 10));
    const answers = await Promise.all(Array.from({ length: 500 }, () => face.send()));
    const second = answers.filter((id) => id === 'v2').length;
    // Binomial(500, 0.1): mean 50, five standard deviations are 33.5.
    expect(Math.abs(second - 50)).toBeLessThan(34);
    await carrier.edit(yaml(0, 100));
    await vi.waitFor(async () => {
      const now = await Promise.all(Array.from({ length: 20 }, () => face.send()));
      expect(new Set(now)).toEqual(new Set(['v2']));
    }, WAIT);
  });

  test('an endpoint that is down costs no call: the next attempt goes to another', async () => {
    const alive = await opened.backend('alive');
    const { carrier, face } = await open(
      service('reviews', [DEAD, at(alive)]) + policy('loadBalancer: { simple: ROUND_ROBIN }'),
    );
    for (let i = 0; i < 10; i++) expect(await face.send()).toBe('alive');
    const stats = carrier.mesh.stats();
    expect(JSON.stringify(stats)).toContain('retries');
    expect(alive.seen.length).toBe(10);
  });

  test('a call that takes longer than its caller allows ends with a deadline error, and its server is told the limit', async () => {
    const slow = await opened.backend('slow');
    const { face } = await open(service('reviews', [at(slow)]));
    await expect(face.send({ headers: { 'x-behave': 'hang' }, timeoutMs: 150 })).rejects.toThrow('DEADLINE_EXCEEDED');
    const told = slow.seen[0]?.headers[isGrpc(faceName) ? 'grpc-timeout' : 'x-envoy-expected-rq-timeout-ms'];
    if (!isGrpc(faceName)) expect(Number(told)).toBeLessThanOrEqual(150);
    expect(await face.send()).toBe('slow');
  });

  test('of 20 calls at once a limit of 3 lets 3 through, and refuses the rest at once', async () => {
    const busy = await opened.backend('busy');
    const { face } = await open(service('reviews', [at(busy)]) + policy('connectionPool: { maxRequests: 3 }'));
    await face.send();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => face.send({ headers: { 'x-behave': 'hang' }, timeoutMs: 500 })),
    );
    const errors = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.message as string);
    expect(errors.filter((code) => code === 'DEADLINE_EXCEEDED').length).toBe(3);
    expect(errors.filter((code) => code === (isGrpc(faceName) ? 'UNAVAILABLE' : 'CIRCUIT_OPEN')).length).toBe(17);
    expect(busy.seen.length).toBe(4);
    expect(await face.send()).toBe('busy');
  });

  test('endpoints come and go under load without a failed call', async () => {
    const [a, b, c] = [await opened.backend('a'), await opened.backend('b'), await opened.backend('c')];
    const { carrier, face } = await open(service('reviews', [at(a), at(b)]));
    const load = startLoad(face, 4);
    await vi.waitFor(() => expect([...load.answered].sort()).toEqual(['a', 'b']), WAIT);
    await carrier.edit(service('reviews', [at(a), at(b), at(c)]));
    await vi.waitFor(() => expect(load.answered.has('c')).toBe(true), WAIT);
    await carrier.edit(service('reviews', [at(b), at(c)]));
    await vi.waitFor(async () => {
      load.answered.clear();
      const before = load.total;
      await vi.waitFor(() => expect(load.total).toBeGreaterThan(before + 100), WAIT);
      expect([...load.answered].sort()).toEqual(['b', 'c']);
    }, WAIT);
    await a.drain();
    const after = load.total;
    await vi.waitFor(() => expect(load.total).toBeGreaterThan(after + 100), WAIT);
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  // Embedded configuration has no control plane that could die.
  if (carrierName === 'over ADS') {
    test('the control plane dies and comes back under load without a failed call, and is followed again afterwards', async () => {
      const [a, b] = [await opened.backend('a'), await opened.backend('b')];
      const { carrier, face } = await open(service('reviews', [at(a)]));
      const load = startLoad(face, 4);
      await vi.waitFor(() => expect(load.total).toBeGreaterThan(50), WAIT);
      await carrier.killControlPlane();
      const dead = load.total;
      await vi.waitFor(() => expect(load.total).toBeGreaterThan(dead + 200), WAIT);
      await carrier.edit(service('reviews', [at(b)]));
      await carrier.reviveControlPlane();
      await vi.waitFor(() => expect(load.answered.has('b')).toBe(true), { timeout: 20_000, interval: 20 });
      await load.stop();
      expect(load.failures).toEqual([]);
    });
  }
});
