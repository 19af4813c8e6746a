import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TestCa, testCa } from '../../support/pki.js';

/* A ServiceEntry over TLS, against a real server and by a process of its own, as the system's roots are read when a process starts. */

const HOST = 'api.example.com';
let folder: string;
let ca: TestCa;
const servers: Server[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-https-'));
  ca = testCa();
  await writeFile(join(folder, 'roots.pem'), ca.root);
});
afterAll(async () => {
  for (const server of servers) server.close();
  await rm(folder, { recursive: true });
});

/** A server with a certificate for a name, which tells what it was asked; and how often it was. */
async function outside(name: string): Promise<{ port: number; asked: string[] }> {
  const { chainPem: cert, keyPem: key } = ca.issue({ name, spiffeId: undefined, dns: [name], ip: [] });
  const asked: string[] = [];
  let failures = 1;
  const server = createServer({ cert, key }, (request, response) => {
    asked.push(`${request.headers.host}${request.url}`);
    if (request.url === '/flaky' && failures-- > 0) response.writeHead(503).end();
    else response.end(`hello ${request.headers.host}, ${(request.socket as { servername?: string }).servername}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return { port: (server.address() as AddressInfo).port, asked };
}

const entry = (port: number, more: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ServiceEntry
metadata: { name: api }
spec: { hosts: [${HOST}], ports: [{ number: 443, protocol: HTTPS, targetPort: ${port} }], ${more} }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: api }
spec:
  parentRefs: [{ kind: Service, group: "", name: api }]
  rules: [{ backendRefs: [{ name: api, port: 443 }], retry: { codes: [503], attempts: 1 } }]
`;

/** Asks in turn, in a process that trusts the test's authority as the system's, or does not; what each call came to. */
async function asking(yaml: string, urls: readonly string[], trusting = true): Promise<string[]> {
  const file = join(folder, `mesh-${Math.abs(hash(yaml))}.yaml`);
  await writeFile(file, yaml);
  const index = fileURLToPath(new URL('../../../src/index.ts', import.meta.url));
  const program = `
    import { meshClient } from ${JSON.stringify(index)};
    const silent = { debug() {}, info() {}, warn() {}, error() {} };
    const mesh = meshClient({ config: ${JSON.stringify(file)}, logger: silent, resolve: async () => ['127.0.0.1'] });
    const told = [];
    for (const url of ${JSON.stringify(urls)})
      told.push(await mesh.fetch(url).then(async (reply) => reply.status + ' ' + (await reply.text()), (error) => (error.cause ?? error).code ?? error.code ?? error.name));
    await mesh.close();
    console.log(JSON.stringify(told));
  `;
  const env = { ...process.env, ...(trusting && { NODE_EXTRA_CA_CERTS: join(folder, 'roots.pem') }) };
  const script = join(folder, 'asking.mts');
  await writeFile(script, program);
  const child = spawn(process.execPath, ['--import', 'tsx', script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [printed] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return JSON.parse(printed) as string[];
}

const hash = (value: string): number => [...value].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) | 0, 7);

describe.each([
  ['found by its own name', 'resolution: DNS'],
  ['with endpoints', 'resolution: STATIC, endpoints: [{ address: 127.0.0.1 }]'],
])('a ServiceEntry over HTTPS, %s', (_, more) => {
  test('is called over TLS however the call is written, under its name, and with the policies of a Service', async () => {
    const { port, asked } = await outside(HOST);
    const urls = [`http://${HOST}/a`, `https://${HOST}/b`, `http://${HOST}:443/c`, `https://${HOST}/flaky`];
    // With the port, where it was written and the endpoint has no name of its own: the same host (RFC 9110 section 4.2.3).
    const told = (await asking(entry(port, more), urls)).map((one) => one.replace(':443', ''));
    expect(told).toEqual(urls.map(() => `200 hello ${HOST}, ${HOST}`));
    expect(asked.map((one) => one.slice(one.indexOf('/')))).toEqual(['/a', '/b', '/c', '/flaky', '/flaky']);
  });

  test('is not called where the certificate is for another name, nor where nobody trusts it', async () => {
    const other = await outside('evil.example.com');
    const [refused] = await asking(entry(other.port, more), [`http://${HOST}/`]);
    const own = await outside(HOST);
    const [untrusted] = await asking(entry(own.port, more), [`http://${HOST}/`], false);
    expect([refused, untrusted, other.asked, own.asked]).toEqual([
      expect.stringMatching(/^[A-Z_]+$/),
      expect.stringMatching(/^[A-Z_]+$/),
      [],
      [],
    ]);
  });
});
