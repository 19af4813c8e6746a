import { afterEach, describe, expect, test } from 'vitest';
import { openAsker } from '../fallback-paths/asking.js';
import { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { FACES, isGrpc } from '../support/echo.js';

/* RateLimitPolicy and QuotaPolicy as YAML: embedded and from our own control plane over a real socket, where callers see to them. */

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const policy = (kind: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: p }
spec: { ${spec} }
`;
const TO_SERVICE = 'targetRefs: [{ kind: Service, name: reviews }]';

describe.each(combinations)('policies of requests, $face, $carrier', ({ carrier: carrierName, face }) => {
  const kind = isGrpc(face) ? 'GRPCRoute' : 'HTTPRoute';
  const refused = { error: isGrpc(face) ? 'RESOURCE_EXHAUSTED' : 'RATE_LIMITED' };

  /** What calls to a backend under these policies get. */
  async function open(...policies: string[]) {
    const reviews = await Backend.start('reviews');
    opened.push(() => reviews.kill());
    const port = isGrpc(face) ? reviews.grpcPort : reviews.httpPort;
    const parts = `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:${port}"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: reviews }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews }]
  rules:
    - { name: beta, matches: [{ headers: [{ name: x-beta, value: "1" }] }], backendRefs: [{ name: reviews }] }
    - { name: rest, backendRefs: [{ name: reviews }] }
`;
    const carrier = await openCarrier(carrierName, parts + policies.join(''));
    opened.push(() => carrier.close());
    const asker = await openAsker(face, carrier.mesh);
    opened.push(() => asker.close());
    return asker.ask;
  }

  test('a limit is for each user by itself, and for those alone that it is for', async () => {
    const ask = await open(
      policy(
        'RateLimitPolicy',
        `${TO_SERVICE}, limits: [{ name: r, key: [{ header: x-user }], limit: { requests: 1, per: 1h }, overrides: [{ match: { x-user: root }, unlimited: true }] }]`,
      ),
    );
    const good = { id: 'reviews' };
    expect([await ask({ 'x-user': 'a' }), await ask({ 'x-user': 'a' })]).toEqual([good, refused]);
    expect([await ask({ 'x-user': 'b' }), await ask({ 'x-user': 'b' })]).toEqual([good, refused]);
    expect([await ask({ 'x-user': 'root' }), await ask({ 'x-user': 'root' })]).toEqual([good, good]);
  });

  test('a limit of a rule adds to that of the Service, and shadows refuse nobody', async () => {
    const route = `targetRefs: [{ kind: ${kind}, name: reviews, sectionName: beta }]`;
    const limits = (name: string, requests: number, mode = 'enforce'): string =>
      `limits: [{ name: ${name}, limit: { requests: ${requests}, per: 1h }, mode: ${mode} }]`;
    const ask = await open(
      policy('RateLimitPolicy', `${route}, ${limits('beta', 1)}`),
      policy('RateLimitPolicy', `${TO_SERVICE}, ${limits('all', 3)}`).replace('name: p', 'name: q'),
      policy('RateLimitPolicy', `${TO_SERVICE}, ${limits('none', 0, 'shadow')}`).replace('name: p', 'name: s'),
    );
    const good = { id: 'reviews' };
    const beta = { 'x-beta': '1' };
    // What the rule refuses counts nothing against the Service.
    expect([await ask(beta), await ask(beta), await ask(beta)]).toEqual([good, refused, refused]);
    expect([await ask(), await ask(), await ask()]).toEqual([good, good, refused]);
  });

  test('a quota is that of the plan', async () => {
    const plans =
      '[{ name: free, limits: [{ requests: 1, per: year }] }, { name: pro, limits: [{ requests: 2, per: year }] }, { name: gold, unlimited: true }]';
    const ask = await open(
      policy(
        'QuotaPolicy',
        `${TO_SERVICE}, subject: [{ header: x-key }], plan: { header: x-plan }, plans: ${plans}, defaultPlan: free`,
      ),
    );
    const answers = async (plan: string | undefined, times: number): Promise<number> => {
      let good = 0;
      for (let i = 0; i < times; i++) {
        const answer = await ask({ 'x-key': `key-of-${plan}`, ...(plan !== undefined && { 'x-plan': plan }) });
        if ('id' in answer) good++;
      }
      return good;
    };
    expect([await answers('free', 3), await answers('pro', 3), await answers('gold', 3)]).toEqual([1, 2, 3]);
    expect([await answers(undefined, 3), await answers('made-up', 3)]).toEqual([1, 1]);
  });
});
