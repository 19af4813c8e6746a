import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function answering(text: string): Promise<number> {
  const server = createServer((request, response) => response.end(`${text} ${request.headers.host}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const entry = (port: number): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: vendor }
spec:
  hosts: [api.vendor.example]
  ports: [{ number: 80, targetPort: ${port} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
`;

/** Calls to `parent`, in shares. */
const shares = (name: string, parent: string, own: number, vendor: number): string => `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${parent} }]
  rules:
    - backendRefs:
        - { name: orders, port: 80, weight: ${own} }
        - { name: vendor, port: 80, weight: ${vendor} }
`;

const CALLS = 200;

describe.each(CARRIERS)('%s', (carrier) => {
  test.each([
    ['a Service', 'orders', 'http://orders/', 'orders'],
    ['a ServiceEntry', 'vendor', 'http://api.vendor.example/', 'api.vendor.example'],
  ])('calls to %s go to a Service and to a ServiceEntry by weight', async (_, parent, url, host) => {
    const [inside, outside] = [await answering('own'), await answering('vendor')];
    const backends =
      serviceYaml('orders', `ports: [{ port: 80 }], endpoints: ["127.0.0.1:${inside}"]`) + entry(outside);
    const ask = async (own: number, vendor: number): Promise<Record<string, number>> => {
      const { mesh, close } = await openCarrier(carrier, backends + shares('canary', parent, own, vendor));
      opened.push(close);
      const counted: Record<string, number> = {};
      for (let i = 0; i < CALLS; i++) {
        const text = await (await mesh.fetch(url)).text();
        counted[text] = (counted[text] ?? 0) + 1;
      }
      return counted;
    };
    expect(await ask(1, 0)).toEqual({ [`own ${host}`]: CALLS });
    expect(await ask(0, 1)).toEqual({ [`vendor ${host}`]: CALLS });
    const mixed = await ask(3, 1);
    // A quarter of them is 50, give or take six standard deviations.
    expect(Object.keys(mixed).sort()).toEqual([`own ${host}`, `vendor ${host}`]);
    expect(Math.abs((mixed[`vendor ${host}`] ?? 0) - CALLS / 4)).toBeLessThan(37);
  });
});
