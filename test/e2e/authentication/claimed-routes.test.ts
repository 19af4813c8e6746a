import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { startProxy } from '../../../src/proxy/index.js';
import { jwks, signToken, testKey } from '../../support/jwt.js';
import { httpRouteYaml, serviceYaml } from '../../support/mesh-yaml.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { type Opened, SERVED } from '../support/served.js';

/* Rules of routes that match by claims, as servers see them: which policies hold is known once the token is verified. */

const opened: Opened = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const KEY = testKey('RS256', 'k1');
const ISSUER = 'https://issuer.test';
const as = (role: unknown): Record<string, string> => ({
  authorization: `Bearer ${signToken(KEY, { iss: ISSUER, sub: 'ada', exp: Math.floor(Date.now() / 1_000) + 600, role })}`,
});
const of = (kind: string, name: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name} }
spec: { ${spec} }
`;
const rule = (role: string): string =>
  `{ name: ${role}, matches: [{ headers: [{ name: "@request.auth.claims.role", value: ${role} }] }], backendRefs: [{ name: reviews }] }`;
const to = (role: string): string => `targetRefs: [{ kind: HTTPRoute, name: r, sectionName: ${role} }]`;

const CONFIG = [
  serviceYaml('reviews'),
  httpRouteYaml(
    'r',
    'name: reviews',
    `[${['banned', 'free', 'broken'].map(rule).join(', ')}, { name: others, backendRefs: [{ name: reviews }] }]`,
  ),
  of(
    'AuthenticationPolicy',
    'users',
    `targetRefs: [{ name: reviews }], jwtRequirement: optional, jwt: [{ issuer: "${ISSUER}", jwks: '${jwks(KEY)}' }]`,
  ),
  of('AuthorizationPolicy', 'banned', `${to('banned')}, action: DENY, rules: [{}]`),
  of(
    'RateLimitPolicy',
    'free',
    `${to('free')}, side: server, limits: [{ name: free, key: [{ claim: sub }], limit: { requests: 1, per: 1h } }]`,
  ),
  of('FaultPolicy', 'broken', `${to('broken')}, side: server, abort: { httpStatus: 500 }`),
].join('');

describe.each(CARRIERS)('%s', (carrier) => {
  test.each(SERVED)(
    '$name holds a request to the policies of the rule that its claims match',
    async ({ grpc: isGrpc, start }) => {
      const { mesh, close } = await openCarrier(carrier, CONFIG);
      opened.push(close);
      let handled = 0;
      const server = await start(mesh, 'reviews', opened, () => void handled++);
      const ask = async (headers = {}): Promise<number> => (await server.ask(headers)).status;
      const { OK, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAUTHENTICATED, UNKNOWN } = grpc.status;
      const [ok, denied, limited, broken, bad] = isGrpc
        ? [OK, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNKNOWN, UNAUTHENTICATED]
        : [200, 403, 429, 500, 401];
      // At first keys are looked for, then the token is known.
      expect([await ask(as('banned')), await ask(as('banned'))]).toEqual([denied, denied]);
      expect(handled).toBe(0);
      expect([await ask(as('free')), await ask(as('free'))]).toEqual([ok, limited]);
      expect(await ask(as(['free']))).toBe(limited);
      expect(await ask(as('broken'))).toBe(broken);
      // Those of another rule, and of nobody: none of this counts for them.
      expect([await ask(as('pro')), await ask(as(7)), await ask()]).toEqual([ok, ok, ok]);
      expect(await ask({ authorization: 'Bearer nonsense' })).toBe(bad);
      expect(handled).toBe(4);
    },
  );
});

test('a proxy with the policies of the service does the same', async () => {
  const listening = createServer((_, response) => response.end('served'));
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    listening.closeAllConnections();
    listening.close();
  });
  const behind = serviceYaml('localhost', `endpoints: ["127.0.0.1:${(listening.address() as AddressInfo).port}"]`);
  const { mesh, close } = await openCarrier('embedded', CONFIG + behind);
  opened.push(close);
  const { service, servers, meter } = mesh;
  const proxy = await startProxy({
    service,
    servers,
    meter,
    policies: 'reviews',
    gateway: true,
    listen: '127.0.0.1:0',
  });
  opened.push(() => proxy.close({ graceMs: 0 }));
  const ask = async (headers: Record<string, string>): Promise<number | undefined> => {
    const asked = get(proxy.url, { headers: { host: 'localhost', ...headers }, agent: false });
    const [reply] = (await once(asked, 'response')) as [IncomingMessage];
    reply.resume();
    return reply.statusCode;
  };
  expect([await ask(as('banned')), await ask(as('free')), await ask(as('free')), await ask(as('pro'))]).toEqual([
    403, 200, 429, 200,
  ]);
});
