import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../support/cli.js';
import { jwks, signToken, testKey } from '../support/jwt.js';
import { serviceYaml } from '../support/mesh-yaml.js';

const of = (kind: string, name: string, service: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: ${kind}
metadata: { name: ${name} }
spec: { targetRefs: [{ kind: Service, name: ${service} }], ${spec} }
`;

const KEY = testKey('EdDSA');
const issuer = (name: string, keys: string): string =>
  of('AuthenticationPolicy', name, name, `jwt: [{ issuer: "https://id.example", audiences: [shop], ${keys} }]`) +
  of('AuthorizationPolicy', name, name, 'rules: [{ when: [{ key: "request.auth.claims[role]", values: [admin] }] }]');

const CONFIG = [
  ...['strict', 'users', 'asked', 'ports', 'groups', 'inline', 'file', 'remote'].map((name) => serviceYaml(name)),
  serviceYaml('judge'),
  of('AuthenticationPolicy', 'strict', 'strict', 'mtls: { mode: strict }'),
  of(
    'AuthenticationPolicy',
    'users',
    'users',
    `jwt: [{ issuer: "https://id.example", jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}' }]`,
  ),
  of('ExternalAuthorizationPolicy', 'asked', 'asked', 'service: { name: judge, port: 80 }, protocol: grpc'),
  of('AuthorizationPolicy', 'ports', 'ports', 'action: DENY, rules: [{ to: [{ ports: [9090] }] }]'),
  of(
    'AuthorizationPolicy',
    'groups',
    'groups',
    'rules: [{ when: [{ key: "request.auth.claims[groups]", values: [admin] }] }]',
  ),
  issuer('inline', `jwks: '${jwks(KEY)}'`),
  issuer('remote', 'jwksUri: "https://id.example/keys"'),
].join('');

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-authz-steps-'));
  file = join(folder, 'mesh.yaml');
  writeFileSync(join(folder, 'keys.json'), jwks(KEY));
  writeFileSync(file, CONFIG + issuer('file', `jwksFile: ${join(folder, 'keys.json')}`));
});
afterAll(() => rmSync(folder, { recursive: true }));

const explain = (service: string, ...args: string[]) =>
  runCommand(['authz', 'explain', '-c', file, '--service', service, ...args]);

const first = async (service: string, ...args: string[]): Promise<string> => {
  const { out, err } = await explain(service, ...args);
  expect(err).toBe('');
  return out.split('\n', 1)[0] ?? '';
};

const CALLER = ['--principal', 'cluster.local/ns/default/sa/orders'];

test('a caller without a certificate is refused where mTLS is strict, whatever the rules say', async () => {
  expect(await first('strict')).toMatch(/^DENIED: mTLS is strict/);
  expect(await first('strict', ...CALLER)).toMatch(/^ALLOWED/);
  expect((await explain('strict', ...CALLER)).out).toContain('mTLS: passes');
});

test('a request without the token that is required is refused; one that has it is taken at its word', async () => {
  expect(await first('users')).toMatch(/^DENIED: a token is required: .*\(https:\/\/id\.example\)$/);
  expect(await first('users', '--claim', 'iss=https://other.example')).toMatch(/^DENIED: .*https:\/\/id\.example/);
  expect(await first('users', '--claim', 'iss=https://id.example', '--claim', 'sub=eve')).toMatch(/^ALLOWED/);
});

/* What a server would find out of the token in a header. */
const AT = '2026-11-20T10:00:00Z';
const bearer = (claims: object, key = KEY): string[] => {
  const token = signToken(key, { iss: 'https://id.example', aud: 'shop', exp: Date.parse(AT) / 1_000 + 60, ...claims });
  return ['--at', AT, '--header', `Authorization: Bearer ${token}`];
};

test.each(['inline', 'file'])('a token of a header is verified by keys that are at hand: %s', async (service) => {
  const { out } = await explain(service, ...bearer({ sub: 'ada', role: 'admin' }));
  expect(out).toMatch(/^ALLOWED: /);
  expect(out).toContain('JWT: passes: the token is verified: issuer "https://id.example", subject "ada"');
  expect(await first(service, ...bearer({ role: 'clerk' }))).toMatch(/^DENIED: no policy allows it/);
});

test('a token that is not good is refused with the status that servers say', async () => {
  const garbage = ['--header', 'authorization: Bearer garbage'];
  expect(await first('inline', ...garbage)).toMatch(/^DENIED: the token is refused with 401: malformed: /);
  expect(await first('remote', ...garbage)).toMatch(/^DENIED: the token is refused with 401: malformed: /);
  const other = testKey('EdDSA');
  expect(await first('inline', ...bearer({}, other))).toMatch(/^DENIED: .* with 401: signature: /);
  expect(await first('inline', ...bearer({ aud: 'else' }))).toMatch(/^DENIED: .* with 403: audience: /);
  expect(await first('inline', ...bearer({ exp: 1 }))).toMatch(/^DENIED: .* with 401: expired: /);
  const several = [...bearer({}), ...bearer({ sub: 'eve' }).slice(2)];
  expect(await first('inline', ...several)).toMatch(/^DENIED: .* with 400: several: /);
});

test('a token whose keys are at a URL may be good or not: that depends, unless something else is against it', async () => {
  expect(await first('remote', ...bearer({ role: 'admin' }))).toMatch(
    /^DEPENDS: on keys that are not at hand \(https:\/\/id\.example\/keys\)/,
  );
  expect(await first('remote', ...bearer({ role: 'clerk' }))).toMatch(/^DENIED: no policy allows it/);
  expect(await first('remote', ...bearer({ exp: 1 }))).toMatch(/^DENIED: .*expired/);
});

test('what another service decides is no answer of ours', async () => {
  const { out } = await explain('asked');
  expect(out).toMatch(/^DEPENDS: on what the service of external authorization says/);
  expect(await first('asked', '--path', '/a/../b')).toMatch(/^DENIED/);
});

test('a rule about ports, of a request without one, is no answer either', async () => {
  expect(await first('ports')).toBe('DEPENDS: on the port that the server listens on (--port)');
  expect(await first('ports', '--port', '9090')).toMatch(/^DENIED/);
  expect(await first('ports', '--port', '8080')).toMatch(/^ALLOWED/);
  expect((await explain('ports', '--exit-code')).code).toBe(4);
  const json = JSON.parse((await explain('ports', '-o', 'json')).out) as { allowed: boolean; dependsOn: string[] };
  expect(json).toMatchObject({ allowed: false, dependsOn: ['on the port that the server listens on (--port)'] });
});

test('an authority that could be read in two ways is refused, as servers do', async () => {
  expect(await first('ports', '--port', '1', '--host', 'a@b')).toMatch(/^DENIED: .*authority/);
  expect(await first('ports', '--port', '1', '--host', 'a', '--header', 'host: other')).toMatch(
    /^DENIED: .*several hosts/,
  );
});

test('a claim may be a list: named again, or as JSON', async () => {
  expect(await first('groups', '--claim', 'groups=dev', '--claim', 'groups=admin')).toMatch(/^ALLOWED/);
  expect(await first('groups', '--claim', 'groups=["dev","admin"]')).toMatch(/^ALLOWED/);
  expect(await first('groups', '--claim', 'groups=dev')).toMatch(/^DENIED/);
});

test('a source that is no address is refused', async () => {
  const { code, err } = await explain('ports', '--source', 'nonsense');
  expect([code, err]).toEqual([2, 'inmesh: --source must be an IP address, not "nonsense"\n']);
});
