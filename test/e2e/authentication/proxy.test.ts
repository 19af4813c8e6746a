import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startProxy } from '../../../src/proxy/index.js';
import { jwks, signToken, testKey } from '../../support/jwt.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { grpcAuthz } from '../../support/ext-authz-server.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const KEY = testKey('RS256', 'k1');
const ISSUER = 'https://issuer.test';
const token = (claims: object): string =>
  signToken(KEY, { iss: ISSUER, aud: 'edge', exp: Math.floor(Date.now() / 1_000) + 600, ...claims });

interface Seen {
  readonly server: string;
  readonly headers: IncomingHttpHeaders;
  readonly url: string | undefined;
  readonly body: string;
}

async function backend(server: string): Promise<number> {
  const listening = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      response.end(JSON.stringify({ server, headers: incoming.headers, url: incoming.url, body } satisfies Seen));
    });
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    listening.closeAllConnections();
    listening.close();
  });
  return (listening.address() as AddressInfo).port;
}

type Ask = (headers: Record<string, string>, path?: string, body?: string) => Promise<{ status: number; text: string }>;

const overHttp1 =
  (url: string): Ask =>
  (headers, path = '/', body) =>
    new Promise((resolve, reject) => {
      const method = body === undefined ? 'GET' : 'POST';
      const sent = request(
        url + path,
        { method, headers: { host: 'localhost', ...headers }, agent: false },
        (reply) => {
          let text = '';
          reply.setEncoding('utf8');
          reply.on('data', (chunk: string) => {
            text += chunk;
          });
          reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }));
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });

const overHttp2 =
  (url: string): Ask =>
  (headers, path = '/', body) =>
    new Promise((resolve, reject) => {
      const session = http2.connect(url);
      const sent = session.request({
        ':path': path,
        ':method': body === undefined ? 'GET' : 'POST',
        ':authority': 'localhost',
        ...headers,
      });
      let status = 0;
      let text = '';
      sent.on('response', (head) => {
        status = Number(head[':status']);
      });
      sent.setEncoding('utf8');
      sent.on('data', (chunk: string) => {
        text += chunk;
      });
      sent.on('end', () => {
        session.close();
        resolve({ status, text });
      });
      sent.on('error', reject);
      sent.end(body);
    });

const POLICIES = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthenticationPolicy
metadata: { name: users }
spec:
  targetRefs: [{ name: edge }]
  jwt: [{ issuer: "${ISSUER}", audiences: [edge], jwks: '${jwks(KEY)}', outputClaimToHeaders: [{ header: x-user, claim: sub }] }]
---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: staff }
spec:
  targetRefs: [{ kind: Service, name: edge }]
  action: ALLOW
  rules:
    - from: [{ requestPrincipals: ["${ISSUER}/*"] }]
      when: [{ key: "request.auth.claims[realm][roles]", values: [staff, beta] }]
`;

const yaml = (main: number, beta: number): string =>
  serviceYaml('edge', `endpoints: ["127.0.0.1:1"]`) +
  serviceYaml('localhost', `endpoints: ["127.0.0.1:${main}"]`) +
  serviceYaml('beta', `endpoints: ["127.0.0.1:${beta}"]`) +
  POLICIES +
  `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: by-claim }
spec:
  parentRefs: [{ kind: Service, group: "", name: localhost }]
  rules:
    - matches: [{ headers: [{ name: "@request.auth.claims.realm.roles", value: beta }] }]
      backendRefs: [{ name: beta, port: 80 }]
    - backendRefs: [{ name: localhost, port: 80 }]
`;

describe.each(CARRIERS)('%s, a proxy', (carrier) => {
  test.each([
    ['HTTP/1.1', overHttp1],
    ['HTTP/2', overHttp2],
  ])('verifies tokens over %s, refuses by claims, and routes by them', async (_, face) => {
    const [main, beta] = [await backend('main'), await backend('beta')];
    const { mesh, close } = await openCarrier(carrier, yaml(main, beta));
    opened.push(close);
    const { service, servers, meter } = mesh;
    const proxy = await startProxy({ service, servers, meter, policies: 'edge', gateway: true, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const ask = face(proxy.url);
    const bearer = (claims: object): Record<string, string> => ({ authorization: `Bearer ${token(claims)}` });

    // On a machine that is busy, policies may be known later than requests wait for them.
    await vi.waitFor(async () => expect(await ask({})).toMatchObject({ status: 401 }), 10_000);
    expect((await ask({ authorization: 'Bearer nonsense' })).status).toBe(401);
    expect((await ask(bearer({ sub: 'eve', realm: { roles: ['guest'] } }))).status).toBe(403);

    const staff = await ask(
      { ...bearer({ sub: 'ada', realm: { roles: ['staff'] } }), 'x-user': 'root' },
      '/a',
      'hello',
    );
    expect(staff.status).toBe(200);
    const seen = JSON.parse(staff.text) as Seen;
    expect([seen.server, seen.headers['x-user'], seen.headers.authorization, seen.body]).toEqual([
      'main',
      'ada',
      undefined,
      'hello',
    ]);
    const tester = await ask(bearer({ sub: 'bob', realm: { roles: ['beta', 'staff'] } }));
    expect((JSON.parse(tester.text) as Seen).server).toBe('beta');
  });
});

test.each([
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
])(
  'a proxy asks an authorization service about requests over %s, and shows it the start of their bodies',
  async (_, face) => {
    let mood: 'allow' | 'deny' = 'allow';
    const authz = await grpcAuthz(() => mood);
    opened.push(authz.close);
    const main = await backend('main');
    const { mesh, close } = await openCarrier(
      'embedded',
      serviceYaml('edge', `endpoints: ["127.0.0.1:1"]`) +
        serviceYaml('localhost', `endpoints: ["127.0.0.1:${main}"]`) +
        serviceYaml(
          'authz',
          `ports: [{ port: 80, appProtocol: kubernetes.io/h2c }], endpoints: ["127.0.0.1:${authz.port}"]`,
        ) +
        `---
apiVersion: inmesh.dev/v1alpha1
kind: ExternalAuthorizationPolicy
metadata: { name: ask }
spec: { targetRefs: [{ name: edge }], service: { name: authz }, protocol: grpc, timeout: 2s, includeRequestBody: { maxBytes: 100 } }
`,
    );
    opened.push(close);
    const { service, servers, meter } = mesh;
    const proxy = await startProxy({ service, servers, meter, policies: 'edge', gateway: true, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close({ graceMs: 0 }));
    const ask = face(proxy.url);
    const served = await ask({ 'x-user': 'root' }, '/a?b=c', 'hello');
    expect(served.status).toBe(200);
    const seen = JSON.parse(served.text) as Seen;
    expect([seen.headers['x-user'], seen.url, seen.body]).toEqual(['ada', '/a?b=c', 'hello']);
    expect(authz.asked.at(-1)).toMatchObject({ path: '/a?b=c' });
    mood = 'deny';
    expect((await ask({}, '/', 'hello')).status).toBe(418);
  },
);
