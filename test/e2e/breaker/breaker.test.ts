import { afterEach, describe, expect, test, vi } from 'vitest';
import { openAsker } from '../fallback-paths/asking.js';
import { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { FACES, isGrpc } from '../support/echo.js';

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
const WAIT = { timeout: 10_000, interval: 20 };
const FAIL = { 'x-behave': 'fail' };
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const backend = async (): Promise<Backend> => {
  const started = await Backend.start('reviews');
  opened.push(() => started.kill());
  return started;
};
const service = (...endpoints: string[]): string => `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${endpoints.map((endpoint) => `"${endpoint}"`).join(', ')}] }
`;
const policy = (breaker: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: Service, group: "", name: reviews }], breaker: ${breaker} }
`;

describe.each(combinations)(
  'the breaker of a destination, $face, $carrier',
  ({ carrier: carrierName, face: faceName }) => {
    const open = async (yaml: string) => {
      const carrier = await openCarrier(carrierName, yaml);
      opened.push(() => carrier.close());
      const asker = await openAsker(faceName, carrier.mesh);
      opened.push(() => asker.close());
      return { carrier, ask: asker.ask };
    };
    const at = (b: Backend): string => `127.0.0.1:${isGrpc(faceName) ? b.grpcPort : b.httpPort}`;
    const refused = { error: isGrpc(faceName) ? 'UNAVAILABLE' : 'BREAKER_OPEN' };

    test('opens after failures in a row, refuses without sending, and closes when a probe succeeds', async () => {
      const reviews = await backend();
      const { ask, carrier } = await open(
        service(at(reviews)) + policy('{ consecutiveFailures: 3, basePenalty: 500ms }'),
      );
      expect(await ask()).toEqual({ id: 'reviews' });
      // A retry is a call like any other to the breaker.
      for (let i = 0; i < 3; i++) await ask(FAIL);
      const { length } = reviews.seen;
      expect(length).toBe(4);
      expect(await Promise.all([ask(), ask(), ask()])).toEqual([refused, refused, refused]);
      expect(reviews.seen.length).toBe(length);
      await vi.waitFor(async () => expect(await ask()).toEqual({ id: 'reviews' }), WAIT);
      const text = carrier.mesh.prometheus();
      for (const state of ['open', 'half-open', 'closed']) {
        expect(text).toMatch(
          new RegExp(`mesh_client_breaker_transitions_total\\{[^}]*mesh_breaker_state="${state}"[^}]*\\} 1\\b`),
        );
      }
    });

    test('opens when too few succeed, and is gone when its policy is', async () => {
      const reviews = await backend();
      const rate = '{ consecutiveFailures: 0, successRate: { percent: 60, minimumRequests: 6 }, basePenalty: 1m }';
      const { ask, carrier } = await open(service(at(reviews)) + policy(rate));
      for (let i = 0; i < 3; i++) await ask();
      for (let i = 0; i < 3; i++) await ask(FAIL);
      expect(await ask()).toEqual(refused);
      await carrier.edit(service(at(reviews)));
      await vi.waitFor(async () => expect(await ask()).toEqual({ id: 'reviews' }), WAIT);
    });
  },
);

test('what fetch has found out gRPC knows: the breaker is one for the destination', async () => {
  const reviews = await backend();
  const carrier = await openCarrier(
    'embedded',
    service(`127.0.0.1:${reviews.httpPort}`) + policy('{ consecutiveFailures: 3, basePenalty: 1m }'),
  );
  opened.push(() => carrier.close());
  const [web, rpc] = [await openAsker('fetch', carrier.mesh), await openAsker('gRPC', carrier.mesh)];
  opened.push(() => rpc.close());
  for (let i = 0; i < 3; i++) await web.ask(FAIL);
  const { length } = reviews.seen;
  expect(await rpc.ask()).toEqual({ error: 'UNAVAILABLE' });
  expect(reviews.seen.length).toBe(length);
});
