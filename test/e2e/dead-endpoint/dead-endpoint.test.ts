import { afterEach, describe, expect, test } from 'vitest';
import { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { FACES, isGrpc } from '../support/echo.js';
import { openFace } from '../support/faces.js';

/*
 * Three backends, one of which is dead, and no retry policy that could hide it: gRPC never gives a call to an endpoint that it is not connected to, and
 * neither do we fail one for it.
 */

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
const CALLS = 1_000;
const AT_ONCE = 20;

describe.each(combinations)('$face, $carrier', ({ carrier: carrierName, face: faceName }) => {
  const opened: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });

  const open = async (balancing: string) => {
    const backends = [await Backend.start('a'), await Backend.start('b'), await Backend.start('c')];
    for (const backend of backends) opened.push(() => backend.kill());
    const kind = isGrpc(faceName) ? 'GRPCRoute' : 'HTTPRoute';
    const ports = backends.map((each) => (isGrpc(faceName) ? each.grpcPort : each.httpPort));
    const carrier = await openCarrier(
      carrierName,
      `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${ports.map((port) => `"127.0.0.1:${port}"`).join(', ')}] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews }]
  rules:
  - backendRefs: [{ name: reviews, port: 80 }]
    retry: { attempts: 0 }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ kind: Service, group: "", name: reviews }]
  loadBalancer: { simple: ${balancing} }
`,
    );
    opened.push(() => carrier.close());
    const face = await openFace(faceName, carrier.mesh, 'reviews');
    opened.push(() => face.close());
    return { backends, mesh: carrier.mesh, face };
  };

  test.each(['ROUND_ROBIN', 'LEAST_REQUEST'])(
    'one of three is dead: none of a thousand calls fails, %s',
    async (balancing) => {
      const { backends, mesh, face } = await open(balancing);
      const [a, b, c] = backends as [Backend, Backend, Backend];
      a.kill();
      const answers = new Map<string, number>();
      const worker = async (calls: number): Promise<void> => {
        for (let i = 0; i < calls; i++) {
          const id = await face.send();
          answers.set(id, (answers.get(id) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, () => worker(CALLS / AT_ONCE)));
      expect([...answers.keys()].sort()).toEqual(['b', 'c']);
      expect(b.seen.length + c.seen.length).toBe(CALLS);
      expect(Math.min(b.seen.length, c.seen.length)).toBeGreaterThan(CALLS / 4);
      // What no server saw was no attempt, and nothing was tried again.
      for (const { headers } of [...b.seen, ...c.seen]) {
        expect(headers).not.toHaveProperty('x-envoy-attempt-count');
        expect(headers).not.toHaveProperty('grpc-previous-rpc-attempts');
      }
      expect(mesh.prometheus()).not.toMatch(/mesh_client_retries_total\S* [1-9]/);
    },
  );

  test('when all are dead, a call fails as soon as each has refused it', async () => {
    const { backends, face } = await open('ROUND_ROBIN');
    for (const backend of backends) backend.kill();
    await expect(face.send({ timeoutMs: 60_000 })).rejects.toThrow(isGrpc(faceName) ? 'UNAVAILABLE' : 'CONNECT_FAILED');
  });
});
