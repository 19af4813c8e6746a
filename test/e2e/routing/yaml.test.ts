import { afterEach, describe, expect, test, vi } from 'vitest';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { Opened, WAIT } from '../robustness/support.js';
import { DOORS, openDoor } from './support/doors.js';
import { shops } from './support/plane.js';
import type { Shop } from './support/shop.js';

/* What an operator writes in YAML, embedded and from our own control plane over a real socket, whatever makes the calls. */

const opened = new Opened();
afterEach(() => opened.close());

const service = (name: string, list: readonly Shop[]): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  ports: [{ port: 80, appProtocol: kubernetes.io/h2c }]
  endpoints: [${list.map((shop) => `{ address: "127.0.0.1:${shop.port}", version: ${shop.name} }`).join(', ')}]
`;
const route = (rules: string): string => `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules:
${rules}`;
const policy = (kind: string, name: string, target: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name} }
spec: { targetRefs: [${target}], ${spec} }
`;
const RULE = 'group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews';

const combinations = CARRIERS.flatMap((carrier) => DOORS.map((door) => ({ carrier, door })));

describe.each(combinations)('$door, $carrier', ({ carrier: carrierName, door: doorName }) => {
  const open = async (yaml: string) => {
    const carrier = opened.add(await openCarrier(carrierName, yaml), (each) => each.close());
    return opened.add(await openDoor(doorName, carrier.mesh), (each) => each.close());
  };

  test('users of an A/B test stay on their side, and a caller with a session at its endpoint', async () => {
    const { a, b1, b2 } = await shops(opened, 'a', 'b1', 'b2');
    const door = await open(
      service('reviews', [a]) +
        service('reviews-b', [b1, b2]) +
        route(`  - name: ab
    backendRefs: [{ name: reviews, weight: 50 }, { name: reviews-b, weight: 50 }]
    sessionPersistence: { sessionName: home, type: Cookie }
`) +
        policy(
          'RoutePolicy',
          'sticky',
          `{ ${RULE}, sectionName: ab }`,
          'consistentHash: { httpHeaderName: x-user }, stickyBackends: true',
        ),
    );
    const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
    const sideOf = async (user: string) => (await door.ask({ headers: { 'x-user': user } })).text.charAt(0);
    const sides = await Promise.all(users.map(sideOf));
    expect(new Set(sides)).toEqual(new Set(['a', 'b']));
    expect(await Promise.all(users.map(sideOf))).toEqual(sides);
    const user = { 'x-user': users[sides.indexOf('b')] as string };
    const first = await door.ask({ headers: user });
    const session = { ...user, cookie: first.headers['set-cookie']?.[0]?.split(';')[0] as string };
    for (let i = 0; i < 8; i++) expect(await door.ask({ headers: session })).toMatchObject({ text: first.text });
  });

  test('a rule rewrites, changes headers and mirrors; another has the endpoints of one version', async () => {
    const { v1, v2, copy } = await shops(opened, 'v1', 'v2', 'copy');
    const door = await open(
      service('reviews', [v1, v2]) +
        service('lab', [copy]) +
        policy(
          'TrafficPolicy',
          'reviews',
          '{ group: "", kind: Service, name: reviews }',
          'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]',
        ) +
        route(`  - name: old
    matches: [{ path: { value: /old } }]
    filters:
    - { type: URLRewrite, urlRewrite: { hostname: cart.internal, path: { type: ReplacePrefixMatch, replacePrefixMatch: /shop.Cart } } }
    - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-from, value: old }], remove: [x-secret] } }
    - { type: ResponseHeaderModifier, responseHeaderModifier: { add: [{ name: x-moved, value: "1" }] } }
    - { type: RequestMirror, requestMirror: { backendRef: { name: lab } } }
    backendRefs: [{ name: reviews }]
  - name: rest
    backendRefs: [{ name: reviews }]
`) +
        policy('RoutePolicy', 'rest', `{ ${RULE}, sectionName: rest }`, 'subset: { version: v2 }'),
    );
    // No call waits for a mirror that the mesh does not know yet.
    await vi.waitFor(async () => {
      await door.ask({ path: '/old/Get' });
      expect(copy.seen.length).toBeGreaterThan(0);
    }, WAIT);
    const told = await door.ask({ path: '/old/Add', headers: { 'x-secret': 's' }, body: 'hello' });
    expect(told.headers['x-moved']).toEqual(['1']);
    const seen = [v1, v2].flatMap((shop) => shop.seen).find(({ path }) => path === '/shop.Cart/Add');
    expect(seen).toMatchObject({ host: 'cart.internal', headers: { 'x-from': 'old' } });
    expect(seen?.headers).not.toHaveProperty('x-secret');
    await vi.waitFor(() => expect(copy.seen.map(({ path }) => path)).toContain('/shop.Cart/Add'), WAIT);
    for (let i = 0; i < 6; i++) expect(await door.ask()).toMatchObject({ text: 'v2' });
  });
});
