import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/core/decode.js';
import { silentLogger } from '../../src/core/log.js';
import { writeBundle } from '../../src/identity/bundle.js';
import { memoryIdentity } from '../../src/identity/sources/memory.js';
import { type Mesh, type MeshOptions, meshClient } from '../../src/index.js';
import { type Issued, testCa } from '../support/pki.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const [own, shop] = [testCa(), testCa({ trustDomain: 'shop.example' })];
const bundleText = writeBundle({
  x509Authorities: [shop.root],
  jwtAuthorities: [],
  sequence: 1,
  refreshHintMs: undefined,
});

async function listen(server: Server): Promise<number> {
  ends.push(() => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return (server.address() as AddressInfo).port;
}

const serve = (identity: Issued, answer: string): Promise<number> =>
  listen(
    createServer(
      {
        cert: identity.chainPem,
        key: identity.keyPem,
        ca: [own.root, shop.root],
        requestCert: true,
        rejectUnauthorized: false,
      },
      (_, response) => response.end(answer),
    ),
  );

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'inmesh-federation-'));
  ends.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function open(options: MeshOptions): Mesh {
  const mesh = meshClient({ logger: silentLogger, ...options });
  ends.push(() => mesh.close());
  return mesh;
}

describe('a mesh that federates', () => {
  test("calls a service of another trust domain, whose bundle it got from there by the endpoint's SPIFFE ID", async () => {
    const path = folder();
    const bundles = await serve(shop.issue({ name: 'bundles', ip: [] }), bundleText);
    const orders = await serve(shop.issue({ name: 'orders' }), 'of the shop');
    const [config, bundle] = [join(path, 'mesh.yaml'), join(path, 'shop.json')];
    writeFileSync(bundle, bundleText);
    const kinds = [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'orders' },
        spec: { ports: [{ port: 80 }], endpoints: [`127.0.0.1:${orders}`] },
      },
      {
        apiVersion: 'inmesh.dev/v1alpha1',
        kind: 'TrafficPolicy',
        metadata: { name: 'orders' },
        spec: {
          targetRefs: [{ kind: 'Service', name: 'orders' }],
          tls: { mode: 'mutual', subjectAltNames: ['spiffe://shop.example/ns/default/sa/orders'] },
        },
      },
    ];
    writeFileSync(config, kinds.map((kind) => JSON.stringify(kind)).join('\n---\n'));
    const source = memoryIdentity({ identity: own.issue({ name: 'client' }), trust: own.trust() });
    const url = `https://127.0.0.1:${bundles}/`;
    const endpointSpiffeId = 'spiffe://shop.example/ns/default/sa/bundles';
    const mesh = open({
      config,
      identity: { source },
      federatesWith: [{ trustDomain: 'shop.example', url, endpointSpiffeId, bundle }],
    });
    expect(await (await mesh.fetch('http://orders/')).text()).toBe('of the shop');

    const alone = open({ config, identity: { source } });
    const refused = await alone.fetch('http://orders/').catch((error: Error) => error);
    expect(String((refused as { cause?: unknown }).cause)).toMatch(/trust domain|shop\.example/);
    await mesh.close();
    // The application's own source stays open.
    source.watch({ changed() {}, failed() {} })();
  });

  test.each<[unknown, RegExp]>([
    [{}, /^options\.federatesWith: must be a list/],
    [[{}], /^options\.federatesWith\[0\]\.trustDomain: must be a string/],
    [[{ trustDomain: 'a' }], /^options\.federatesWith\[0\]\.url: must be a string/],
    [
      [{ trustDomain: 'a', url: 'https://a/', trustdomain: '' }],
      /^options\.federatesWith\[0\]\.trustdomain: unknown field; did you mean "trustDomain"/,
    ],
  ])('options that are none are refused at once: %j', (federatesWith, message) => {
    const make = (): Mesh => open({ services: {}, federatesWith: federatesWith as never });
    expect(make).toThrow(DecodeError);
    expect(make).toThrow(message);
  });
});
