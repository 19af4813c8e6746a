import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../support/cli.js';
import { serviceYaml } from '../support/mesh-yaml.js';

const POLICIES = `---
apiVersion: inmesh.dev/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
spec: { authorization: { default: deny } }
---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Service, name: reviews }]
  rules:
    - from: [{ principals: [orders] }]
      to: [{ methods: [GET], paths: ["/reviews/*"] }]
    - from: [{ namespaces: [office] }]
      time: [{ zone: Europe/Vienna, days: [mon, fri], from: "08:00", to: "18:00" }]
---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: secret }
spec:
  targetRefs: [{ kind: Service, name: reviews }]
  action: DENY
  rules: [{ to: [{ paths: [/reviews/secret] }] }]
`;

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-authz-'));
  file = join(folder, 'mesh.yaml');
  writeFileSync(file, serviceYaml('reviews') + POLICIES);
});
afterAll(() => rmSync(folder, { recursive: true }));

const explain = (...args: string[]) => runCommand(['authz', 'explain', '-c', file, '--service', 'reviews', ...args]);

const ORDERS = ['--principal', 'cluster.local/ns/default/sa/orders'];

test('explains a request that is allowed: the policy and the rule, and what of it matched', async () => {
  const { code, out } = await explain(...ORDERS, '--path', '/reviews/1?x=y', '--at', '2026-11-21T12:00:00Z');
  expect(code).toBe(0);
  expect(out).toBe(`ALLOWED: policy default/orders/rules[0] allows it
route default
DENY inmesh.dev/authorization/deny: lets it through
  - default/secret/rules[0]: needs (path "/reviews/secret" in any case or path "/reviews/secret/" in any case)
ALLOW inmesh.dev/authorization/allow: lets it through
  * default/orders/rules[0]: method "GET", path that begins with "/reviews/", principal "spiffe://cluster.local/ns/default/sa/orders"
  - default/orders/rules[1]: needs ${OFFICE}
`);
});

const OFFICE =
  'time 08:00 to 18:00 on Mon, Fri (Europe/Vienna); principal that begins with "spiffe://cluster.local/ns/office/"';

test('explains one that is denied, by a policy', async () => {
  const { out } = await explain(...ORDERS, '--path', '/reviews/Secret', '--at', '2026-11-21T12:00:00Z');
  expect(out).toContain('DENIED: policy default/secret/rules[0] denies it\n');
  expect(out).toContain('  * default/secret/rules[0]: path "/reviews/secret" in any case\n');
});

test('explains one that no policy allows, as JSON', async () => {
  const { out } = await explain('-o', 'json', '--path', '/reviews/1');
  expect(JSON.parse(out)).toMatchObject({
    service: 'reviews',
    allowed: false,
    filter: 'inmesh.dev/authorization/allow',
    policy: '',
    reason: 'no policy allows it',
    filters: [
      { action: 'DENY', allowed: true },
      {
        action: 'ALLOW',
        allowed: false,
        policies: [{ name: 'default/orders/rules[0]', matched: false }, { name: 'default/orders/rules[1]' }],
      },
    ],
  });
});

test('explains by the time that is given', async () => {
  const office = ['--principal', 'cluster.local/ns/office/sa/any'];
  expect((await explain(...office, '--at', '2026-11-20T12:00:00Z')).out).toMatch(
    /^ALLOWED: policy default\/orders\/rules\[1\]/,
  );
  expect((await explain(...office, '--at', '2026-11-21T12:00:00Z')).out).toMatch(/^DENIED: no policy allows it/);
});

test('explains a path that is refused before any policy is asked', async () => {
  const { out } = await explain(...ORDERS, '--path', '/reviews/x/../secret');
  expect(out).toMatch(/^DENIED: the path is refused before any policy is asked: not-canonical/);
});

test('the exit code says what was found where that is asked for, and otherwise only whether anything was', async () => {
  const denied = ['--path', '/reviews/secret'];
  const allowed = [...ORDERS, '--path', '/reviews/1'];
  expect((await explain(...denied)).code).toBe(0);
  expect((await explain(...denied, '--exit-code')).code).toBe(3);
  expect((await explain(...allowed, '--exit-code')).code).toBe(0);
});

test('fails for a service that is not there', async () => {
  const { code, err } = await explain('--service', 'nobody');
  expect([code, err]).toEqual([1, 'inmesh: no Service "nobody" in this configuration\n']);
});
