import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../support/cli.js';
import { httpRouteYaml, serviceYaml } from '../support/mesh-yaml.js';

const of = (kind: string, name: string, spec: string, namespace = 'default'): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${spec} }
`;
const REVIEWS = 'targetRefs: [{ kind: Service, name: reviews }]';
const KEYS = '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}';

const CONFIG = [
  ...['reviews', 'orders', 'judge', 'open'].map((name) => serviceYaml(name)),
  serviceYaml('ledger', undefined, 'namespace: bank'),
  serviceYaml('teller', undefined, 'namespace: bank'),
  httpRouteYaml(
    'pages',
    'name: reviews',
    '[{ name: admin, matches: [{ path: { value: /admin } }], backendRefs: [{ name: reviews }] }]',
  ),
  of('MeshConfig', 'mesh', 'trustDomain: example.org'),
  of(
    'AuthenticationPolicy',
    'users',
    `${REVIEWS}, mtls: { mode: strict }, jwt: [{ issuer: "https://id.example", audiences: [shop], jwks: '${KEYS}' }, { issuer: "https://other.example", jwksUri: "https://other.example/keys" }]`,
  ),
  of(
    'AuthorizationPolicy',
    'callers',
    `${REVIEWS}, rules: [{ from: [{ principals: [orders] }], to: [{ methods: [GET] }] }, { from: [{ requestPrincipals: ["https://id.example/root"] }] }]`,
  ),
  of('AuthorizationPolicy', 'told', `${REVIEWS}, action: AUDIT, rules: [{ to: [{ paths: ["/reviews/*"] }] }]`),
  of('AuthorizationPolicy', 'never', `${REVIEWS}, action: DENY, rules: [{ to: [{ paths: [/secret] }] }]`),
  of('AuthorizationPolicy', 'soon', `${REVIEWS}, action: DENY, dryRun: true, rules: [{}]`),
  of(
    'AuthorizationPolicy',
    'office',
    'targetRefs: [{ kind: HTTPRoute, name: pages, sectionName: admin }], rules: [{ time: [{ zone: Europe/Vienna, days: [mon], from: "08:00", to: "18:00" }] }]',
  ),
  of(
    'ExternalAuthorizationPolicy',
    'asked',
    `${REVIEWS}, service: { name: judge }, onFailure: allow, includeRequestBody: { maxBytes: 1024 }`,
  ),
  of(
    'AuthenticationPolicy',
    'bank',
    'targetRefs: [{ kind: Service, name: ledger }], mtls: { mode: permissive }',
    'bank',
  ),
  of(
    'AuthorizationPolicy',
    'tellers',
    'targetRefs: [{ kind: Service, name: ledger }], rules: [{ from: [{ principals: [teller] }] }]',
    'bank',
  ),
].join('');

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-authz-list-'));
  file = join(folder, 'mesh.yaml');
  writeFileSync(file, CONFIG);
});
afterAll(() => rmSync(folder, { recursive: true }));

const list = (service: string, ...args: string[]) =>
  runCommand(['authz', 'list', '-c', file, '--service', service, ...args]);
const explain = (service: string, ...args: string[]) =>
  runCommand(['authz', 'explain', '-c', file, '--service', service, ...args]);

test('lists what servers of a Service ask of requests, in the order in which they do', async () => {
  const { code, out, err } = await list('reviews');
  expect([code, err]).toEqual([0, '']);
  await expect(out).toMatchFileSnapshot('golden/authz-list.txt');
});
test('lists the same for programs', async () => {
  const { code, out } = await list('reviews', '-o', 'json');
  expect(code).toBe(0);
  await expect(out).toMatchFileSnapshot('golden/authz-list-json.txt');
});
test('says so where nothing is asked', async () => {
  expect((await list('open')).out).toBe(
    'mTLS disabled: nobody shows a certificate\nno policy asks anything of requests\n',
  );
  expect(JSON.parse((await list('open', '-o', 'json')).out)).toEqual({
    service: 'open',
    mtls: 'disabled',
    requests: [],
  });
});
test('fails for a Service that is not there, and for a configuration with mistakes', async () => {
  expect(await list('nobody')).toEqual({
    code: 1,
    out: '',
    err: 'inmesh: no Service "nobody" in this configuration\n',
  });
  const wrong = join(folder, 'wrong.txt');
  writeFileSync(wrong, serviceYaml('a', 'endpoint: x'));
  expect(await runCommand(['authz', 'list', '-c', wrong, '--service', 'a'])).toMatchObject({ code: 1, out: '' });
});

test('explain takes the name of a Service for a caller: of the namespace of the one that is called, in the trust domain of the mesh', async () => {
  const token = ['--claim', 'iss=https://id.example'];
  expect((await explain('reviews', '--principal', 'orders', ...token)).out).toContain(
    'mTLS: passes: the caller is spiffe://example.org/ns/default/sa/orders\n',
  );
  await expect((await explain('ledger.bank', '--principal', 'teller')).out).toMatchFileSnapshot(
    'golden/authz-explain.txt',
  );
  expect((await explain('ledger.bank', '--principal', 'example.org/ns/bank/sa/teller')).out).toMatch(/^ALLOWED/);
  expect((await explain('ledger.bank', '--principal', 'other.org/ns/bank/sa/teller')).out).toMatch(/^DENIED/);
});
