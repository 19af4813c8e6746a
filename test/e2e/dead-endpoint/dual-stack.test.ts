import { afterEach, expect, test } from 'vitest';
import { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { FACES, isGrpc } from '../support/echo.js';
import { openFace } from '../support/faces.js';

/* gRFC A61: an endpoint has addresses of both families, and is one endpoint, whichever of them works. */

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));

test.each(combinations)(
  '$face, $carrier: nobody listens at the IPv6 addresses of two endpoints; each serves its half by IPv4',
  async ({ carrier: carrierName, face: faceName }) => {
    const backends = [await Backend.start('a'), await Backend.start('b')];
    for (const backend of backends) opened.push(() => backend.kill());
    const endpoints = backends.map((each) => {
      const port = isGrpc(faceName) ? each.grpcPort : each.httpPort;
      return `{ address: "[::1]:${port}", additionalAddresses: ["127.0.0.1:${port}"] }`;
    });
    const carrier = await openCarrier(
      carrierName,
      `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${endpoints.join(', ')}] }
---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  loadBalancer: { simple: ROUND_ROBIN }
`,
    );
    opened.push(() => carrier.close());
    const face = await openFace(faceName, carrier.mesh, 'reviews');
    opened.push(() => face.close());
    const answers = new Map<string, number>();
    for (let i = 0; i < 20; i++) {
      const id = await face.send();
      answers.set(id, (answers.get(id) ?? 0) + 1);
    }
    expect(answers).toEqual(
      new Map([
        ['a', 10],
        ['b', 10],
      ]),
    );
    const [cluster] = (await carrier.mesh.configDump()).clusters;
    expect(cluster?.endpoints.map(({ health }) => health.reach)).toEqual(['reached', 'reached']);
  },
);
